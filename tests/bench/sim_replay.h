/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_replay.h - run the rule over a recorded trace of one peer.
 *
 * Room: the simulator (tests/bench). Calls verdict.h and sim_stat. Called by sim.c.
 *
 * A trace is a text file, one event per line, times not decreasing:
 *
 *	<ns> unanswered <tuple>   a transmission on five-tuple <tuple> (any number) went unanswered
 *	<ns> heard                something of the peer arrived
 *	<ns> died                 optional: the peer is known to have died at this instant
 *
 * Between two `heard` with nothing unanswered the peer is taken to have answered a PING in each
 * heartbeat interval, so that a trace need not hold the calm. Empty lines and what follows a '#'
 *are ignored. A `heard` after `died` is its return. The node's other peers count as heard at every
 *event: a trace of one peer cannot tell of them. A verdict that a later `heard` takes back was a
 *mistake, unless the peer had died.
 */
#ifndef KNELL_SIM_REPLAY_H
#define KNELL_SIM_REPLAY_H

#include <stdio.h>

#include "sim_peer.h"
#include "sim_stat.h"

/**
 * sim_replay_run - feed @trace to a fresh peer, print each transition to @out (NULL: none).
 *
 * Adds to *@stat. Returns 0, or the number of the first line that is not understood.
 */
int sim_replay_run(FILE *trace, const struct sim_peer_plan *plan, FILE *out, struct sim_stat *stat);

#endif
