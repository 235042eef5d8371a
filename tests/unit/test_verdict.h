/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_verdict.h - what the tests of the decision rule share: a rule, a company, short words.
 *
 * Room: tests/unit, header only. Calls include/knell/verdict.h and check. Called by
 * test_verdict.c, test_verdict_life.c and test_verdict_laws.c.
 */
#ifndef KNELL_TEST_VERDICT_H
#define KNELL_TEST_VERDICT_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "knell/verdict.h"

#define MS	 1000000ULL
#define S	 1000000000ULL
#define TAU_NS	 (20 * MS)
#define START_NS (1000 * S)
/* Time that brings one milli-decade at TAU_NS. */
#define NS_PER_MD (TAU_NS / VERDICT_E_MD)

static const struct verdict_rule RULE = {
	.tau_ns = TAU_NS,
	.lost_md = VERDICT_LOST_MD,
	.dead_md = VERDICT_DEAD_MD,
	.dead_sends = VERDICT_DEAD_SENDS,
	.min_tuples = VERDICT_MIN_TUPLES,
};

/* Another peer was heard after any silence began. */
static const struct verdict_view COMPANY = {.heard_ns = UINT64_MAX, .silent = 1, .peers = 3};

static inline struct verdict_peer heard_peer(uint64_t now_ns)
{
	struct verdict_peer peer = {0};

	verdict_heard(&peer, &RULE, &COMPANY, now_ns, now_ns, VERDICT_REASON_ACK);
	return peer;
}

static inline int silent(struct verdict_peer *peer, const struct verdict_view *view,
			 uint64_t now_ns, uint32_t tuple)
{
	return verdict_unanswered(peer, &RULE, view, now_ns, tuple, 1, VERDICT_REASON_RETRANSMIT);
}

static inline int hear(struct verdict_peer *peer, uint64_t now_ns)
{
	return verdict_heard(peer, &RULE, &COMPANY, now_ns, now_ns, VERDICT_REASON_ACK);
}

/* One unanswered transmission every 10 ms, on two five-tuples in turn, until @state is reached. */
static inline uint64_t silent_until(struct verdict_peer *peer, const struct verdict_view *view,
				    uint64_t now_ns, uint32_t state)
{
	for (uint32_t i = 0; i < 1000; i++, now_ns += 10 * MS) {
		silent(peer, view, now_ns, i % 2);
		if (peer->state == state)
			return now_ns;
	}
	ck_abort_msg("state %u not reached, stuck in %u", state, peer->state);
	return 0;
}

/* Run one case of tests, given as an array that ends with NULL; exit status of the program. */
static inline int run_tests(const char *name, const TTest *const *tests)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	for (; *tests; tests++)
		tcase_add_test(tcase, *tests);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
