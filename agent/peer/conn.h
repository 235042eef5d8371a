/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn.h - the connection cache: HTTP/2 over TLS to and from every peer, ready to be leased.
 *
 * Room: peer. Calls io/http2, io/loop and roster. Evictions come from detect/react.c (verdicts) and
 * control.c (people); heartbeat.c rides on each peer's first connection through the hooks.
 *
 * A connection that leads to a dead host is worse than none: whoever is handed it hangs. So
 * eviction takes it out of the cache and ends it in the same call; nobody can lease it again.
 */
#ifndef KNELL_PEER_CONN_H
#define KNELL_PEER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "io/http2.h"
#include "io/http2_stream.h"
#include "io/loop.h"
#include "peer/roster.h"

struct conn;
struct conn_cache;
struct conn_cause;

/* What the cache may do; the configuration's [cache] and [timeouts]. Zero means never or none. */
struct conn_limits {
	/* Dialled to one peer at most, the heartbeat's included; one more while one is replaced. */
	unsigned int per_peer;
	unsigned int waiting;	   /* conn_wait()s for one peer at most */
	unsigned int keepalive_s;  /* TCP keepalive on every connection, made or accepted */
	uint64_t connect_ns;	   /* for an attempt, up to a connection that is ready */
	uint64_t idle_ns;	   /* a pooled connection that nobody leased for so long ends */
	uint64_t lifetime_ns;	   /* a pooled connection as old as that is replaced */
	uint64_t ping_interval_ns; /* HTTP/2 PING on every pooled connection that is ready */
	uint64_t ping_timeout_ns;  /* a PONG later than that makes the peer `degraded` */
	bool ping_while_idle;	   /* also when nobody leases it */
};

enum conn_role { CONN_HEARTBEAT, CONN_POOL, CONN_ACCEPTED };
/* CONN_RETIRING: leased, but never again: it is old, or the peer has said GOAWAY. It ends in order
 * with the last return.
 */
enum conn_state { CONN_CONNECTING, CONN_READY, CONN_LEASED, CONN_RETIRING };

struct conn_info {
	uint64_t id;			/* never used twice while the agent runs */
	const struct roster_peer *peer; /* NULL: accepted, a client's or not yet known whose */
	const char *name;		/* the peer's or the client's; NULL: not yet known */
	enum conn_role role;
	enum conn_state state;
	unsigned int leases;  /* of one that was dialled */
	unsigned int streams; /* open, whoever opened them */
	uint64_t made_ns;
	uint64_t cookie; /* SO_COOKIE: how the kernel side names it */
	int fd;		 /* -1 while there is none */
};

/*
 * What others hear; called from the loop, or from within a call that ends connections. Change
 * nothing of the cache's inside. Those from `late` on may be NULL.
 */
struct conn_hooks {
	/* Called on a fresh socket before it connects; role tells what it will be. */
	int (*prepare)(void *ctx, int fd, enum conn_role role);
	/* The peer's heartbeat connection is ready, or gone (http2 NULL). */
	void (*heartbeat)(void *ctx, struct roster_peer *peer, struct http2 *http2);
	void (*ping_ack)(void *ctx, struct roster_peer *peer, const uint8_t *opaque);
	/* A peer pinged on a connection that it opened. */
	void (*pinged)(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque);
	/* A connection attempt ended: 0, or the negative errno and why. */
	void (*dialled)(void *ctx, struct roster_peer *peer, int err, const char *reason);
	/* An accepted connection from @from was turned away: bad certificate or a stranger. */
	void (*refused)(void *ctx, const struct sockaddr_storage *from, const char *reason);
	/* A PONG of the cache's own PINGs is late, or none is late any more. */
	void (*late)(void *ctx, struct roster_peer *peer, bool late);
	/*
	 * Somebody asks something on an accepted connection; see http2_callbacks.on_request. @peer:
	 * whose certificate it is; NULL: a client's.
	 */
	void (*request)(void *ctx, const struct roster_peer *peer, struct http2_stream *stream,
			const struct http2_head *head);
	/*
	 * May one whose certificate is of @name, which is no peer, ask on connections of its own?
	 * NULL: no. At most CONN_CLIENTS_MAX such connections are there at once.
	 */
	bool (*admits)(void *ctx, const char *name);
};

#define CONN_CLIENTS_MAX 256

/* Somebody who waits for a connection; embedded there, zeroed but for `granted`. */
struct conn_wait {
	/*
	 * Once, from the loop: 0 and a lease, or a negative errno with its reason (valid during the
	 * call): the peer is lost or dead (-EHOSTDOWN), this node cut off (-ENETDOWN), or an
	 * attempt to dial failed as it says.
	 */
	void (*granted)(struct conn_wait *wait, int err, const char *reason, struct conn *conn);
	const struct roster_peer *peer; /* NULL: not waiting */
	/* The cache's. */
	TAILQ_ENTRY(conn_wait) entry;
	struct conn_cause *cause;
	int err;
};

/**
 * conn_cache_open - keep connections to every peer of @roster, the heartbeat's first.
 *
 * Dials up to limits->per_peer at once, one at a time per peer, with jittered backoff; those that
 * idled away are dialled again, one by one, when a lease finds no pooled connection unused. Limits
 * are copied; roster, hooks and context must outlive the cache. 0 or -ENOMEM.
 */
int conn_cache_open(struct conn_cache **cache, struct loop *loop, struct tls_context *tls,
		    struct roster *roster, const struct conn_limits *limits,
		    const struct conn_hooks *hooks, void *ctx);

/**
 * conn_cache_close - end everything and free the cache; what is leased keeps its memory until it is
 * returned. Who still waits is forgotten. What others opened ends in order, after what they have
 * been answered so far; the rest is aborted. NULL is allowed.
 */
void conn_cache_close(struct conn_cache *cache);

/**
 * conn_accept - serve the accepted socket @fd; takes it over in any case.
 *
 * Closed at once when too many, in all or from its address, have not yet shown whose they are.
 */
void conn_accept(struct conn_cache *cache, int fd);

/**
 * conn_lease - borrow a ready connection to @peer; the least leased one, oldest lease first.
 *
 * 0 and *@conn, which stays valid until it is given back; -EHOSTDOWN at once when the peer is lost
 * or dead, -ENETDOWN when this node is cut off (law 4: nobody waits for either), -EAGAIN when none
 * is ready, or each has as many leases as its peer allows streams, or others wait already. Pooled
 * connections come before the heartbeat's.
 */
int conn_lease(struct conn_cache *cache, const struct roster_peer *peer, struct conn **conn);

/**
 * conn_wait - stand in line for a lease, first come first served.
 *
 * 0, and wait->granted comes, at the end of this batch if the last attempt to dial has failed and
 * nothing else is ready; -EHOSTDOWN or -ENETDOWN as above, -ENOBUFS when limits.waiting wait
 * already. The caller bounds the time: conn_wait_forget() takes it out of the line at any moment,
 * also when it does not wait.
 */
int conn_wait(struct conn_cache *cache, const struct roster_peer *peer, struct conn_wait *wait);
void conn_wait_forget(struct conn_cache *cache, struct conn_wait *wait);

/**
 * conn_return - give a lease back; @conn is the caller's no more.
 *
 * With @failed the connection ends, for its other leaseholders too, and is replaced. It may have
 * ended meanwhile, by eviction or because the cache was closed: then that is all that happens, and
 * the last return frees it. Every lease must be returned, even after conn_cache_close().
 */
void conn_return(struct conn *conn, bool failed);

/** conn_http2 - what the lease is for; NULL once the connection has ended. Ask each time. */
struct http2 *conn_http2(const struct conn *conn);

/** conn_reason - why the lease's connection has ended, in words ("h3 is dead: ..."); "" while it
 * has not. Valid until the lease is returned.
 */
const char *conn_reason(const struct conn *conn);

/** conn_has - a ready connection to @peer is there. */
bool conn_has(const struct conn_cache *cache, const struct roster_peer *peer);

/**
 * conn_evict_peer - end every connection from and to @peer; returns how many. @reason is what calls
 * in flight end with: all streams on it are told by the end of the loop's batch (see http2_stream).
 * conn_evict_id / conn_evict_cookie - end one; returns 0 or -ENOENT.
 * conn_clear - end all; returns how many. All of them are dialled again as the peers' state allows.
 * conn_drop_idle - end the pool's connections that nobody leases; returns how many.
 */
unsigned int conn_evict_peer(struct conn_cache *cache, const struct roster_peer *peer,
			     const char *reason);
int conn_evict_id(struct conn_cache *cache, uint64_t id, const char *reason);
int conn_evict_cookie(struct conn_cache *cache, uint64_t cookie, const char *reason);
unsigned int conn_clear(struct conn_cache *cache, const char *reason);
unsigned int conn_drop_idle(struct conn_cache *cache, const struct roster_peer *peer);

/**
 * conn_turn_away - @peer is silent, or this node is cut off, as peer->state says: who waits for it
 * waits no longer, for @reason.
 */
void conn_turn_away(struct conn_cache *cache, const struct roster_peer *peer, const char *reason);

/** conn_allow - may new connections to @peer be dialled? Allowing dials at once, without backoff.
 */
void conn_allow(struct conn_cache *cache, const struct roster_peer *peer, bool allowed);

/** conn_each - visit all, oldest first. The visitor must not change the cache. */
void conn_each(const struct conn_cache *cache, void (*visit)(void *ctx, const struct conn_info *),
	       void *ctx);

#endif
