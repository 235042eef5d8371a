// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_sim.c - the simulator's own figures: percentiles, claims, kernel timers, replay.
 *
 * Room: tests/unit. Calls tests/bench/sim_stat, sim_path, sim_peer and sim_replay. Run by
 * `make check`; a figure that the README shows must not come from a broken ruler.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sim_path.h"
#include "bench/sim_peer.h"
#include "bench/sim_replay.h"
#include "bench/sim_stat.h"

#define MS 1000000ULL
#define S  1000000000ULL

static const struct sim_peer_plan LAN = {
	.name = "lan",
	.rule = {.tau_ns = 20 * MS,
		 .lost_md = VERDICT_LOST_MD,
		 .dead_md = VERDICT_DEAD_MD,
		 .dead_sends = VERDICT_DEAD_SENDS,
		 .min_tuples = VERDICT_MIN_TUPLES},
	.heartbeat_ns = 100 * MS,
	.probe_ns = 25 * MS,
	.tick_ns = 4 * MS,
	.rto_min_ns = 20 * MS,
	.rtt_ns = MS / 5,
	.others = 3,
};

/* Run @text as a trace; @stat must be initialised. */
static int replay(const char *text, struct sim_stat *stat)
{
	FILE *trace = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int line;

	ck_assert_ptr_nonnull(trace);
	line = sim_replay_run(trace, &LAN, NULL, stat);
	fclose(trace);
	return line;
}

START_TEST(test_percentile_nearest_rank)
{
	double value[] = {5, 1, 4, 2, 3};
	struct sim_stat_sample sample = {.value = value, .count = 5}, none = {0};

	ck_assert_double_eq(sim_stat_percentile(&sample, 0), 1);
	ck_assert_double_eq(sim_stat_percentile(&sample, 0.2), 1);
	ck_assert_double_eq(sim_stat_percentile(&sample, 0.5), 3);
	ck_assert_double_eq(sim_stat_percentile(&sample, 0.99), 5);
	ck_assert_double_eq(sim_stat_percentile(&sample, 1), 5);
	ck_assert(isnan(sim_stat_percentile(&none, 0.5)));
}
END_TEST

START_TEST(test_no_mistake_claims_a_third)
{
	struct sim_stat stat;
	bool at_least;

	sim_stat_init(&stat);
	stat.alive_s = 300;
	ck_assert_double_eq(sim_stat_recurrence(&stat, &stat.dead, &at_least), 100);
	ck_assert(at_least);
	sim_stat_state(&stat, VERDICT_DEAD, 10 * S);
	sim_stat_state(&stat, VERDICT_ALIVE, 13 * S);
	ck_assert_double_eq(sim_stat_recurrence(&stat, &stat.dead, &at_least), 300);
	ck_assert(!at_least);
	ck_assert_double_eq_tol(sim_stat_accuracy(&stat, &stat.dead), 0.99, 1e-12);
	sim_stat_free(&stat);
}
END_TEST

START_TEST(test_verdict_before_the_death_is_a_mistake_and_no_delay)
{
	struct sim_stat stat;

	sim_stat_init(&stat);
	sim_stat_state(&stat, VERDICT_LOST, 10 * S);
	sim_stat_crash(&stat, 11 * S);
	sim_stat_state(&stat, VERDICT_DEAD, 12 * S);
	sim_stat_return(&stat);
	ck_assert_uint_eq(stat.lost.mistakes, 1);
	ck_assert_uint_eq(stat.dead.mistakes, 0);
	ck_assert_double_eq(sim_stat_percentile(&stat.lost.mistake_ms, 1), 1000);
	ck_assert_double_eq(sim_stat_percentile(&stat.lost.detection_ms, 1), 0);
	ck_assert_double_eq(sim_stat_percentile(&stat.dead.detection_ms, 1), 1000);
	sim_stat_free(&stat);
}
END_TEST

/* DESIGN, "Facts about the kernel": 0, 32, 64, 120, 224, 420, 836 ms. */
START_TEST(test_kernel_timers)
{
	const uint64_t sent_ms[] = {32, 64, 120, 224, 420, 836};
	const uint64_t syn_ms[] = {28, 56, 84, 112, 140, 196, 308};
	uint64_t at = 0;

	for (uint32_t i = 0; i < 6; i++) {
		at += sim_peer_resend_after(&LAN, i);
		ck_assert_uint_eq(at, sent_ms[i] * MS);
	}
	at = 0;
	for (uint32_t i = 0; i < 7; i++) {
		at += sim_peer_syn_after(&LAN, i);
		ck_assert_uint_eq(at, syn_ms[i] * MS);
	}
}
END_TEST

/* Skipping calm time must find the very PING that asking for each one would find. */
START_TEST(test_path_skips_like_it_steps)
{
	struct sim_path skip, walk;
	uint64_t at, failure = 0;

	ck_assert(sim_path_parse(&skip, "ge:50:1000"));
	ck_assert(!sim_path_parse(&walk, "ge:50"));
	ck_assert(!sim_path_parse(&walk, "iid:1.5"));
	ck_assert(!sim_path_parse(&walk, "harsh:"));
	walk = skip;
	sim_path_start(&skip, 7);
	sim_path_start(&walk, 7);
	for (int i = 0; i < 1000; i++) {
		at = failure;
		failure = sim_path_failure(&skip, failure, 100 * MS, SIM_PATH_NEVER_NS / 2);
		while (sim_path_passes(&walk, at))
			at += 100 * MS;
		ck_assert_uint_eq(at, failure);
		failure += 100 * MS;
	}
}
END_TEST

START_TEST(test_clean_death_within_the_limits)
{
	struct sim_path path;
	struct sim_stat stat;
	struct sim_peer peer;

	ck_assert(sim_path_parse(&path, "clean"));
	sim_path_start(&path, 1);
	sim_stat_init(&stat);
	sim_peer_start(&peer, &LAN, &path, &stat, 0);
	for (uint64_t i = 0; i < 100; i++)
		sim_peer_die(&peer, (100 + i * 100) * S + i * MS);
	ck_assert_uint_eq(stat.lost.mistakes + stat.lost.undetected + stat.dead.undetected, 0);
	ck_assert_uint_eq(stat.dead.detection_ms.count, 100);
	ck_assert_double_le(sim_stat_percentile(&stat.lost.detection_ms, 0.99), 300);
	ck_assert_double_le(sim_stat_percentile(&stat.dead.detection_ms, 0.99), 650);
	sim_stat_free(&stat);
}
END_TEST

START_TEST(test_replay_judges_a_trace)
{
	struct sim_stat stat;

	sim_stat_init(&stat);
	ck_assert_int_eq(replay("# a mistake of 1 s, then a death\n"
				"1000000000 heard\n\n"
				"2000000000 unanswered 1\n"
				"2100000000 unanswered 2 # another path\n"
				"2200000000 unanswered 1\n"
				"3200000000 heard\n"
				"9000000000 died\n"
				"9100000000 unanswered 1\n"
				"9200000000 unanswered 2\n"
				"9300000000 unanswered 3\n"
				"9400000000 unanswered 4\n"
				"19900000000 unanswered 4\n"
				"29900000000 unanswered 1\n"
				"39900000000 unanswered 2\n"
				"49900000000 unanswered 3\n",
				&stat),
			 0);
	ck_assert_uint_eq(stat.lost.mistakes, 1);
	ck_assert_uint_eq(stat.lost.detection_ms.count, 1);
	ck_assert_double_eq_tol(stat.alive_s, 8.0, 1e-9);
	sim_stat_free(&stat);
}
END_TEST

START_TEST(test_replay_names_the_bad_line)
{
	const char *const bad[] = {"5 heard\n4 heard\n", "5 heard\n6 unanswered\n",
				   "5 heard\n6 heard 7\n", "5 heard\nheard\n",
				   "5 heard\n6 unanswered 7 8\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sim_stat stat;

		sim_stat_init(&stat);
		ck_assert_int_eq(replay(bad[i], &stat), 2);
		sim_stat_free(&stat);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_percentile_nearest_rank,
		test_no_mistake_claims_a_third,
		test_verdict_before_the_death_is_a_mistake_and_no_delay,
		test_kernel_timers,
		test_path_skips_like_it_steps,
		test_clean_death_within_the_limits,
		test_replay_judges_a_trace,
		test_replay_names_the_bad_line,
	};
	Suite *suite = suite_create("sim");
	TCase *tcase = tcase_create("sim");
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
