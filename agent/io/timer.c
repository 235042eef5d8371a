// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Timers: a binary heap of deadlines, linked through the timers themselves.
 * May call: nothing. Called by: loop.
 *
 * The heap is a complete binary tree of pointers rather than an array, so that arming needs no
 * memory and cannot fail: a timeout that cannot be set would be one more state for every owner to
 * handle. Position n (the root is 1) is found by walking n's bits below the highest: 0 is left, 1
 * is right.
 */
#include "timer.h"

static bool before(const struct timer *a, const struct timer *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->order < b->order;
}

/* The pointer that holds position `position`; its parent (NULL for the root) goes to *parent. */
static struct timer **slot(struct timer_heap *heap, size_t position, struct timer **parent)
{
	struct timer **at = &heap->root;
	int bit = (int)(sizeof(position) * 8) - 1 - __builtin_clzl(position);

	*parent = NULL;
	while (bit-- > 0) {
		*parent = *at;
		at = &(*at)->child[(position >> bit) & 1];
	}
	return at;
}

/* The pointer that points at `timer`. */
static struct timer **holder(struct timer_heap *heap, struct timer *timer)
{
	if (!timer->parent)
		return &heap->root;
	return &timer->parent->child[timer->parent->child[1] == timer];
}

static void adopt_children(struct timer *timer)
{
	for (int side = 0; side < 2; side++)
		if (timer->child[side])
			timer->child[side]->parent = timer;
}

/* Swaps `timer` with its parent. */
static void rise(struct timer_heap *heap, struct timer *timer)
{
	struct timer *parent = timer->parent;
	int side = parent->child[1] == timer;
	struct timer *sibling = parent->child[!side];

	*holder(heap, parent) = timer;
	timer->parent = parent->parent;
	parent->child[0] = timer->child[0];
	parent->child[1] = timer->child[1];
	adopt_children(parent);
	timer->child[side] = parent;
	timer->child[!side] = sibling;
	adopt_children(timer);
}

static void settle(struct timer_heap *heap, struct timer *timer)
{
	while (timer->parent && before(timer, timer->parent))
		rise(heap, timer);
	for (;;) {
		struct timer *least = timer->child[0];

		if (least && timer->child[1] && before(timer->child[1], least))
			least = timer->child[1];
		if (!least || !before(least, timer))
			return;
		rise(heap, least);
	}
}

void timer_disarm(struct timer_heap *heap, struct timer *timer)
{
	struct timer *parent, *last, **at;

	if (!timer->armed)
		return;
	at = slot(heap, heap->count, &parent);
	last = *at;
	*at = NULL;
	heap->count--;
	if (last != timer) {
		*holder(heap, timer) = last;
		last->parent = timer->parent;
		last->child[0] = timer->child[0];
		last->child[1] = timer->child[1];
		adopt_children(last);
		settle(heap, last);
	}
	timer->parent = timer->child[0] = timer->child[1] = NULL;
	timer->armed = false;
}

void timer_arm(struct timer_heap *heap, struct timer *timer, uint64_t deadline_ns)
{
	struct timer **at;

	timer_disarm(heap, timer);
	/*
	 * Whoever re-arms into the past queues behind those that wait since then: nobody starves.
	 */
	timer->deadline_ns = deadline_ns > heap->ran_to_ns ? deadline_ns : heap->ran_to_ns;
	timer->order = heap->next_order++;
	at = slot(heap, ++heap->count, &timer->parent);
	*at = timer;
	timer->armed = true;
	settle(heap, timer);
}

uint64_t timer_next_ns(const struct timer_heap *heap)
{
	return heap->root ? heap->root->deadline_ns : UINT64_MAX;
}

void timer_run(struct timer_heap *heap, uint64_t now_ns)
{
	uint64_t armed_here = heap->next_order;

	heap->ran_to_ns = now_ns;
	while (heap->root && heap->root->deadline_ns <= now_ns && heap->root->order < armed_here) {
		struct timer *timer = heap->root;

		timer_disarm(heap, timer);
		timer->fire(timer);
	}
}
