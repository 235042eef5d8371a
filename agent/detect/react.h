/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * react.h - from a verdict to its consequences; the only door through which peer/ and the rest hear
 * of verdicts.
 *
 * Room: detect. Called by ring.c; calls probe, heartbeat and whoever stands in its table.
 */
#ifndef KNELL_DETECT_REACT_H
#define KNELL_DETECT_REACT_H

#include <stdbool.h>
#include <stdint.h>
#include "detect/heartbeat.h"
#include "detect/probe.h"
#include "detect/ring.h"
#include "io/log.h"
#include "io/loop.h"
#include "peer/conn.h"
#include "peer/roster.h"

/* A verdict after the fact: what was known and what was done. */
struct react_outcome {
	const struct knell_record *record;
	const struct roster_peer *peer; /* NULL: watched, but not one of the cluster */
	bool repaired;
	unsigned int evicted; /* connections ended */
	uint64_t reaction_ns; /* from the verdict's stamp to the end of the last eviction */
};

struct react {
	struct roster *roster;
	struct conn_cache *conns;
	struct heartbeat *heartbeat;
	struct probe_set *probes;
	const struct log *log;
	/* Uploads to a peer that is dead, back, or out of reach; may be NULL. Same ctx. */
	void (*uploads)(void *ctx, const struct roster_peer *peer);
	void (*subscriber)(void *ctx, const struct react_outcome *outcome);
	void *subscriber_ctx;
};

/**
 * react_verdict - a ring_reader; ctx is the struct react.
 *
 * What is read back at start has its consequences too, but nobody is told a second time.
 */
void react_verdict(void *ctx, const struct knell_record *record, enum ring_origin origin);

#endif
