// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_verdict.c - the decision rule at its edges: weights, counting, states.
 *
 * Room: tests/unit. Calls include/knell/verdict.h alone. Run by `make check`.
 *
 * What the rule must do is DESIGN's "The decision rule"; each state has a test named after its row.
 * Isolation, hold-down and learning are in test_verdict_life.c, random events in
 * test_verdict_laws.c.
 */
#include <math.h>

#include "test_verdict.h"

START_TEST(test_log10_error_below_3_md)
{
	double worst = 0;

	for (uint64_t value = 1; value <= UINT32_MAX; value += 1 + value / 5000) {
		double error =
			fabs(verdict_log10_md((uint32_t)value) - 1000 * log10((double)value));

		if (error > worst)
			worst = error;
	}
	ck_assert_double_lt(worst, 3.0);
}
END_TEST

START_TEST(test_log10_exact_points)
{
	ck_assert_uint_eq(verdict_log10_md(0), 0);
	ck_assert_uint_eq(verdict_log10_md(1), 0);
	ck_assert_uint_eq(verdict_log10_md(2), 301);
	ck_assert_int_lt(abs((int)verdict_log10_md(1U << 31) - 9332), 3);
	ck_assert_uint_le(verdict_log10_md(UINT32_MAX), 9633);
}
END_TEST

START_TEST(test_loss_weight_clamped_and_monotonic)
{
	uint32_t previous = VERDICT_LOSS_MAX_MD;

	ck_assert_uint_eq(verdict_loss_md(0), VERDICT_LOSS_MAX_MD);
	ck_assert_uint_eq(verdict_loss_md(1), VERDICT_LOSS_MAX_MD);
	ck_assert_uint_eq(verdict_loss_md(1000), VERDICT_LOSS_MAX_MD);
	ck_assert_uint_eq(verdict_loss_md(VERDICT_PPM), VERDICT_LOSS_MIN_MD);
	ck_assert_uint_eq(verdict_loss_md(UINT32_MAX), VERDICT_LOSS_MIN_MD);
	ck_assert_int_lt(abs((int)verdict_loss_md(10000) - 2000), 4);
	ck_assert_int_lt(abs((int)verdict_loss_md(100000) - 1000), 4);
	for (uint32_t ppm = 1; ppm <= VERDICT_PPM; ppm += 7) {
		uint32_t weight = verdict_loss_md(ppm);

		/* The parabola's seams at powers of two may step by its error. */
		ck_assert_uint_le(weight, previous + 3);
		previous = weight;
	}
}
END_TEST

START_TEST(test_count_first_adds_loss_alone)
{
	struct verdict_tally tally = {0};

	verdict_count(&tally, TAU_NS, 2000, START_NS, 1);
	ck_assert_uint_eq(tally.phi_md, 2000);
	ck_assert_uint_eq(tally.sends, 1);
	ck_assert_uint_eq(tally.began_ns, START_NS);
	ck_assert_uint_eq(tally.counted_ns, START_NS);
}
END_TEST

START_TEST(test_count_first_adds_loss_alone_however_many_sends)
{
	struct verdict_tally tally = {};

	/* Keepalive probes that ran out share one five-tuple, which a firewall may have forgotten.
	 */
	verdict_count(&tally, TAU_NS, VERDICT_LOSS_MAX_MD, START_NS, 8);
	ck_assert_uint_eq(tally.phi_md, VERDICT_LOSS_MAX_MD);
	ck_assert_uint_eq(tally.sends, 8);
}
END_TEST

START_TEST(test_count_microburst_counts_once)
{
	struct verdict_tally tally = {0};

	for (int socket = 0; socket < 8; socket++)
		verdict_count(&tally, TAU_NS, 3000, START_NS, 1);
	ck_assert_uint_eq(tally.phi_md, 3000);
	ck_assert_uint_eq(tally.sends, 8);
}
END_TEST

START_TEST(test_count_by_time_then_capped_by_loss)
{
	struct verdict_tally tally = {0};

	verdict_count(&tally, TAU_NS, 3000, START_NS, 1);
	verdict_count(&tally, TAU_NS, 3000, START_NS + TAU_NS, 1);
	ck_assert_uint_eq(tally.phi_md, 3000 + VERDICT_E_MD);
	verdict_count(&tally, TAU_NS, 3000, START_NS + 100 * S, 1);
	ck_assert_uint_eq(tally.phi_md, 3000 + VERDICT_E_MD + 3000);
	verdict_count(&tally, TAU_NS, 700, START_NS + 200 * S, 3);
	ck_assert_uint_eq(tally.phi_md, 3000 + VERDICT_E_MD + 3000 + 3 * 700);
}
END_TEST

START_TEST(test_count_worthless_event_keeps_the_clock)
{
	struct verdict_tally tally = {0};
	uint64_t now_ns = START_NS;

	verdict_count(&tally, TAU_NS, 3000, now_ns, 1);
	/* Each of these alone is worth less than one milli-decade. */
	for (int i = 0; i < 1000; i++) {
		now_ns += NS_PER_MD / 2;
		verdict_count(&tally, TAU_NS, 3000, now_ns, 1);
	}
	ck_assert_uint_ge(tally.phi_md, 3000 + 300);
	ck_assert_uint_le(tally.phi_md, 3000 + 501);
}
END_TEST

START_TEST(test_count_absurd_input_saturates)
{
	struct verdict_tally tally = {0};

	verdict_count(&tally, TAU_NS, 3000, START_NS, 1);
	verdict_count(&tally, TAU_NS, 3000, START_NS - S, 1);
	ck_assert_uint_eq(tally.phi_md, 3000);
	verdict_count(&tally, 0, 3000, START_NS + S, 1);
	ck_assert_uint_eq(tally.phi_md, 3000);
	for (int i = 1; i < 100; i++)
		verdict_count(&tally, TAU_NS, 3000, START_NS + (uint64_t)i * 100 * S, 1);
	ck_assert_uint_eq(tally.phi_md, VERDICT_PHI_MAX_MD);
	verdict_count(&tally, TAU_NS, 3000, UINT64_MAX, 1);
	ck_assert_uint_eq(tally.phi_md, VERDICT_PHI_MAX_MD);
	tally.sends = VERDICT_SENDS_MAX;
	verdict_count(&tally, TAU_NS, 3000, UINT64_MAX, 5);
	ck_assert_uint_eq(tally.sends, VERDICT_SENDS_MAX);
}
END_TEST

START_TEST(test_agree_counts_distinct_tuples_up_to_its_room)
{
	struct verdict_peer peer = {0};

	verdict_agree(&peer, 7);
	verdict_agree(&peer, 7);
	ck_assert_uint_eq(peer.tuple_count, 1);
	/* Zero is an id like any other. */
	verdict_agree(&peer, 0);
	ck_assert_uint_eq(peer.tuple_count, 2);
	for (uint32_t tuple = 100; tuple < 200; tuple++)
		verdict_agree(&peer, tuple);
	ck_assert_uint_eq(peer.tuple_count, VERDICT_TUPLES_MAX);
}
END_TEST

START_TEST(test_state_new_until_heard)
{
	struct verdict_peer peer = {0};

	ck_assert_uint_eq(verdict_judge(&peer, &RULE, &COMPANY), VERDICT_NEW);
	ck_assert(hear(&peer, START_NS));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
	/* The segment that starts the estimate is itself one that was answered. */
	ck_assert_uint_le(peer.loss_ppm, VERDICT_LOSS_START_PPM);
	ck_assert_uint_ge(peer.loss_ppm, VERDICT_LOSS_START_PPM - 2);
	ck_assert_uint_eq(peer.heard_ns, START_NS);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_ACK);
	ck_assert(!hear(&peer, START_NS + MS));
	ck_assert_uint_eq(peer.heard_ns, START_NS + MS);
}
END_TEST

START_TEST(test_state_suspect_at_first_unanswered)
{
	struct verdict_peer peer = heard_peer(START_NS);

	ck_assert(silent(&peer, &COMPANY, START_NS + MS, 1));
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert_uint_eq(peer.epoch, 1);
	ck_assert(hear(&peer, START_NS + 2 * MS));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
	ck_assert_uint_eq(peer.silence.sends, 0);
	ck_assert_uint_eq(peer.tuple_count, 0);
	ck_assert_uint_eq(peer.hold_ns, 0);
}
END_TEST

START_TEST(test_state_lost_needs_evidence_and_two_tuples)
{
	struct verdict_peer peer = heard_peer(START_NS);

	for (uint64_t i = 0; i < 100; i++)
		silent(&peer, &COMPANY, START_NS + i * 100 * MS, 1);
	/* One five-tuple alone, however silent, is a stalled connection. */
	ck_assert_uint_gt(peer.silence.phi_md, VERDICT_DEAD_MD);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);

	peer = heard_peer(START_NS);
	silent(&peer, &COMPANY, START_NS, 1);
	silent(&peer, &COMPANY, START_NS + MS, 2);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert(silent(&peer, &COMPANY, START_NS + MS + 3000 * NS_PER_MD + 2 * MS, 2));
	ck_assert_uint_ge(peer.silence.phi_md, VERDICT_LOST_MD);
	ck_assert_uint_eq(peer.state, VERDICT_LOST);
}
END_TEST

START_TEST(test_state_dead_needs_four_sends)
{
	struct verdict_peer peer = heard_peer(START_NS);

	/* Far apart, so that each brings the most that one can. */
	for (uint32_t i = 0; i < 3; i++)
		silent(&peer, &COMPANY, START_NS + i * S, i);
	ck_assert_uint_eq(peer.state, VERDICT_LOST);
	peer.silence.phi_md = VERDICT_DEAD_MD + 5000;
	ck_assert_uint_eq(verdict_judge(&peer, &RULE, &COMPANY), VERDICT_LOST);
	silent(&peer, &COMPANY, START_NS + 3 * S, 3);
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_state_dead_needs_its_phi)
{
	struct verdict_peer peer = heard_peer(START_NS);

	for (uint32_t i = 0; i < 50; i++)
		silent(&peer, &COMPANY, START_NS + i * MS, i);
	ck_assert_uint_lt(peer.silence.phi_md, VERDICT_LOST_MD);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
}
END_TEST

START_TEST(test_state_lost_and_dead_taken_back_when_heard)
{
	const uint32_t states[] = {VERDICT_LOST, VERDICT_DEAD};

	for (int i = 0; i < 2; i++) {
		struct verdict_peer peer = heard_peer(START_NS);
		uint64_t now_ns = silent_until(&peer, &COMPANY, START_NS, states[i]);

		ck_assert(hear(&peer, now_ns + MS));
		ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
		ck_assert_uint_eq(peer.silence.phi_md, 0);
		ck_assert_uint_eq(peer.hold_until_ns, now_ns + MS + VERDICT_HOLD_MIN_NS);
		ck_assert_uint_eq(peer.flaps, 1);
	}
}
END_TEST

START_TEST(test_state_degraded_is_the_agents_note)
{
	struct verdict_peer peer = heard_peer(START_NS);

	ck_assert(verdict_review(&peer, &RULE, &COMPANY, VERDICT_REASON_LATE, START_NS + MS));
	ck_assert_uint_eq(peer.state, VERDICT_DEGRADED);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_LATE);
	ck_assert(!hear(&peer, START_NS + 2 * MS));
	ck_assert_uint_eq(peer.state, VERDICT_DEGRADED);
	silent(&peer, &COMPANY, START_NS + 3 * MS, 1);
	ck_assert_uint_eq(peer.state, VERDICT_SUSPECT);
	ck_assert_uint_eq(peer.epoch, 1);
	hear(&peer, START_NS + 4 * MS);
	ck_assert_uint_eq(peer.state, VERDICT_DEGRADED);
	ck_assert(verdict_review(&peer, &RULE, &COMPANY, 0, START_NS + 5 * MS));
	ck_assert_uint_eq(peer.state, VERDICT_ALIVE);
	ck_assert_uint_eq(peer.reason, VERDICT_REASON_NOTE_END);
	ck_assert(!verdict_review(&peer, &RULE, &COMPANY, 0, START_NS + 6 * MS));
}
END_TEST

START_TEST(test_note_does_not_soften_dead)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = silent_until(&peer, &COMPANY, START_NS, VERDICT_DEAD);

	ck_assert(!verdict_review(&peer, &RULE, &COMPANY, VERDICT_REASON_LATE, now_ns + MS));
	ck_assert_uint_eq(peer.state, VERDICT_DEAD);
}
END_TEST

START_TEST(test_stalled_connection)
{
	struct verdict_tally socket = {
		.began_ns = START_NS, .phi_md = VERDICT_DEAD_MD, .sends = VERDICT_DEAD_SENDS};

	ck_assert(verdict_stalled(&socket, &RULE, START_NS + 1));
	ck_assert(!verdict_stalled(&socket, &RULE, START_NS));
	socket.sends--;
	ck_assert(!verdict_stalled(&socket, &RULE, START_NS + 1));
	socket.sends++;
	socket.phi_md--;
	ck_assert(!verdict_stalled(&socket, &RULE, START_NS + 1));
}
END_TEST

START_TEST(test_epoch_names_the_silence_seq_the_transition)
{
	struct verdict_peer peer = heard_peer(START_NS);
	uint64_t now_ns = START_NS;

	ck_assert_uint_eq(peer.seq, 1);
	for (uint32_t i = 1; i <= 5; i++) {
		now_ns = silent_until(&peer, &COMPANY, now_ns + MS, VERDICT_DEAD);
		ck_assert_uint_eq(peer.epoch, i);
		/* suspect, lost, dead, and alive of the round before */
		ck_assert_uint_eq(peer.seq, 4ULL * i);
		ck_assert_uint_eq(peer.since_ns, now_ns);
		hear(&peer, now_ns += MS);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_log10_error_below_3_md,
		test_log10_exact_points,
		test_loss_weight_clamped_and_monotonic,
		test_count_first_adds_loss_alone,
		test_count_first_adds_loss_alone_however_many_sends,
		test_count_microburst_counts_once,
		test_count_by_time_then_capped_by_loss,
		test_count_worthless_event_keeps_the_clock,
		test_count_absurd_input_saturates,
		test_agree_counts_distinct_tuples_up_to_its_room,
		test_state_new_until_heard,
		test_state_suspect_at_first_unanswered,
		test_state_lost_needs_evidence_and_two_tuples,
		test_state_dead_needs_four_sends,
		test_state_dead_needs_its_phi,
		test_state_lost_and_dead_taken_back_when_heard,
		test_state_degraded_is_the_agents_note,
		test_note_does_not_soften_dead,
		test_stalled_connection,
		test_epoch_names_the_silence_seq_the_transition,
		NULL,
	};

	return run_tests("verdict", tests);
}
