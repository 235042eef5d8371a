/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror.h - the same objects on every node of a small cluster, each written when a majority has
 * it.
 *
 * Room: store. Calls the engine (dir*), peer/call. Opened by the agent over the engine; verdicts
 * come from detect/react.c through the hooks. The peers' side of it: service_mirror.c.
 *
 * What is kept is a register for each name, and the highest version wins. A version is greater than
 * any that a majority has seen before it: so what is acknowledged later wins over what was
 * acknowledged earlier, on whichever nodes. Who asks first hears what a majority's journals say:
 * so it sees all that was acknowledged before it asked.
 */
#ifndef KNELL_STORE_MIRROR_H
#define KNELL_STORE_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/loop.h"
#include "peer/call.h"
#include "peer/roster.h"
#include "store/quorum.h"
#include "store/store.h"

struct mirror;

enum { MIRROR_PEERS_MAX = QUORUM_OTHERS_MAX, MIRROR_NODES_MAX = MIRROR_PEERS_MAX + 1 };

struct mirror_options {
	struct loop *loop;
	struct store *store;   /* by dir_open() */
	const char *name;      /* this node's */
	struct roster *roster; /* MIRROR_PEERS_MAX at most; outlives the mirror, as does: */
	struct call_book *calls;
};

/** mirror_open - from now on @options->store keeps its objects with the peers. 0 or -ENOMEM. */
int mirror_open(struct mirror **mirror, const struct mirror_options *options);

/**
 * mirror_close - let go of everything: before the store and the calls are closed. NULL is allowed.
 *
 * What the engine still waits for ends when the store is closed: close it before the loop runs on,
 * for from here on the engine is alone. Not from inside a callback of the store.
 */
void mirror_close(struct mirror *mirror);

/** mirror_turn_away - @peer is silent, or this node cut off: no upload waits for it any more. */
void mirror_turn_away(struct mirror *mirror, const struct roster_peer *peer);

/** mirror_greet - @peer is there (again): hear at once what it knows. */
void mirror_greet(struct mirror *mirror, const struct roster_peer *peer);

/* ---- for people ---- */

struct mirror_progress {
	uint64_t away_count, away_bytes;     /* to be brought here still */
	uint64_t mended_count, mended_bytes; /* brought, since the agent started */
	uint64_t failed_count;		     /* tries that came to nothing */
};

struct mirror_view {
	const char *peer;
	bool met;		/* it has answered since the agent started */
	uint64_t unread_theirs; /* changes of its journal that this node has not taken */
	uint64_t unread_ours;	/* changes of ours that it has not */
};

void mirror_progress(const struct mirror *mirror, struct mirror_progress *progress);

/** mirror_each - visit all peers. */
void mirror_each(const struct mirror *mirror, void (*visit)(void *ctx, const struct mirror_view *),
		 void *ctx);

#endif
