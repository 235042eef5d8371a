// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_verdict_laws.c - random events against the laws that must always hold.
 *
 * Room: tests/unit. Calls include/knell/verdict.h alone. Run by `make check`.
 */
#include <string.h>

#include "test_verdict.h"

/* ck_assert speaks to its parent at every call, which is too slow for millions. */
#define HOLD(law)                                 \
	do {                                      \
		if (!(law))                       \
			ck_abort_msg("%s", #law); \
	} while (0)

struct fuzz {
	uint64_t random;
	uint64_t now_ns;
	struct verdict_peer peer;
	struct verdict_view view;
	uint32_t noted;
};

static uint32_t draw(struct fuzz *fuzz, uint32_t below)
{
	fuzz->random ^= fuzz->random << 13;
	fuzz->random ^= fuzz->random >> 7;
	fuzz->random ^= fuzz->random << 17;
	return (uint32_t)(fuzz->random >> 33) % below;
}

/* What must hold after every call, whatever came before. */
static void check_laws(const struct verdict_peer *was, const struct verdict_peer *is, int changed)
{
	HOLD(changed == (was->state != is->state));
	HOLD(is->seq - was->seq == (changed ? 1 : 0));
	HOLD(is->epoch >= was->epoch);
	HOLD(is->epoch - was->epoch <= 1);
	HOLD(is->state < VERDICT_STATES);
	HOLD(is->silence.phi_md <= VERDICT_PHI_MAX_MD);
	HOLD(is->loss_ppm <= VERDICT_PPM);
	HOLD(is->hold_ns <= VERDICT_HOLD_MAX_NS);
	HOLD(is->tuple_count <= VERDICT_TUPLES_MAX);
	HOLD(verdict_tau_ns(&RULE, is) >= TAU_NS);
	HOLD(verdict_tau_ns(&RULE, is) <= TAU_NS * VERDICT_TAU_FACTOR_MAX);
	if (is->state == VERDICT_LOST || is->state == VERDICT_DEAD) {
		HOLD(is->silence.phi_md >= RULE.lost_md);
		HOLD(is->tuple_count >= RULE.min_tuples);
	}
	if (is->state == VERDICT_DEAD) {
		HOLD(is->silence.phi_md >= RULE.dead_md);
		HOLD(is->silence.sends >= RULE.dead_sends);
	}
}

/*
 * Connections that were not looked at hold the verdict where it is: they neither accuse nor acquit.
 * Only evidence that is gone, as after an isolation, takes a state back.
 */
static void check_unasked(const struct fuzz *fuzz, const struct verdict_peer *was)
{
	const struct verdict_peer *is = &fuzz->peer;

	if (!fuzz->view.unasked || fuzz->view.link_down)
		return;
	HOLD(is->state <= VERDICT_SUSPECT || is->state == was->state);
	if (was->state > VERDICT_SUSPECT && is->silence.phi_md >= RULE.lost_md &&
	    is->tuple_count >= RULE.min_tuples)
		HOLD(is->state == was->state);
}

static void fuzz_silent(struct fuzz *fuzz)
{
	struct verdict_peer was = fuzz->peer;
	int changed =
		verdict_unanswered(&fuzz->peer, &RULE, &fuzz->view, fuzz->now_ns, draw(fuzz, 10),
				   1 + (draw(fuzz, 20) == 0) * 2, VERDICT_REASON_RETRANSMIT);

	check_laws(&was, &fuzz->peer, changed);
	check_unasked(fuzz, &was);
	HOLD(fuzz->peer.silence.sends > 0);
	/* Only the end of an isolation may take evidence away. */
	if (was.state != VERDICT_ISOLATED) {
		HOLD(fuzz->peer.silence.phi_md >= was.silence.phi_md);
		HOLD(fuzz->peer.silence.sends > was.silence.sends);
		HOLD(fuzz->peer.tuple_count >= was.tuple_count);
	}
	HOLD(fuzz->peer.loss_ppm == was.loss_ppm);
	HOLD(fuzz->peer.learnt_tau_ns == was.learnt_tau_ns);
	HOLD(fuzz->peer.state != VERDICT_ALIVE);
}

static void fuzz_heard(struct fuzz *fuzz)
{
	struct verdict_peer was = fuzz->peer;
	uint64_t heard_ns = fuzz->now_ns - draw(fuzz, 1000000);
	int changed = verdict_heard(&fuzz->peer, &RULE, &fuzz->view, heard_ns, fuzz->now_ns,
				    VERDICT_REASON_ACK);

	check_laws(&was, &fuzz->peer, changed);
	HOLD(fuzz->peer.silence.sends == 0);
	HOLD(fuzz->peer.silence.phi_md == 0);
	HOLD(fuzz->peer.heard_ns >= was.heard_ns);
	if (fuzz->view.link_down)
		HOLD(fuzz->peer.state == VERDICT_ISOLATED);
	else
		HOLD(fuzz->peer.state == (fuzz->noted ? VERDICT_DEGRADED : VERDICT_ALIVE));
}

static void fuzz_review(struct fuzz *fuzz)
{
	struct verdict_peer was = fuzz->peer;
	int changed;

	fuzz->noted = draw(fuzz, 3) ? 0 : VERDICT_REASON_LATE;
	changed = verdict_review(&fuzz->peer, &RULE, &fuzz->view, fuzz->noted, fuzz->now_ns);
	check_laws(&was, &fuzz->peer, changed);
	check_unasked(fuzz, &was);
	HOLD(fuzz->peer.silence.phi_md <= was.silence.phi_md);
}

static void fuzz_step(struct fuzz *fuzz, uint32_t hear_one_in)
{
	uint32_t kind = draw(fuzz, 1000);

	fuzz->now_ns += draw(fuzz, 50) * MS / 4;
	fuzz->view.silent = 1 + draw(fuzz, 2);
	fuzz->view.unasked = draw(fuzz, 2);
	if (draw(fuzz, 10) == 0)
		fuzz->view.heard_ns = fuzz->now_ns - draw(fuzz, 100) * MS;
	if (kind < 5)
		fuzz->view.link_down = draw(fuzz, 2);
	if (kind < 20)
		fuzz_review(fuzz);
	else if (kind % hear_one_in == 0)
		fuzz_heard(fuzz);
	else
		fuzz_silent(fuzz);
}

START_TEST(test_property_random_events)
{
	struct fuzz fuzz = {.random = 0x9e3779b97f4a7c15ULL};
	uint64_t seen[VERDICT_STATES] = {0};

	for (int sequence = 0; sequence < 20000; sequence++) {
		/* From chatter to long silences. */
		uint32_t hear_one_in = 2 + draw(&fuzz, 200);

		memset(&fuzz.peer, 0, sizeof(fuzz.peer));
		fuzz.view = (struct verdict_view){.peers = 1 + draw(&fuzz, 3)};
		fuzz.now_ns = START_NS;
		fuzz.noted = 0;
		for (int event = 0; event < 100; event++) {
			fuzz_step(&fuzz, hear_one_in);
			seen[fuzz.peer.state]++;
		}
	}
	/* The walk must have been everywhere, or it proves nothing. */
	for (int state = VERDICT_ALIVE; state < VERDICT_STATES; state++)
		ck_assert_uint_gt(seen[state], 1000);
}
END_TEST

START_TEST(test_property_clock_gone_mad)
{
	struct fuzz fuzz = {.random = 88172645463325252ULL};
	const uint64_t moments[] = {0,	       1, MS, START_NS, UINT64_MAX / 434, UINT64_MAX / 2,
				    UINT64_MAX};

	for (int event = 0; event < 1000000; event++) {
		fuzz.now_ns = moments[draw(&fuzz, 7)] - draw(&fuzz, 2);
		fuzz.view.heard_ns = moments[draw(&fuzz, 7)];
		fuzz.view.peers = draw(&fuzz, 4);
		fuzz.view.silent = draw(&fuzz, 4);
		fuzz.view.unasked = draw(&fuzz, 2);
		if (draw(&fuzz, 20) == 0) {
			memset(&fuzz.peer, 0, sizeof(fuzz.peer));
			verdict_heard(&fuzz.peer, &RULE, &fuzz.view, 1, fuzz.now_ns,
				      VERDICT_REASON_ACK);
		} else {
			fuzz_silent(&fuzz);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_property_random_events,
		test_property_clock_gone_mad,
		NULL,
	};

	return run_tests("verdict-laws", tests);
}
