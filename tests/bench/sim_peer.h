/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_peer.h - one peer as knell's kernel side sees it, in simulated time.
 *
 * Room: the simulator (tests/bench). Calls include/knell/verdict.h, sim_path and sim_stat. Called
 * by sim.c. No clock and no sockets: the sending times are those of the kernel's timers.
 *
 * Heartbeat: a PING every heartbeat_ns on one connection. When one goes unanswered, the tail loss
 * probe and the RTO retransmissions follow at +32, +64, +120, +224, +420, +836 ms (rto_min 20 ms,
 * tick 4 ms). Further PINGs still go out until the first RTO, then the window is one segment.
 * Probes: on suspicion at once, then every probe_ns, 8 at most, each its own five-tuple; the SYN is
 * retransmitted after probe_ns rounded up to ticks (2 at least), four times linearly, then
 * doubling. Each retransmission is an unanswered event, and a chance to be heard one round trip
 * later. Being heard closes the probes. The heartbeat connection stays in its backoff until it is
 * answered itself, so it can raise a new short suspicion, as it does on a real host.
 *
 * Simplified: the answer is taken as acknowledged at once (the peer's own retransmission of a lost
 * answer is left out, which makes the simulation more pessimistic than a real peer); no other
 * traffic than knell's own; the node's other peers are never silent, and the agent's PINGs to them
 * are answered one round trip after the suspicion began.
 */
#ifndef KNELL_SIM_PEER_H
#define KNELL_SIM_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "knell/verdict.h"
#include "sim_path.h"
#include "sim_stat.h"

#define SIM_PEER_PROBES 8
/* A death that is not seen by then counts as undetected. */
#define SIM_PEER_DOWN_NS 60000000000ULL

struct sim_peer_plan {
	const char *name;
	struct verdict_rule rule;
	uint64_t heartbeat_ns, probe_ns;
	uint64_t tick_ns, rto_min_ns, rtt_ns;
	uint32_t others; /* the node's other peers */
	bool recycle;	 /* when all probes are out, a fresh one takes the place of the oldest */
	bool promote;	 /* a probe that is answered takes the heartbeat over */
	bool fixed_tau;	 /* forget what tau has learnt, for comparison */
	FILE *record;	 /* events of the silences, in the format of sim_replay.h; may be NULL */
};

struct sim_peer_probe {
	uint64_t next_ns; /* next retransmission, SIM_PATH_NEVER_NS: not in use */
	uint32_t tuple, resent;
};

struct sim_peer {
	const struct sim_peer_plan *plan;
	struct sim_path *path;
	struct sim_stat *stat;
	struct verdict_peer verdict;
	uint64_t now_ns;
	uint64_t ping_ns;	  /* next PING */
	uint64_t resend_ns;	  /* next retransmission of the heartbeat, NEVER: all answered */
	uint64_t acked_ns;	  /* the heartbeat's answer arrives */
	uint64_t heard_ns;	  /* a probe's answer arrives */
	uint64_t probe_ns;	  /* next new probe */
	uint64_t suspected_ns;	  /* this suspicion began */
	uint64_t heard_marked_ns; /* last heard line written to the record */
	uint32_t resent;	  /* retransmissions of the heartbeat so far */
	uint32_t probes, tuple;
	struct sim_peer_probe probe[SIM_PEER_PROBES];
};

/** sim_peer_start - a peer that is heard for the first time at @phase_ns. All pointers are kept. */
void sim_peer_start(struct sim_peer *peer, const struct sim_peer_plan *plan, struct sim_path *path,
		    struct sim_stat *stat, uint64_t phase_ns);

/** sim_peer_run - live until @until_ns (or the end of the silence under way then). */
void sim_peer_run(struct sim_peer *peer, uint64_t until_ns);

/** sim_peer_die - crash at @when_ns, measure the detection, come back SIM_PEER_DOWN_NS later. */
void sim_peer_die(struct sim_peer *peer, uint64_t when_ns);

/** sim_peer_resend_after - time from the @resent-th (0: first) to the next send of the heartbeat.
 */
uint64_t sim_peer_resend_after(const struct sim_peer_plan *plan, uint32_t resent);

/** sim_peer_syn_after - the same for a probe's SYN. */
uint64_t sim_peer_syn_after(const struct sim_peer_plan *plan, uint32_t resent);

#endif
