// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_verdict_unasked.c - the decision rule beside connections that do not tell what they hear.
 *
 * Room: tests/unit. Calls include/knell/verdict.h alone. Run by `make check`.
 */

#include "test_verdict.h"

static const struct verdict_view UNASKED = {
	.heard_ns = UINT64_MAX, .silent = 1, .peers = 3, .unasked = 1};

START_TEST(test_waits_until_they_were_looked_at)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS;

	for (uint32_t i = 0; i < 1000; i++) {
		silent(&peer, &UNASKED, now_ns += 10 * MS, i % 2);
		ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	}
	/* Whatever was collected meanwhile counts at once: nothing is asked twice. */
	ck_assert(silent(&peer, &COMPANY, now_ns += MS, 0));
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_a_review_does_not_jump_the_queue)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS;

	for (uint32_t i = 0; i < 100; i++)
		silent(&peer, &UNASKED, now_ns += 10 * MS, i % 2);
	ck_assert(!verdict_review(&peer, &RULE, &UNASKED, 0, now_ns + MS));
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert(verdict_review(&peer, &RULE, &COMPANY, 0, now_ns + 2 * MS));
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_takes_nothing_back)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = silent_until(&peer, &COMPANY, START_NS, VERDICT_LOST);

	/* The sweep that allowed `lost` is an early one by now: it does not allow `dead`. */
	for (uint32_t i = 0; i < 100; i++)
		silent(&peer, &UNASKED, now_ns += 10 * MS, i % 2);
	ck_assert_uint_eq(peer.state, VERDICT_LOST);
	ck_assert(silent(&peer, &COMPANY, now_ns += MS, 0));
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
	ck_assert(!silent(&peer, &UNASKED, now_ns += MS, 0));
	ck_assert(hear(&peer, now_ns + MS));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
}
END_TEST

START_TEST(test_isolated_waits_too_but_not_for_a_dead_link)
{
	struct verdict_view cut = {.silent = 2, .peers = 3, .unasked = 1};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = START_NS;

	for (uint32_t i = 0; i < 100; i++)
		silent(&peer, &cut, now_ns += 10 * MS, i % 2);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	cut.link_down = 1;
	silent(&peer, &cut, now_ns + MS, 0);
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
}
END_TEST

START_TEST(test_isolated_stays_when_the_sweep_ages)
{
	struct verdict_view cut = {.silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = silent_until(&peer, &cut, START_NS, VERDICT_ISOLATED);
	uint32_t seq = peer.seq;

	/* Looked at now and then: in between the silence doubles, and the last look grows old. */
	for (uint32_t i = 0; i < 1000; i++) {
		cut.unasked = i % 20 != 0;
		ck_assert(!silent(&peer, &cut, now_ns += 250 * MS, i % 2));
		ck_assert(!verdict_review(&peer, &RULE, &cut, 0, now_ns += MS));
	}
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	ck_assert_uint_eq(peer.seq, seq);
}
END_TEST

START_TEST(test_link_up_again_and_the_peer_is_dead)
{
	struct verdict_view view = {.silent = 2, .peers = 3, .unasked = 1, .link_down = 1};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = START_NS;

	silent(&peer, &view, now_ns, 0);
	silent(&peer, &view, now_ns += 10 * MS, 1);
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	/* Link and others are back; it is not, and a connection to it does not tell. */
	view = UNASKED;
	ck_assert(verdict_review(&peer, &RULE, &view, 0, now_ns += S));
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert(!silent(&peer, &view, now_ns += 10 * MS, i % 2));
	view.unasked = 0;
	ck_assert(silent(&peer, &view, now_ns + 10 * MS, 0));
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_isolated_goes_on_once_they_were_looked_at)
{
	struct verdict_view view = {.silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = silent_until(&peer, &view, START_NS, VERDICT_ISOLATED);

	for (uint32_t i = 0; i < 100; i++)
		silent(&peer, &view, now_ns += 10 * MS, i % 2);
	/* The other silent peer is no longer watched: nobody shares the fault any more. */
	view.silent = 1;
	view.unasked = 1;
	ck_assert(!silent(&peer, &view, now_ns += 10 * MS, 0));
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	view.unasked = 0;
	ck_assert(silent(&peer, &view, now_ns + 10 * MS, 1));
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_waits_until_they_were_looked_at,
		test_a_review_does_not_jump_the_queue,
		test_takes_nothing_back,
		test_isolated_waits_too_but_not_for_a_dead_link,
		test_isolated_stays_when_the_sweep_ages,
		test_link_up_again_and_the_peer_is_dead,
		test_isolated_goes_on_once_they_were_looked_at,
		NULL,
	};

	return run_tests("verdict, unasked", tests);
}
