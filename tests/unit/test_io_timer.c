// SPDX-License-Identifier: BSD-2-Clause
/* Unit tests of agent/io/timer: order, re-arming, disarming and freeing from callbacks. */
#include <check.h>
#include <stdlib.h>

#include "io/timer.h"

enum { MANY = 500 };

struct probe {
	struct timer timer;
	struct timer_heap *heap;
	int fired;
	int *turn; /* counts up over all probes */
	int fired_at_turn;
	struct probe *other;
	uint64_t again_ns;
};

static struct probe *probe_of(struct timer *timer)
{
	return (struct probe *)((char *)timer - offsetof(struct probe, timer));
}

static void fire_count(struct timer *timer)
{
	struct probe *probe = probe_of(timer);

	probe->fired++;
	probe->fired_at_turn = (*probe->turn)++;
}

static void fire_rearm(struct timer *timer)
{
	struct probe *probe = probe_of(timer);

	fire_count(timer);
	timer_arm(probe->heap, timer, probe->again_ns);
}

static void fire_disarm_other(struct timer *timer)
{
	struct probe *probe = probe_of(timer);

	fire_count(timer);
	timer_disarm(probe->heap, &probe->other->timer);
}

static void fire_free_both(struct timer *timer)
{
	struct probe *probe = probe_of(timer);

	(*probe->turn)++;
	timer_disarm(probe->heap, &probe->other->timer);
	free(probe->other);
	free(probe);
}

static struct probe make(struct timer_heap *heap, int *turn, void (*fire)(struct timer *))
{
	return (struct probe){.timer.fire = fire, .heap = heap, .turn = turn};
}

/*
 * The heap's promises: every parent is no later than its children, links agree, the count is
 * right.
 */
/* NOLINTNEXTLINE(misc-no-recursion): no deeper than the heap */
static size_t verify(const struct timer *timer, const struct timer *parent)
{
	if (!timer)
		return 0;
	ck_assert(timer->armed);
	ck_assert_ptr_eq(timer->parent, parent);
	if (parent)
		ck_assert(parent->deadline_ns < timer->deadline_ns ||
			  (parent->deadline_ns == timer->deadline_ns &&
			   parent->order < timer->order));
	return 1 + verify(timer->child[0], timer) + verify(timer->child[1], timer);
}

START_TEST(empty_heap_has_no_deadline)
{
	struct timer_heap heap = {0};

	ck_assert_uint_eq(timer_next_ns(&heap), UINT64_MAX);
	timer_run(&heap, 1);
}
END_TEST

START_TEST(fires_in_order_of_deadline_then_of_arming)
{
	struct timer_heap heap = {0};
	int turn = 0;
	struct probe late = make(&heap, &turn, fire_count), first = late, second = late,
		     future = late;

	timer_arm(&heap, &late.timer, 30);
	timer_arm(&heap, &first.timer, 10);
	timer_arm(&heap, &second.timer, 10);
	timer_arm(&heap, &future.timer, 31);
	ck_assert_uint_eq(timer_next_ns(&heap), 10);
	timer_run(&heap, 30);
	ck_assert_int_eq(first.fired_at_turn, 0);
	ck_assert_int_eq(second.fired_at_turn, 1);
	ck_assert_int_eq(late.fired_at_turn, 2);
	ck_assert_int_eq(future.fired, 0);
	ck_assert_uint_eq(timer_next_ns(&heap), 31);
}
END_TEST

START_TEST(arming_again_moves)
{
	struct timer_heap heap = {0};
	int turn = 0;
	struct probe probe = make(&heap, &turn, fire_count);

	timer_arm(&heap, &probe.timer, 10);
	timer_arm(&heap, &probe.timer, 50);
	timer_run(&heap, 49);
	ck_assert_int_eq(probe.fired, 0);
	timer_run(&heap, 50);
	timer_run(&heap, 60);
	ck_assert_int_eq(probe.fired, 1);
	timer_disarm(&heap, &probe.timer);
	ck_assert_uint_eq(heap.count, 0);
}
END_TEST

START_TEST(rearmed_into_the_past_fires_once_per_run_and_starves_nobody)
{
	struct timer_heap heap = {0};
	int turn = 0;
	struct probe greedy = make(&heap, &turn, fire_rearm),
		     other = make(&heap, &turn, fire_count);

	timer_arm(&heap, &greedy.timer, 5);
	timer_run(&heap, 10);
	ck_assert_int_eq(greedy.fired, 1);
	timer_arm(&heap, &other.timer, 10);
	timer_run(&heap, 11);
	ck_assert_int_eq(greedy.fired, 2);
	ck_assert_int_eq(other.fired, 1);
}
END_TEST

START_TEST(callback_may_disarm_an_expired_timer)
{
	struct timer_heap heap = {0};
	int turn = 0;
	struct probe first = make(&heap, &turn, fire_disarm_other);
	struct probe other = make(&heap, &turn, fire_count);

	first.other = &other;
	timer_arm(&heap, &first.timer, 1);
	timer_arm(&heap, &other.timer, 2);
	timer_run(&heap, 3);
	ck_assert_int_eq(first.fired, 1);
	ck_assert_int_eq(other.fired, 0);
}
END_TEST

START_TEST(callback_may_free_itself_and_others)
{
	struct timer_heap heap = {0};
	int turn = 0;
	struct probe *self = malloc(sizeof(*self)), *other = malloc(sizeof(*other));
	struct probe third = make(&heap, &turn, fire_count);

	*self = make(&heap, &turn, fire_free_both);
	*other = make(&heap, &turn, fire_count);
	self->other = other;
	timer_arm(&heap, &self->timer, 1);
	timer_arm(&heap, &other->timer, 2);
	timer_arm(&heap, &third.timer, 3);
	timer_run(&heap, 3);
	ck_assert_int_eq(turn, 2);
	ck_assert_int_eq(third.fired, 1);
}
END_TEST

START_TEST(random_arming_and_disarming_keeps_the_heap)
{
	struct timer_heap heap = {0};
	static struct probe probes[MANY];
	uint64_t state = 88172645463325252u;
	int turn = 0;

	for (int i = 0; i < MANY; i++)
		probes[i] = make(&heap, &turn, fire_count);
	for (int step = 0; step < 20000; step++) {
		struct probe *probe;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		probe = &probes[state % MANY];
		if (state >> 60 < 5)
			timer_disarm(&heap, &probe->timer);
		else
			timer_arm(&heap, &probe->timer, (state >> 20) % 1000);
		if (step % 64 == 0)
			ck_assert_uint_eq(verify(heap.root, NULL), heap.count);
	}
	for (uint64_t last = 0; heap.count;) {
		ck_assert_uint_ge(timer_next_ns(&heap), last);
		last = timer_next_ns(&heap);
		timer_run(&heap, last);
		ck_assert_uint_eq(verify(heap.root, NULL), heap.count);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_timer");
	TCase *tcase = tcase_create("timer");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, empty_heap_has_no_deadline);
	tcase_add_test(tcase, fires_in_order_of_deadline_then_of_arming);
	tcase_add_test(tcase, arming_again_moves);
	tcase_add_test(tcase, rearmed_into_the_past_fires_once_per_run_and_starves_nobody);
	tcase_add_test(tcase, callback_may_disarm_an_expired_timer);
	tcase_add_test(tcase, callback_may_free_itself_and_others);
	tcase_add_test(tcase, random_arming_and_disarming_keeps_the_heap);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
