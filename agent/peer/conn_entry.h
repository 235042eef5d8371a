/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_entry.h - one connection of the cache: its memory, its lists, and who still holds it.
 *
 * Room: peer. Calls io/http2, io/tcp, io/loop, roster, slots and conn_cause. Called by conn.c,
 * conn_line.c and conn_accept.c; the types that others see are conn.h's.
 */
#ifndef KNELL_PEER_CONN_ENTRY_H
#define KNELL_PEER_CONN_ENTRY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "io/http2.h"
#include "io/loop.h"
#include "peer/conn.h"
#include "peer/conn_age.h"
#include "peer/conn_cause.h"
#include "peer/conn_ping.h"
#include "peer/slots.h"

/*
 * Connections that were accepted and have not yet shown whose they are: in all, and from one
 * address. A peer dials one at a time, so 16 are more than it needs; one turned away by the 256,
 * when a large cluster returns at once, backs off and dials again.
 */
#define CONN_ENTRY_STRANGERS_MAX	    256
#define CONN_ENTRY_STRANGERS_PER_SOURCE_MAX 16

/*
 * Connections that were accepted from one peer. It may dial as many as per_peer in its
 * configuration allows, which is 4,096 at most and not ours to know; the others are those that it
 * replaces and those that it has lost and we have not.
 */
#define CONN_ENTRY_OF_PEER_MAX (4096 + 256)

/* What an eviction touches stands first. */
struct conn {
	TAILQ_ENTRY(conn) of_list;  /* its peer's or the strangers', least recently leased first */
	TAILQ_ENTRY(conn) of_cache; /* in the cache's, by age */
	struct conn_book *book;
	struct conn_list *list;
	struct roster_peer *peer;
	struct http2 *http2;
	struct loop_task free_task;
	enum conn_role role;
	enum conn_state state;
	unsigned int leases;
	bool ended; /* out of every list; only free_task or leaseholders still know it */
	bool old;   /* and to be replaced, but still leased to everybody */
	struct conn_cause *cause; /* of its end, for leaseholders */
	struct conn_ping ping;	  /* of a pooled one, as are the next two */
	struct conn_age age;
	struct timer chore; /* when ping or age have something to do */
	const char *name;   /* in a client's certificate; http2's */
	uint64_t id;
	uint64_t made_ns;
	uint64_t cookie;
	struct sockaddr_in6 from; /* of an accepted one, or a sockaddr_in; small: conns are many */
};

TAILQ_HEAD(conn_list, conn);

/* All of a cache's; embedded there. */
struct conn_book {
	struct loop *loop;
	struct slots *slots; /* all conns lie there */
	struct conn_list all;
	struct conn_list strangers; /* accepted, name not yet proven */
	struct conn_list clients;   /* accepted, of one who may ask and is no peer */
	unsigned int held; /* conns whose memory is in use, and other holds; the cache's is one */
	uint64_t next_id;
	struct loop_task close_task;
	void (*gone)(struct conn_book *book);
};

/** conn_entry_open - an empty book. @gone runs once, after conn_entry_close() and when the last
 * connection's memory is back; it may free the book. 0 or -ENOMEM.
 */
int conn_entry_open(struct conn_book *book, struct loop *loop,
		    void (*gone)(struct conn_book *book));

/** conn_entry_close - the cache lets go; all entries must have been ended. Never calls gone() from
 * inside.
 */
void conn_entry_close(struct conn_book *book);

/** conn_entry_hold / conn_entry_release - the book stays while something is on its way that needs
 * it.
 */
void conn_entry_hold(struct conn_book *book);
void conn_entry_release(struct conn_book *book);

/** conn_entry_new - one that connects, last in @list; NULL when memory is out. */
struct conn *conn_entry_new(struct conn_book *book, struct conn_list *list,
			    struct roster_peer *peer, enum conn_role role);

/**
 * conn_entry_accept - a stranger for the accepted socket @fd, which stays the caller's.
 *
 * NULL when there are too many of them, in all or from its address, or memory is out.
 */
struct conn *conn_entry_accept(struct conn_book *book, int fd);

/** conn_entry_from - where an accepted one comes from. */
struct sockaddr_storage conn_entry_from(const struct conn *conn);

/** conn_entry_ready - its http2 is; @keepalive_s for the socket, 0: none. */
void conn_entry_ready(struct conn *conn, unsigned int keepalive_s);

/** conn_entry_client - a stranger that may ask under @name, which http2 keeps. False: too many. */
bool conn_entry_client(struct conn *conn, const char *name);

/** conn_entry_by_id / conn_entry_by_cookie - NULL when there is none; no cookie is 0. */
struct conn *conn_entry_by_id(const struct conn_book *book, uint64_t id);
struct conn *conn_entry_by_cookie(const struct conn_book *book, uint64_t cookie);

/** conn_entry_move - to the end of @list, which may be the one that it is in. */
void conn_entry_move(struct conn *conn, struct conn_list *list);

/**
 * conn_entry_end - out of every list, and deaf; @cause is what leaseholders get to read, NULL
 * allowed.
 *
 * Nobody leases it: aborted and freed when the loop has time, since to touch a thousand sockets
 * takes longer than to forget them. Leased: aborted now, freed with the last conn_entry_put().
 */
void conn_entry_end(struct conn *conn, struct conn_cause *cause);

/** conn_entry_leave - the same for one that nobody leases, but in order: GOAWAY, close_notify, FIN.
 */
void conn_entry_leave(struct conn *conn);

/**
 * conn_entry_best - whom to lease next of @list, which are dialled ones; NULL when none is ready
 * and has room.
 *
 * Pooled before the heartbeat's, then the least leased, then the oldest lease. Room: fewer leases
 * than its peer lets us have streams.
 */
struct conn *conn_entry_best(const struct conn_list *list);

/** conn_entry_lease - one lease more. */
void conn_entry_lease(struct conn *conn);

/** conn_entry_put - give one lease back; frees @conn if it has ended and that was the last. */
void conn_entry_put(struct conn *conn);

/** conn_entry_info - as others may see it. */
struct conn_info conn_entry_info(const struct conn *conn);

#endif
