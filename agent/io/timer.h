/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Timers: a binary heap of deadlines, linked through the timers themselves.
 * May call: nothing. Called by: loop, which owns one heap and runs it after each batch.
 */
#ifndef KNELL_IO_TIMER_H
#define KNELL_IO_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One timer, embedded in its owner and zeroed but for `fire` before its first use. It fires once
 * per arming. From inside any timer's callback every timer may be armed, disarmed or, once
 * disarmed, freed.
 */
struct timer {
	void (*fire)(struct timer *timer);
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint64_t order;	      /* equal deadlines fire in the order of their arming */
	struct timer *parent;
	struct timer *child[2];
	bool armed;
};

/* Zero-initialised is empty. */
struct timer_heap {
	struct timer *root;
	size_t count;
	uint64_t next_order;
	uint64_t ran_to_ns;
};

/*
 * Arms `timer` for `deadline_ns`; an armed timer is moved. Never fails (the heap's links live in
 * the timer), O(log n). A deadline that has passed already fires in the next timer_run(), in turn.
 */
void timer_arm(struct timer_heap *heap, struct timer *timer, uint64_t deadline_ns);

/* Takes `timer` out; does nothing when it is not armed. O(log n). */
void timer_disarm(struct timer_heap *heap, struct timer *timer);

/* The nearest deadline in ns, UINT64_MAX when no timer is armed. */
uint64_t timer_next_ns(const struct timer_heap *heap);

/*
 * Fires every timer that was armed before this call and whose deadline is at or before `now_ns`,
 * in order of deadline. Timers armed by the callbacks wait for the next call, so this always ends.
 */
void timer_run(struct timer_heap *heap, uint64_t now_ns);

#endif
