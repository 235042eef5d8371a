// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_replay.c - the reader of recorded traces, and the decision rule behind it, on any trace.
 *
 * Room: tests/fuzz. Calls the simulator (tests/bench). The input is the trace.
 */
#include "bench/sim_replay.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sim_peer_plan plan = {
		.name = "lan",
		.rule = {.tau_ns = 20000000,
			 .lost_md = VERDICT_LOST_MD,
			 .dead_md = VERDICT_DEAD_MD,
			 .dead_sends = VERDICT_DEAD_SENDS,
			 .min_tuples = VERDICT_MIN_TUPLES},
		.heartbeat_ns = 100000000,
		.fixed_tau = size & 1,
	};
	static FILE *out;
	struct sim_stat stat;
	FILE *trace;
	int line;

	if (!size)
		return 0;
	if (!out)
		out = fopen("/dev/null", "w");
	trace = fmemopen((void *)(uintptr_t)data, size, "r");
	FUZZ_HOLDS(trace && out);
	sim_stat_init(&stat);
	line = sim_replay_run(trace, &plan, out, &stat);
	FUZZ_HOLDS(line >= 0 && (size_t)line <= size);
	FUZZ_HOLDS(stat.alive_s >= 0 && stat.lost.wrong_s >= 0 && stat.dead.wrong_s >= 0);
	sim_stat_free(&stat);
	fclose(trace);
	return 0;
}
