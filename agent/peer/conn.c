// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn.c - the connection cache.
 *
 * Room: peer. Calls io/http2, roster and slots; see conn.h for who calls it.
 *
 * Happy path: dial -> on_ready -> in the peer's list, leased and returned any number of times. The
 * first connection to a peer is the heartbeat's; once it stands the pool is filled up, one dial at
 * a time (single flight: a peer that comes back is not greeted by a thousand handshakes at once).
 * Failure modes: a dial fails: backoff with jitter, doubled to BACKOFF_MAX_NS. A connection closes:
 * out of the list, dialled again. Evicted: out of the lists at once, and deaf; ending and freeing
 * follow when the loop has time, since to touch a thousand sockets takes longer than to forget
 * them. The peer is lost or dead: no dial at all until conn_allow(); the probes will hear its
 * return.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>
#include <netinet/in.h>
#include "peer/conn.h"
#include "peer/slots.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

#define BACKOFF_MIN_NS	   50000000ULL
#define BACKOFF_MAX_NS	   1000000000ULL
#define CONNECT_TIMEOUT_NS 3000000000ULL

struct conn {
	TAILQ_ENTRY(conn)
	of_peer; /* in its peer's or the strangers' list, least recently leased first */
	TAILQ_ENTRY(conn) of_cache; /* in the cache's, by age */
	struct conn_cache *cache;
	struct roster_peer *peer;
	struct http2 *http2;
	struct loop_task free_task;
	enum conn_role role;
	enum conn_state state;
	unsigned int leases;
	bool ended; /* out of every list; only free_task still knows it */
	uint64_t id;
	uint64_t made_ns;
	uint64_t cookie;
	struct sockaddr_in6 from; /* of an accepted one, or a sockaddr_in; small: conns are many */
};

TAILQ_HEAD(conn_list, conn);

struct dialler {
	struct conn_cache *cache;
	struct roster_peer *peer;
	struct conn_list conns; /* all of this peer's, accepted ones included */
	struct conn *dialling;	/* single flight */
	struct conn *heartbeat; /* ready */
	struct timer again;
	uint64_t backoff_ns;
	unsigned int ready; /* dialled ones that are ready or leased */
	bool allowed;
};

struct conn_cache {
	struct loop *loop;
	struct tls_context *tls;
	struct roster *roster;
	struct slots *slots; /* all conns lie there */
	struct loop_task free_task;
	const struct conn_hooks *hooks;
	void *ctx;
	struct dialler *diallers;   /* one per roster place */
	struct conn_list strangers; /* accepted, name not yet proven */
	struct conn_list all;
	unsigned int per_peer;
	uint64_t next_id;
};

static void dial(struct dialler *dialler);

static struct dialler *dialler_of(const struct conn_cache *cache, const struct roster_peer *peer)
{
	return &cache->diallers[peer->index];
}

static struct conn_list *list_of(struct conn *conn)
{
	return conn->peer ? &dialler_of(conn->cache, conn->peer)->conns : &conn->cache->strangers;
}

static void conn_free(struct loop_task *task)
{
	struct conn *conn = LOOP_OWNER(task, struct conn, free_task);

	http2_abort(conn->http2);
	slots_give(conn->cache->slots, conn);
}

static struct conn *conn_new(struct conn_cache *cache, struct roster_peer *peer,
			     enum conn_role role)
{
	struct conn *conn = slots_take(cache->slots);

	if (!conn)
		return NULL;
	conn->cache = cache;
	conn->peer = peer;
	conn->role = role;
	conn->free_task.run = conn_free;
	conn->state = CONN_CONNECTING;
	conn->id = ++cache->next_id;
	conn->made_ns = loop_now_ns(cache->loop);
	TAILQ_INSERT_TAIL(list_of(conn), conn, of_peer);
	TAILQ_INSERT_TAIL(&cache->all, conn, of_cache);
	return conn;
}

/* Out of every list and deaf; ended and freed when the loop has time. */
static void conn_end(struct conn *conn)
{
	struct conn_cache *cache = conn->cache;
	struct dialler *dialler = conn->peer ? dialler_of(cache, conn->peer) : NULL;

	TAILQ_REMOVE(list_of(conn), conn, of_peer);
	TAILQ_REMOVE(&cache->all, conn, of_cache);
	conn->ended = true;
	loop_reap(cache->loop, &conn->free_task);
	if (dialler && conn->role != CONN_ACCEPTED) {
		if (conn->state != CONN_CONNECTING)
			dialler->ready--;
		if (dialler->dialling == conn)
			dialler->dialling = NULL;
		if (dialler->heartbeat == conn) {
			dialler->heartbeat = NULL;
			cache->hooks->heartbeat(cache->ctx, conn->peer, NULL);
		}
	}
}

/* Between half and all of the backoff, so that peers which lost us together return apart. */
static uint64_t jittered(uint64_t backoff_ns)
{
	uint32_t noise = 0;

	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) != sizeof(noise))
		return backoff_ns;
	return backoff_ns / 2 + (backoff_ns / 2 * noise >> 32);
}

static void dial_in(struct dialler *dialler, uint64_t delay_ns)
{
	struct loop *loop = dialler->cache->loop;
	uint64_t when_ns = loop_now_ns(loop) + jittered(delay_ns);

	if (!dialler->allowed || (dialler->again.armed && dialler->again.deadline_ns <= when_ns))
		return;
	loop_arm(loop, &dialler->again, when_ns);
}

static void dial_later(struct dialler *dialler)
{
	dial_in(dialler, dialler->backoff_ns);
	dialler->backoff_ns *= 2;
	if (dialler->backoff_ns > BACKOFF_MAX_NS)
		dialler->backoff_ns = BACKOFF_MAX_NS;
}

static void on_again(struct timer *timer)
{
	dial(LOOP_OWNER(timer, struct dialler, again));
}

static void dialled_ready(struct conn *conn)
{
	struct conn_cache *cache = conn->cache;
	struct dialler *dialler = dialler_of(cache, conn->peer);

	dialler->dialling = NULL;
	dialler->ready++;
	cache->hooks->dialled(cache->ctx, conn->peer, 0, NULL);
	if (conn->role == CONN_HEARTBEAT) {
		dialler->heartbeat = conn;
		cache->hooks->heartbeat(cache->ctx, conn->peer, conn->http2);
	}
	dial(dialler);
}

static void turned_away(const struct conn *conn, const char *reason)
{
	struct sockaddr_storage from = {};

	memcpy(&from, &conn->from, sizeof(conn->from));
	conn->cache->hooks->refused(conn->cache->ctx, &from, reason);
}

/* Its certificate says who it is; what it claims otherwise does not count. */
static bool adopt_accepted(struct conn *conn, const char *name)
{
	struct conn_cache *cache = conn->cache;
	struct roster_peer *peer = roster_by_name(cache->roster, name);
	char reason[160];

	if (!peer) {
		snprintf(reason, sizeof(reason),
			 "certificate is of '%.64s', which is no peer of ours", name);
		turned_away(conn, reason);
		return false;
	}
	TAILQ_REMOVE(list_of(conn), conn, of_peer);
	conn->peer = peer;
	TAILQ_INSERT_TAIL(list_of(conn), conn, of_peer);
	return true;
}

static void on_ready(void *ctx, const char *peer_name)
{
	struct conn *conn = ctx;
	socklen_t size = sizeof(conn->cookie);

	if (conn->ended)
		return;
	conn->state = CONN_READY;
	if (getsockopt(http2_fd(conn->http2), SOL_SOCKET, SO_COOKIE, &conn->cookie, &size))
		conn->cookie = 0;
	if (conn->role != CONN_ACCEPTED)
		dialled_ready(conn);
	else if (!adopt_accepted(conn, peer_name))
		conn_end(conn);
}

static void on_ping(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct conn *conn = ctx;
	struct conn_cache *cache = conn->cache;

	if (!conn->ended && conn->role == CONN_ACCEPTED && conn->peer)
		cache->hooks->pinged(cache->ctx, conn->peer, http2_fd(conn->http2), opaque);
}

static void on_ping_ack(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct conn *conn = ctx;
	struct conn_cache *cache = conn->cache;

	if (conn->ended || !conn->peer)
		return;
	/* Not before: a server that turns us away does so after our side of TLS is done. */
	dialler_of(cache, conn->peer)->backoff_ns = BACKOFF_MIN_NS;
	cache->hooks->ping_ack(cache->ctx, conn->peer, opaque);
}

static void on_close(void *ctx, int err, const char *reason)
{
	struct conn *conn = ctx;
	struct conn_cache *cache = conn->cache;
	struct roster_peer *peer = conn->peer;
	enum conn_role role = conn->role;
	bool was_connecting = conn->state == CONN_CONNECTING;

	if (conn->ended)
		return;
	if (role == CONN_ACCEPTED && was_connecting && err == -EPROTO)
		turned_away(conn, reason);
	conn_end(conn);
	if (role == CONN_ACCEPTED)
		return;
	if (was_connecting)
		cache->hooks->dialled(cache->ctx, peer, err ? err : -ECONNRESET, reason);
	dial_later(dialler_of(cache, peer));
}

static const struct http2_callbacks http2_callbacks = {
	.on_ready = on_ready,
	.on_ping = on_ping,
	.on_ping_ack = on_ping_ack,
	.on_close = on_close,
};

static int prepare_heartbeat(void *ctx, int fd)
{
	struct conn_cache *cache = ctx;

	return cache->hooks->prepare(cache->ctx, fd, CONN_HEARTBEAT);
}

static int prepare_pool(void *ctx, int fd)
{
	struct conn_cache *cache = ctx;

	return cache->hooks->prepare(cache->ctx, fd, CONN_POOL);
}

/* The next connection this peer lacks: its heartbeat at once, the pool after the hold-down. */
static void dial(struct dialler *dialler)
{
	struct conn_cache *cache = dialler->cache;
	struct roster_peer *peer = dialler->peer;
	enum conn_role role = dialler->heartbeat ? CONN_POOL : CONN_HEARTBEAT;
	struct tcp_opts opts = {
		.prepare = role == CONN_HEARTBEAT ? prepare_heartbeat : prepare_pool,
		.prepare_ctx = cache,
		.connect_timeout_ns = CONNECT_TIMEOUT_NS,
	};
	struct conn *conn;
	int err;

	if (!dialler->allowed || dialler->dialling || dialler->again.armed ||
	    dialler->ready >= cache->per_peer)
		return;
	if (role == CONN_POOL && loop_now_ns(cache->loop) < peer->hold_until_ns) {
		loop_arm(cache->loop, &dialler->again, peer->hold_until_ns);
		return;
	}
	conn = conn_new(cache, peer, role);
	if (!conn) {
		dial_later(dialler);
		return;
	}
	dialler->dialling = conn;
	err = http2_client(cache->loop, (const struct sockaddr *)&peer->addr, cache->tls,
			   peer->name, &opts, &http2_callbacks, conn, &conn->http2);
	if (!err)
		return;
	conn_end(conn);
	cache->hooks->dialled(cache->ctx, peer, err, strerror(-err));
	dial_later(dialler);
}

/* After the last connection: what is reaped is reaped in order. */
static void cache_free(struct loop_task *task)
{
	struct conn_cache *cache = LOOP_OWNER(task, struct conn_cache, free_task);

	slots_close(cache->slots);
	free(cache->diallers);
	free(cache);
}

int conn_cache_open(struct conn_cache **cache, struct loop *loop, struct tls_context *tls,
		    struct roster *roster, unsigned int per_peer, const struct conn_hooks *hooks,
		    void *ctx)
{
	struct conn_cache *fresh = calloc(1, sizeof(*fresh));
	size_t i;

	if (!fresh)
		return -ENOMEM;
	fresh->free_task.run = cache_free;
	fresh->diallers = calloc(roster->count ? roster->count : 1, sizeof(*fresh->diallers));
	if (!fresh->diallers || slots_open(&fresh->slots, sizeof(struct conn))) {
		cache_free(&fresh->free_task);
		return -ENOMEM;
	}
	fresh->loop = loop;
	fresh->tls = tls;
	fresh->roster = roster;
	fresh->per_peer = per_peer;
	fresh->hooks = hooks;
	fresh->ctx = ctx;
	TAILQ_INIT(&fresh->strangers);
	TAILQ_INIT(&fresh->all);
	*cache = fresh;
	for (i = 0; i < roster->count; i++) {
		struct dialler *dialler = &fresh->diallers[i];

		dialler->cache = fresh;
		dialler->peer = &roster->peers[i];
		dialler->again.fire = on_again;
		dialler->backoff_ns = BACKOFF_MIN_NS;
		TAILQ_INIT(&dialler->conns);
	}
	return 0;
}

void conn_cache_close(struct conn_cache *cache)
{
	size_t i;

	if (!cache)
		return;
	for (i = 0; i < cache->roster->count; i++) {
		cache->diallers[i].allowed = false;
		loop_disarm(cache->loop, &cache->diallers[i].again);
	}
	conn_clear(cache);
	loop_reap(cache->loop, &cache->free_task);
}

void conn_accept(struct conn_cache *cache, int fd)
{
	struct conn *conn = conn_new(cache, NULL, CONN_ACCEPTED);
	socklen_t size = sizeof(conn->from);

	if (!conn) {
		close(fd);
		return;
	}
	if (getpeername(fd, (struct sockaddr *)&conn->from, &size))
		conn->from.sin6_family = AF_UNSPEC;
	if (http2_server(cache->loop, fd, cache->tls, &http2_callbacks, conn, &conn->http2)) {
		close(fd);
		conn_end(conn);
	}
}

int conn_lease(struct conn_cache *cache, const struct roster_peer *peer, struct conn **conn)
{
	struct dialler *dialler = dialler_of(cache, peer);
	struct conn *each, *best = NULL;

	if (peer->state == VERDICT_LOST || peer->state == VERDICT_DEAD)
		return -EHOSTDOWN;
	TAILQ_FOREACH(each, &dialler->conns, of_peer)
		if (each->role != CONN_ACCEPTED && each->state != CONN_CONNECTING &&
		    (!best || each->leases < best->leases))
			best = each;
	if (!best)
		return -EAGAIN;
	best->leases++;
	best->state = CONN_LEASED;
	TAILQ_REMOVE(&dialler->conns, best, of_peer);
	TAILQ_INSERT_TAIL(&dialler->conns, best, of_peer);
	*conn = best;
	return 0;
}

void conn_return(struct conn *conn, bool failed)
{
	struct dialler *dialler = dialler_of(conn->cache, conn->peer);

	if (failed) {
		conn_end(conn);
		dial_in(dialler, BACKOFF_MIN_NS);
		return;
	}
	if (!--conn->leases)
		conn->state = CONN_READY;
}

struct http2 *conn_http2(const struct conn *conn)
{
	return conn->http2;
}

bool conn_has(const struct conn_cache *cache, const struct roster_peer *peer)
{
	return dialler_of(cache, peer)->ready > 0;
}

unsigned int conn_evict_peer(struct conn_cache *cache, const struct roster_peer *peer)
{
	struct dialler *dialler = dialler_of(cache, peer);
	struct conn *conn, *next;
	unsigned int count = 0;

	for (conn = TAILQ_FIRST(&dialler->conns); conn; conn = next) {
		next = TAILQ_NEXT(conn, of_peer);
		conn_end(conn);
		count++;
	}
	dial_in(dialler, BACKOFF_MIN_NS);
	return count;
}

static int evict_one(struct conn *conn)
{
	struct dialler *dialler = conn->peer ? dialler_of(conn->cache, conn->peer) : NULL;

	conn_end(conn);
	if (dialler)
		dial_in(dialler, BACKOFF_MIN_NS);
	return 0;
}

int conn_evict_id(struct conn_cache *cache, uint64_t id)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &cache->all, of_cache)
		if (conn->id == id)
			return evict_one(conn);
	return -ENOENT;
}

int conn_evict_cookie(struct conn_cache *cache, uint64_t cookie)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &cache->all, of_cache)
		if (cookie && conn->cookie == cookie)
			return evict_one(conn);
	return -ENOENT;
}

unsigned int conn_drop_idle(struct conn_cache *cache, const struct roster_peer *peer)
{
	struct dialler *dialler = dialler_of(cache, peer);
	struct conn *conn, *next;
	unsigned int count = 0;

	for (conn = TAILQ_FIRST(&dialler->conns); conn; conn = next) {
		next = TAILQ_NEXT(conn, of_peer);
		if (conn->role == CONN_POOL && conn->state == CONN_READY) {
			conn_end(conn);
			count++;
		}
	}
	return count;
}

unsigned int conn_clear(struct conn_cache *cache)
{
	struct conn *conn;
	unsigned int count = 0;
	size_t i;

	while ((conn = TAILQ_FIRST(&cache->all))) {
		conn_end(conn);
		count++;
	}
	for (i = 0; i < cache->roster->count; i++)
		dial_in(&cache->diallers[i], BACKOFF_MIN_NS);
	return count;
}

void conn_allow(struct conn_cache *cache, const struct roster_peer *peer, bool allowed)
{
	struct dialler *dialler = dialler_of(cache, peer);

	if (allowed == dialler->allowed)
		return;
	dialler->allowed = allowed;
	loop_disarm(cache->loop, &dialler->again);
	dialler->backoff_ns = BACKOFF_MIN_NS;
	if (!allowed && dialler->dialling)
		conn_end(dialler->dialling);
	dial(dialler);
}

void conn_each(const struct conn_cache *cache, void (*visit)(void *ctx, const struct conn_info *),
	       void *ctx)
{
	const struct conn *conn;

	TAILQ_FOREACH(conn, &cache->all, of_cache) {
		struct conn_info info = {
			.id = conn->id,
			.peer = conn->peer,
			.role = conn->role,
			.state = conn->state,
			.leases = conn->leases,
			.made_ns = conn->made_ns,
			.cookie = conn->cookie,
			.fd = conn->http2 ? http2_fd(conn->http2) : -1,
		};

		visit(ctx, &info);
	}
}
