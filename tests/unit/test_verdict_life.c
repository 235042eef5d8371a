// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_verdict_life.c - the decision rule over a peer's life: cut off, flapping, learning.
 *
 * Room: tests/unit. Calls include/knell/verdict.h alone. Run by `make check`.
 */

#include "test_verdict.h"

START_TEST(test_state_isolated_when_all_are_silent)
{
	struct verdict_view cut = {.heard_ns = START_NS - 1, .silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = silent_until(&peer, &cut, START_NS, VERDICT_ISOLATED);

	for (uint32_t i = 0; i < 1000; i++)
		silent(&peer, &cut, now_ns += 10 * MS, i);
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	ck_assert_uint_eq(peer.silence.phi_md, VERDICT_PHI_MAX_MD);
}
END_TEST

START_TEST(test_isolation_never_passes_through_lost)
{
	struct verdict_view cut = {.heard_ns = START_NS, .silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS);

	for (uint32_t i = 0; i < 1000; i++) {
		silent(&peer, &cut, START_NS + 10 * MS * i, i);
		ck_assert(peer.state == VERDICT_SUSPECT || peer.state == VERDICT_ISOLATED);
	}
}
END_TEST

START_TEST(test_isolation_evidence_does_not_blame_afterwards)
{
	struct verdict_view cut = {.heard_ns = START_NS - 1, .silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = silent_until(&peer, &cut, START_NS, VERDICT_ISOLATED), dead_ns;

	for (uint32_t i = 0; i < 100; i++)
		silent(&peer, &cut, now_ns += 10 * MS, i);
	cut.heard_ns = now_ns += MS;
	silent(&peer, &cut, now_ns += MS, 1);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert_uint_eq(peer.silence.sends, 1);
	ck_assert_uint_eq(peer.silence.began_ns, now_ns);
	ck_assert_uint_eq(peer.tuple_count, 1);
	/* The other one talks again, so it is no longer among the silent. */
	cut.heard_ns = now_ns + 1;
	cut.silent = 1;
	dead_ns = silent_until(&peer, &cut, now_ns, VERDICT_DEAD);
	ck_assert_uint_ge(dead_ns - now_ns, 400 * MS);
}
END_TEST

START_TEST(test_isolation_ends_by_review_or_by_hearing)
{
	struct verdict_view cut = {.heard_ns = START_NS - 1, .silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS - 1), other;
	uint64_t now_ns = silent_until(&peer, &cut, START_NS, VERDICT_ISOLATED);
	uint32_t loss_ppm = peer.loss_ppm;

	other = peer;
	ck_assert(!verdict_review(&other, &RULE, &cut, 0, now_ns + MS));
	cut.heard_ns = now_ns + MS;
	ck_assert(verdict_review(&other, &RULE, &cut, 0, now_ns + 2 * MS));
	ck_assert_uint_eq(other.reason, VERDICT_REASON_LINK);
	ck_assert_uint_eq(other.silence.phi_md, 0);
	ck_assert_uint_eq(other.tuple_count, 0);

	ck_assert(hear(&peer, now_ns + MS));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
	ck_assert_uint_eq(peer.learnt_tau_ns, 0);
	ck_assert_uint_eq(peer.loss_ppm, loss_ppm);
	ck_assert_uint_eq(peer.flaps, 0);
}
END_TEST

START_TEST(test_alone_waits_for_others_but_not_for_ever)
{
	struct verdict_view idle = {.heard_ns = START_NS - 1, .silent = 1, .peers = 2};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = START_NS;

	while (peer.silence.phi_md < VERDICT_DEAD_MD) {
		silent(&peer, &idle, now_ns, (uint32_t)now_ns);
		if (peer.silence.phi_md < VERDICT_DEAD_MD)
			ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
		now_ns += 10 * MS;
	}
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);

	/* With company the mild step comes at its own threshold. */
	peer = heard_peer(START_NS - 1);
	idle.heard_ns = START_NS + 1;
	silent_until(&peer, &idle, START_NS, VERDICT_LOST);
	ck_assert_uint_lt(peer.silence.phi_md, VERDICT_DEAD_MD);
}
END_TEST

START_TEST(test_only_peer_is_judged_by_itself)
{
	struct verdict_view pair = {.heard_ns = START_NS - 1, .silent = 1, .peers = 1};
	struct verdict_peer peer = heard_peer(START_NS - 1);

	silent_until(&peer, &pair, silent_until(&peer, &pair, START_NS, VERDICT_LOST),
		     VERDICT_DEAD);
}
END_TEST

START_TEST(test_link_down_blames_nobody)
{
	struct verdict_view view = COMPANY;
	struct verdict_peer peer = heard_peer(START_NS);

	view.link_down = 1;
	ck_assert(verdict_review(&peer, &RULE, &view, 0, START_NS + MS));
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_LINK);
	for (uint32_t i = 0; i < 1000; i++)
		silent(&peer, &view, START_NS + 10 * MS * i, i);
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	view.link_down = 0;
	silent(&peer, &view, START_NS + 20 * S, 1);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert_uint_eq(peer.silence.sends, 1);
}
END_TEST

START_TEST(test_link_flap_leaves_a_quiet_peer_alive)
{
	struct verdict_view view = COMPANY;
	struct verdict_peer peer = heard_peer(START_NS);

	view.link_down = 1;
	verdict_review(&peer, &RULE, &view, 0, START_NS + MS);
	view.link_down = 0;
	ck_assert(verdict_review(&peer, &RULE, &view, 0, START_NS + 2 * MS));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_LINK);
}
END_TEST

/*
 * DESIGN: alive when heard. A link that comes back is not a sign of life from the peer, and the
 * evidence against who was dead before is as good as it was.
 */
START_TEST(test_link_flap_does_not_raise_the_dead)
{
	struct verdict_view view = COMPANY;
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = silent_until(&peer, &COMPANY, START_NS, VERDICT_DEAD);

	view.link_down = 1;
	ck_assert(!verdict_review(&peer, &RULE, &view, 0, now_ns + MS));
	silent(&peer, &view, now_ns + 2 * MS, 1);
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
	view.link_down = 0;
	ck_assert(!verdict_review(&peer, &RULE, &view, 0, now_ns + 3 * MS));
	silent(&peer, &view, now_ns + 4 * MS, 1);
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
	ck_assert_uint_eq(peer.heard_ns, START_NS);
	view.link_down = 1;
	verdict_heard(&peer, &RULE, &view, now_ns + 5 * MS, now_ns + 5 * MS, VERDICT_REASON_ACK);
	ck_assert_uint_ne(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_hold_down_doubles_to_its_ceiling)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS, expected = VERDICT_HOLD_MIN_NS;

	for (uint32_t flap = 1; flap <= 8; flap++) {
		now_ns = silent_until(&peer, &COMPANY, now_ns + 10 * MS, VERDICT_LOST) + MS;
		hear(&peer, now_ns);
		ck_assert_uint_eq(peer.hold_ns, expected);
		ck_assert_uint_eq(peer.hold_until_ns, now_ns + expected);
		ck_assert_uint_eq(peer.flaps, flap);
		expected = expected * 2 < VERDICT_HOLD_MAX_NS ? expected * 2 : VERDICT_HOLD_MAX_NS;
	}
	ck_assert_uint_eq(peer.hold_ns, VERDICT_HOLD_MAX_NS);
}
END_TEST

START_TEST(test_hold_down_forgiven_after_a_minute)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS;

	for (int flap = 0; flap < 3; flap++) {
		now_ns = silent_until(&peer, &COMPANY, now_ns + MS, VERDICT_LOST) + MS;
		hear(&peer, now_ns);
	}
	ck_assert_uint_eq(peer.hold_ns, 4 * VERDICT_HOLD_MIN_NS);
	now_ns += VERDICT_FLAP_FORGIVEN_NS;
	now_ns = silent_until(&peer, &COMPANY, now_ns, VERDICT_LOST) + MS;
	hear(&peer, now_ns);
	ck_assert_uint_eq(peer.hold_ns, VERDICT_HOLD_MIN_NS);
}
END_TEST

START_TEST(test_learning_frozen_while_silent)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint32_t loss_ppm = peer.loss_ppm;

	for (uint32_t i = 0; i < 100; i++) {
		silent(&peer, &COMPANY, START_NS + 20 * MS * i, i);
		ck_assert_uint_eq(peer.loss_ppm, loss_ppm);
		ck_assert_uint_eq(peer.learnt_tau_ns, 0);
	}
}
END_TEST

START_TEST(test_learning_not_from_deaths)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = silent_until(&peer, &COMPANY, START_NS, VERDICT_DEAD);
	uint32_t loss_ppm = peer.loss_ppm;

	hear(&peer, now_ns + 600 * S);
	ck_assert_uint_eq(peer.loss_ppm, loss_ppm);
	ck_assert_uint_eq(peer.learnt_tau_ns, 0);
	ck_assert_uint_eq(verdict_tau_ns(&RULE, &peer), TAU_NS);
}
END_TEST

START_TEST(test_loss_learnt_and_bounded)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS;

	silent(&peer, &COMPANY, now_ns += MS, 1);
	hear(&peer, now_ns += MS);
	ck_assert_uint_gt(peer.loss_ppm, VERDICT_LOSS_START_PPM);
	for (int i = 0; i < 100000; i++) {
		silent(&peer, &COMPANY, now_ns += MS, 1);
		hear(&peer, now_ns += MS);
		ck_assert_uint_le(peer.loss_ppm, VERDICT_PPM);
	}
	ck_assert_uint_eq(verdict_loss_md(peer.loss_ppm), VERDICT_LOSS_MIN_MD);
	for (int i = 0; i < 10000; i++)
		hear(&peer, now_ns += MS);
	ck_assert_uint_eq(verdict_loss_md(peer.loss_ppm), VERDICT_LOSS_MAX_MD);
}
END_TEST

START_TEST(test_tau_learnt_within_bounds)
{
	struct verdict_peer peer = heard_peer(START_NS);

	for (int i = 0; i < 100; i++) {
		verdict_learn_tau(&peer, &RULE, 3600 * S);
		ck_assert_uint_le(verdict_tau_ns(&RULE, &peer), TAU_NS * VERDICT_TAU_FACTOR_MAX);
	}
	ck_assert_uint_eq(verdict_tau_ns(&RULE, &peer), TAU_NS * VERDICT_TAU_FACTOR_MAX);
	for (int i = 0; i < 1000; i++) {
		verdict_learn_tau(&peer, &RULE, 0);
		ck_assert_uint_ge(verdict_tau_ns(&RULE, &peer), TAU_NS);
	}
	ck_assert_uint_eq(verdict_tau_ns(&RULE, &peer), TAU_NS);
	verdict_learn_tau(&peer, &RULE, UINT64_MAX);
	ck_assert_uint_eq(verdict_tau_ns(&RULE, &peer), TAU_NS * VERDICT_TAU_FACTOR_MAX);
}
END_TEST

START_TEST(test_tau_learns_fast_first_then_steadily)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t before_ns, step_ns = UINT64_MAX;

	for (int i = 0; i < VERDICT_TAU_LESSONS_MAX; i++) {
		before_ns = verdict_tau_ns(&RULE, &peer);
		verdict_learn_tau(&peer, &RULE, 100 * MS);
		ck_assert_uint_lt(peer.learnt_tau_ns - before_ns, step_ns);
		step_ns = peer.learnt_tau_ns - before_ns;
		if (i == 0)
			ck_assert_uint_eq(step_ns, (100 * MS - TAU_NS) / VERDICT_TAU_LESSONS_MIN);
	}
	ck_assert_uint_eq(peer.lessons, VERDICT_TAU_LESSONS_MAX - VERDICT_TAU_LESSONS_MIN);
}
END_TEST

START_TEST(test_silence_teaches_loss_or_tau_never_both)
{
	struct verdict_peer peer = heard_peer(START_NS), before;
	uint64_t now_ns = START_NS;

	/* One lost segment is a loss, however long its repetition took to be answered. */
	before = peer;
	silent(&peer, &COMPANY, now_ns += S, 1);
	hear(&peer, now_ns += 50 * MS);
	ck_assert_uint_gt(peer.loss_ppm, before.loss_ppm);
	ck_assert_uint_eq(peer.learnt_tau_ns, 0);
	/* Ten in a row are an outage, as long as from the first to the last of them. */
	before = peer;
	now_ns += S;
	for (uint32_t i = 0; i < 10; i++)
		silent(&peer, &COMPANY, now_ns += 10 * MS, i % 2);
	hear(&peer, now_ns + S);
	ck_assert_uint_eq(peer.loss_ppm, before.loss_ppm);
	ck_assert_uint_eq(peer.learnt_tau_ns,
			  TAU_NS + (90 * MS - TAU_NS) / VERDICT_TAU_LESSONS_MIN);
}
END_TEST

START_TEST(test_stalled_connection_teaches_no_patience)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS;

	for (uint64_t backoff_ns = 30 * MS; backoff_ns < 4 * S; backoff_ns *= 2)
		silent(&peer, &COMPANY, now_ns += backoff_ns, 1);
	hear(&peer, now_ns + MS);
	ck_assert_uint_eq(peer.learnt_tau_ns, 0);
	/* And an outage of the path, however long, teaches no more than the ceiling. */
	for (uint32_t i = 0; i < 3; i++)
		silent(&peer, &COMPANY, now_ns += S, i);
	peer.state = VERDICT_LOST;
	hear(&peer, now_ns + MS);
	ck_assert_uint_le(peer.learnt_tau_ns,
			  TAU_NS + (VERDICT_TAU_FACTOR_MAX - 1) * TAU_NS / VERDICT_TAU_LESSONS_MIN);
}
END_TEST

START_TEST(test_early_voice_does_not_vouch_when_all_fall_silent)
{
	struct verdict_view cut = {.heard_ns = START_NS + 5 * MS, .silent = 2, .peers = 3};
	struct verdict_peer peer = heard_peer(START_NS - MS);

	/* Suspected at START, another heard 5 ms later, then the cable was cut. */
	for (uint64_t i = 0; i < 200; i++) {
		silent(&peer, &cut, START_NS + i * 10 * MS, (uint32_t)(i % 3));
		ck_assert_uint_ne(peer.state, VERDICT_LOST);
		ck_assert_uint_ne(peer.state, VERDICT_DEAD);
	}
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	/* With the other still talking it is the peer. */
	peer = heard_peer(START_NS - MS);
	for (uint64_t i = 0; i < 200 && peer.state != VERDICT_DEAD; i++) {
		cut.heard_ns = START_NS + i * 10 * MS;
		silent(&peer, &cut, START_NS + i * 10 * MS, (uint32_t)(i % 3));
	}
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_link_flap_does_not_kill_the_only_peer)
{
	struct verdict_view pair = {.heard_ns = START_NS - 1, .silent = 1, .peers = 1};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = START_NS;

	pair.link_down = 1;
	verdict_review(&peer, &RULE, &pair, 0, now_ns);
	for (uint32_t i = 0; i < 500; i++)
		silent(&peer, &pair, now_ns += 10 * MS, i);
	ck_assert_uint_eq(peer.state, VERDICT_ISOLATED);
	pair.link_down = 0;
	verdict_review(&peer, &RULE, &pair, 0, now_ns + MS);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert_uint_eq(peer.silence.phi_md, 0);
}
END_TEST

START_TEST(test_suspicion_that_nothing_feeds_expires)
{
	struct verdict_peer peer = heard_peer(START_NS - MS);

	silent(&peer, &COMPANY, START_NS, 1);
	ck_assert(!verdict_review(&peer, &RULE, &COMPANY, 0, START_NS + VERDICT_STALE_NS));
	ck_assert(verdict_review(&peer, &RULE, &COMPANY, 0, START_NS + VERDICT_STALE_NS + 1));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_EXPIRED);
}
END_TEST

START_TEST(test_review_keeps_the_reason_of_the_evidence)
{
	struct verdict_view idle = {.heard_ns = START_NS - 1, .silent = 1, .peers = 2};
	struct verdict_peer peer = heard_peer(START_NS - 1);
	uint64_t now_ns = START_NS;

	while (peer.silence.phi_md < VERDICT_LOST_MD)
		silent(&peer, &idle, now_ns, (uint32_t)now_ns), now_ns += 10 * MS;
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	/* Somebody else speaks up, and somebody else's note makes for a review. */
	idle.heard_ns = now_ns;
	ck_assert(verdict_review(&peer, &RULE, &idle, 0, now_ns));
	ck_assert_uint_eq(peer.state, VERDICT_LOST);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_RETRANSMIT);
}
END_TEST

START_TEST(test_tau_settles_no_higher_than_the_silences)
{
	struct verdict_peer peer = heard_peer(START_NS);

	for (int i = 0; i < 1000; i++)
		verdict_learn_tau(&peer, &RULE, 100 * MS);
	ck_assert_uint_le(verdict_tau_ns(&RULE, &peer), 100 * MS);
	ck_assert_uint_ge(verdict_tau_ns(&RULE, &peer), 99 * MS);
}
END_TEST

START_TEST(test_tau_fades_by_half_in_its_half_life)
{
	struct verdict_peer peer = heard_peer(START_NS);
	/* ln 2 of the steps that it takes to fade to 1/e, one a second */
	int seconds = (1 << VERDICT_TAU_CALM_SHIFT) * 693 / 1000;
	uint64_t now_ns = START_NS;

	peer.learnt_tau_ns = 8 * TAU_NS;
	/* However many segments arrive in a second, it is one second. */
	for (int i = 0; i < seconds * 100; i++)
		hear(&peer, now_ns += 10 * MS);
	ck_assert_uint_lt(peer.learnt_tau_ns, 4 * TAU_NS + TAU_NS / 4);
	ck_assert_uint_gt(peer.learnt_tau_ns, 4 * TAU_NS - TAU_NS / 4);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_state_isolated_when_all_are_silent,
		test_isolation_never_passes_through_lost,
		test_isolation_evidence_does_not_blame_afterwards,
		test_isolation_ends_by_review_or_by_hearing,
		test_alone_waits_for_others_but_not_for_ever,
		test_only_peer_is_judged_by_itself,
		test_link_down_blames_nobody,
		test_link_flap_leaves_a_quiet_peer_alive,
		test_link_flap_does_not_raise_the_dead,
		test_hold_down_doubles_to_its_ceiling,
		test_hold_down_forgiven_after_a_minute,
		test_learning_frozen_while_silent,
		test_learning_not_from_deaths,
		test_loss_learnt_and_bounded,
		test_tau_learnt_within_bounds,
		test_tau_learns_fast_first_then_steadily,
		test_silence_teaches_loss_or_tau_never_both,
		test_stalled_connection_teaches_no_patience,
		test_early_voice_does_not_vouch_when_all_fall_silent,
		test_link_flap_does_not_kill_the_only_peer,
		test_suspicion_that_nothing_feeds_expires,
		test_review_keeps_the_reason_of_the_evidence,
		test_tau_settles_no_higher_than_the_silences,
		test_tau_fades_by_half_in_its_half_life,
		NULL,
	};

	return run_tests("verdict-life", tests);
}
