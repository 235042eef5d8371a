/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_path.h - what a network path does to the segments that are sent over it.
 *
 * Room: the simulator (tests/bench). Pure arithmetic, no clock. Called by sim_peer.c and sim.c.
 *
 * A path is a sequence of outages, during which nothing passes, plus independent loss in between,
 * drawn once for the request and once for its answer. An exchange is judged by the instant its
 * request is sent. Outages, losses and everything else draw from separate streams, so that two
 * rules run with the same seed meet the same outages.
 */
#ifndef KNELL_SIM_PATH_H
#define KNELL_SIM_PATH_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_PATH_NEVER_NS UINT64_MAX

struct sim_path_rng {
	uint64_t state;
};

enum sim_path_model {
	SIM_PATH_CLEAN,
	SIM_PATH_IID, /* loss only */
	SIM_PATH_GE,  /* Gilbert-Elliott in time: exponential sojourns, the bad state passes nothing
		       */
	SIM_PATH_HARSH, /* DESIGN: outages from a mixture with a heavy tail, loss 0.1 % */
};

struct sim_path {
	enum sim_path_model model;
	double loss; /* share of segments lost, each direction */
	double bad_ns, good_ns;
	struct sim_path_rng outages, losses;
	uint64_t start_ns, end_ns; /* the present outage, or the next one */
	uint64_t cut_ns;	   /* the peer's death: nothing passes from here on */
};

/** sim_path_uniform - next draw in (0, 1]. */
double sim_path_uniform(struct sim_path_rng *rng);

/** sim_path_parse - "clean", "harsh", "iid:0.01", "ge:50:1000" (ms), "ge:50:1000:0.01". False when
 * not understood. */
bool sim_path_parse(struct sim_path *path, const char *text);

/** sim_path_start - set the streams and draw the first outage. */
void sim_path_start(struct sim_path *path, uint64_t seed);

/** sim_path_passes - does an exchange begun at @now_ns succeed? @now_ns must not go backwards. */
bool sim_path_passes(struct sim_path *path, uint64_t now_ns);

/**
 * sim_path_failure - first of the instants @now_ns, @now_ns + @step_ns, ... whose exchange fails.
 *
 * Costs one step per outage and none per exchange. Returns the first instant at or after @limit_ns
 * when all before it succeed.
 */
uint64_t sim_path_failure(struct sim_path *path, uint64_t now_ns, uint64_t step_ns,
			  uint64_t limit_ns);

#endif
