/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_line.h - the line to one peer: how many connections it has and lacks, who leases them and
 * who waits; and what all lines of a cache share.
 *
 * Room: peer. Calls conn_entry, conn_queue, conn_chore, dial and io/http2. Called by conn.c,
 * conn_accept.c and conn_chore.c only.
 */
#ifndef KNELL_PEER_CONN_LINE_H
#define KNELL_PEER_CONN_LINE_H

#include "io/tls_context.h"
#include "peer/conn.h"
#include "peer/conn_entry.h"
#include "peer/conn_queue.h"
#include "peer/dial.h"

struct conn_line {
	struct conn_cache *cache;
	struct roster_peer *peer;
	struct dial dial;
	struct conn_list dialled;
	struct conn_list accepted; /* the oldest first */
	unsigned int accepted_count;
	uint64_t crowded_ns;	/* when these were too many the last time; 0: never */
	struct conn *heartbeat; /* ready */
	unsigned int ready;	/* dialled ones that can be leased */
	unsigned int old;	/* of these, to be replaced */
	unsigned int idled;	/* places left empty until somebody needs them */
	unsigned int late;	/* dialled ones whose PONG is late */
	struct conn_queue queue;
	struct loop_task settle; /* serve the queue, dial what is lacking */
	int dial_err;		 /* of the last attempt; 0 also when there was none */
	struct conn_cause *dial_cause;
};

struct conn_cache {
	struct conn_book book;
	struct tls_context *tls;
	struct roster *roster;
	struct conn_limits limits;
	unsigned int of_peer_max; /* CONN_ENTRY_OF_PEER_MAX, but in tests */
	const struct conn_hooks *hooks;
	void *ctx;
	struct conn_line *lines; /* one per roster place */
};

/** conn_line_open - nothing is dialled before conn_line_allow(). */
void conn_line_open(struct conn_line *line, struct conn_cache *cache, struct roster_peer *peer);

/** conn_line_close - never dials again; who waits is forgotten. All connections must have ended. */
void conn_line_close(struct conn_line *line);

/** conn_line_cache / conn_line_of - whose @conn is; the line is NULL of one that is no peer's. */
struct conn_cache *conn_line_cache(const struct conn *conn);
struct conn_line *conn_line_of(const struct conn *conn);

/** conn_line_end - conn_entry_end(), and what follows from it here, for any connection. */
void conn_line_end(struct conn *conn, struct conn_cause *cause);

/** conn_line_late - a PONG has become late, @change is 1; or it is so no more, -1. */
void conn_line_late(struct conn_line *line, int change);

/** conn_line_leave - the peer lets nobody begin anything on @conn any more: replaced. */
void conn_line_leave(struct conn *conn);

/** conn_line_idle_away - @conn leaves, and its place stays empty until somebody needs it. */
void conn_line_idle_away(struct conn *conn);

/** conn_line_replace - @conn is old: another is dialled, then it retires. */
void conn_line_replace(struct conn *conn);

/** conn_line_refuses - why nobody gets a connection: -EHOSTDOWN, -ENETDOWN; or 0. */
int conn_line_refuses(const struct conn_line *line);

/** conn_line_lease - 0 and *@conn, -EAGAIN, or as conn_line_refuses(). Overtakes who waits. */
int conn_line_lease(struct conn_line *line, struct conn **conn);

/** conn_line_returned - a lease of @conn, which has not ended, was given back. */
void conn_line_returned(struct conn *conn);

/** conn_line_wait - as conn_wait(). */
int conn_line_wait(struct conn_line *line, struct conn_wait *wait);

/** conn_line_turn_away - who waits does so in vain. */
void conn_line_turn_away(struct conn_line *line, int err, struct conn_cause *cause);

/** conn_line_refill - something was taken from it: dial up to the limit, a backoff later. */
void conn_line_refill(struct conn_line *line);

/** conn_line_allow - as conn_allow(). */
void conn_line_allow(struct conn_line *line, bool allowed);

#endif
