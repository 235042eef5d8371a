/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - knock on a silent peer's door from fresh ports.
 *
 * Room: detect. Calls pins, sweep and io/tcp. Started and stopped by react.c on verdicts.
 *
 * A probe is a plain connect() from a port of its own, so that it takes other paths and queues than
 * the connection that fell silent. Its SYN is repeated by the kernel after the profile's probe
 * interval (bpf/tune.bpf.c sets the timeout), and it is those repetitions that count as evidence,
 * stamped and counted by the kernel. This module only opens and closes sockets: however late it
 * runs, it cannot tell a lie.
 */
#ifndef KNELL_DETECT_PROBE_H
#define KNELL_DETECT_PROBE_H

#include <stdint.h>
#include <sys/socket.h>
#include "detect/pins.h"
#include "detect/sweep.h"
#include "io/loop.h"

struct probe_set;

enum probe_pace {
	PROBE_FAST, /* suspect or lost: the profile's interval, and a sweep each time */
	PROBE_SLOW, /* dead or isolated: waiting for a sign of life; isolated, with a sweep */
	/*
	 * Heard again, but TCP lets the old connections wait out their backoff before they try
	 * again: stand in for the heartbeat until it is answered, PROBE_WATCH_KNOCKS at most.
	 */
	PROBE_WATCH,
};

int probe_open(struct probe_set **probes, struct loop *loop, const struct pins *pins,
	       struct sweep *sweep, uint32_t interval_us, uint32_t heartbeat_us);
void probe_close(struct probe_set *probes);

/** probe_start - probe @key at @addr (port included), or change the pace. First one at once. */
void probe_start(struct probe_set *probes, const struct knell_peer_key *key,
		 const struct sockaddr_storage *addr, enum probe_pace pace);
/** probe_watch - it was heard while being probed: PROBE_WATCH from here. No-op otherwise. */
void probe_watch(struct probe_set *probes, const struct knell_peer_key *key);
/** probe_stop - its heartbeat is answered: watching ends. A peer that is suspected anew stays
 * probed. */
void probe_stop(struct probe_set *probes, const struct knell_peer_key *key);

/** probe_end - no more knocking, at once. No-op when it is not being probed. */
void probe_end(struct probe_set *probes, const struct knell_peer_key *key);

#endif
