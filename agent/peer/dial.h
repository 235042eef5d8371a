/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dial.h - when to dial a peer: one attempt at a time, apart from each other, or not at all.
 *
 * Room: peer. Calls io/loop only and knows nothing of connections. Called by conn_line.c, which
 * embeds one per peer and says in attempt() what a dial is.
 */
#ifndef KNELL_PEER_DIAL_H
#define KNELL_PEER_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include "io/loop.h"

struct dial {
	struct loop *loop;
	void (*attempt)(struct dial *dial);
	void *in_flight; /* as told by dial_begin(); NULL: nothing */
	struct timer again;
	uint64_t backoff_ns;
	bool allowed;
};

/**
 * dial_open - prepare @dial, which is not allowed yet. @attempt is called when it is time to dial;
 * it calls dial_begin() when something is lacking and was set going, or dial_hold() or
 * dial_later(), or nothing when nothing is lacking.
 */
void dial_open(struct dial *dial, struct loop *loop, void (*attempt)(struct dial *dial));

/** dial_close - never attempt again; its memory is the caller's again. */
void dial_close(struct dial *dial);

/**
 * dial_allow - may it be dialled at all? Forgets backoff and waiting; dials nothing by itself.
 * Returns whether that is a change; if not, nothing was done.
 */
bool dial_allow(struct dial *dial, bool allowed);

/** dial_next - attempt now, unless that is not allowed, one is in flight, or it waits already. */
void dial_next(struct dial *dial);

/** dial_begin / dial_done - @what is being dialled; it is no longer, however it ended. dial_done()
 * of anything else does nothing.
 */
void dial_begin(struct dial *dial, void *what);
void dial_done(struct dial *dial, const void *what);

/**
 * dial_hold - wait until @until_ns, on the loop's clock.
 * dial_soon - wait for the shortest backoff: something was lost.
 * dial_later - wait for the present backoff, which doubles: an attempt failed.
 * The latter two are jittered, and a wait that ends earlier stays.
 */
void dial_hold(struct dial *dial, uint64_t until_ns);
void dial_soon(struct dial *dial);
void dial_later(struct dial *dial);

/** dial_proven - the peer has answered: the next failure backs off from the beginning. */
void dial_proven(struct dial *dial);

#endif
