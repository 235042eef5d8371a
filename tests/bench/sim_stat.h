/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_stat.h - how good a failure detector was, after Chen, Toueg, Aguilera (2002).
 *
 * Room: the simulator (tests/bench). Pure. Called by sim_peer.c and sim_replay.c, which tell it of
 * states, deaths and returns, and by sim_report.c, which prints it.
 *
 *   T_D   detection time: from the death to the transition that is not taken back
 *   T_MR  mistake recurrence: from one wrong transition to the next
 *   T_M   mistake duration: from the wrong transition to the correction
 *   P_A   query accuracy: share of the peer's lifetime during which the answer was right
 *
 * Kept twice: for "at least lost" and for "dead".
 */
#ifndef KNELL_SIM_STAT_H
#define KNELL_SIM_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With no mistake in a run of length T the true rate is below 3 / T with 95 % confidence. */
#define SIM_STAT_RULE_OF_THREE 3.0

struct sim_stat_sample {
	double *value;
	size_t count, room;
	bool sorted;
};

struct sim_stat_level {
	uint32_t state; /* enum verdict_state: this one or worse (not isolated) counts */
	bool suspected;
	bool erred; /* at least one mistake so far */
	uint64_t since_ns;
	uint64_t last_mistake_ns;
	uint64_t mistakes;
	uint64_t undetected; /* deaths */
	double wrong_s;
	struct sim_stat_sample detection_ms, recurrence_s, mistake_ms;
};

struct sim_stat {
	struct sim_stat_level lost, dead;
	uint64_t silences, isolated;
	double alive_s; /* peer-seconds during which the peer lived */
	bool crashed;
	uint64_t crashed_ns;
};

void sim_stat_init(struct sim_stat *stat);
void sim_stat_free(struct sim_stat *stat);

/** sim_stat_state - the verdict is @state from @now_ns on. */
void sim_stat_state(struct sim_stat *stat, uint32_t state, uint64_t now_ns);

/** sim_stat_crash - the peer died; a verdict that stands already was a mistake until now. */
void sim_stat_crash(struct sim_stat *stat, uint64_t now_ns);

/** sim_stat_return - end of a death: note how long each level took to see it. */
void sim_stat_return(struct sim_stat *stat);

/** sim_stat_percentile - nearest rank, @share in [0, 1]; NAN of an empty sample. */
double sim_stat_percentile(struct sim_stat_sample *sample, double share);

/**
 * sim_stat_recurrence - mean T_MR in seconds over the run.
 *
 * *@at_least becomes true when there was no mistake and the value is a lower bound (T / 3).
 */
double sim_stat_recurrence(const struct sim_stat *stat, const struct sim_stat_level *level,
			   bool *at_least);

/** sim_stat_accuracy - P_A. */
double sim_stat_accuracy(const struct sim_stat *stat, const struct sim_stat_level *level);

#endif
