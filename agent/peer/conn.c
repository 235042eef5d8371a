// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn.c - the connection cache.
 *
 * Room: peer. Calls conn_entry, dial, io/http2 and roster; see conn.h for who calls it.
 *
 * Happy path: attempt -> on_ready -> in the peer's list, leased and returned any number of times.
 * The first connection to a peer is the heartbeat's; once it stands the pool is filled up, one dial
 * at a time (single flight: a peer that comes back is not greeted by a thousand handshakes at
 * once). Failure modes: an attempt fails: dial.c backs off. A connection closes: out of the list,
 * dialled again. Evicted: out of the lists at once, and deaf. The peer is lost or dead: no dial at
 * all until conn_allow(); the probes will hear its return. Somebody connects and never says who
 * they are: http2 times out, and only so many may wait for that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "peer/conn.h"
#include "peer/conn_entry.h"
#include "peer/dial.h"

/* What leads to and from one peer. */
struct line {
	struct dial dial;
	struct conn_cache *cache;
	struct roster_peer *peer;
	struct conn_list conns; /* all of this peer's, accepted ones included */
	struct conn *heartbeat; /* ready */
	unsigned int ready;	/* dialled ones that are ready or leased */
};

struct conn_cache {
	struct conn_book book;
	struct tls_context *tls;
	struct roster *roster;
	const struct conn_hooks *hooks;
	void *ctx;
	struct line *lines; /* one per roster place */
	unsigned int per_peer;
};

static struct line *line_of(const struct conn_cache *cache, const struct roster_peer *peer)
{
	return &cache->lines[peer->index];
}

static struct conn_cache *cache_of(const struct conn *conn)
{
	return LOOP_OWNER(conn->book, struct conn_cache, book);
}

static void conn_end(struct conn *conn)
{
	struct conn_cache *cache = cache_of(conn);
	struct roster_peer *peer = conn->peer;
	struct line *line = peer ? line_of(cache, peer) : NULL;

	conn_entry_end(conn);
	if (!line || conn->role == CONN_ACCEPTED)
		return;
	if (conn->state != CONN_CONNECTING)
		line->ready--;
	dial_done(&line->dial, conn);
	if (line->heartbeat == conn) {
		line->heartbeat = NULL;
		cache->hooks->heartbeat(cache->ctx, peer, NULL);
	}
}

static void dialled_ready(struct conn *conn)
{
	struct conn_cache *cache = cache_of(conn);
	struct line *line = line_of(cache, conn->peer);

	dial_done(&line->dial, conn);
	line->ready++;
	cache->hooks->dialled(cache->ctx, conn->peer, 0, NULL);
	if (conn->role == CONN_HEARTBEAT) {
		line->heartbeat = conn;
		cache->hooks->heartbeat(cache->ctx, conn->peer, conn->http2);
	}
	dial_next(&line->dial);
}

static void turned_away(const struct conn *conn, const char *reason)
{
	struct conn_cache *cache = cache_of(conn);
	struct sockaddr_storage from = conn_entry_from(conn);

	cache->hooks->refused(cache->ctx, &from, reason);
}

/* Its certificate says who it is; what it claims otherwise does not count. */
static bool adopt_accepted(struct conn *conn, const char *name)
{
	struct conn_cache *cache = cache_of(conn);
	struct roster_peer *peer = roster_by_name(cache->roster, name);
	char reason[160];

	if (!peer) {
		snprintf(reason, sizeof(reason),
			 "certificate is of '%.64s', which is no peer of ours", name);
		turned_away(conn, reason);
		return false;
	}
	conn->peer = peer;
	conn_entry_move(conn, &line_of(cache, peer)->conns);
	return true;
}

static void on_ready(void *ctx, const char *peer_name)
{
	struct conn *conn = ctx;

	if (conn->ended)
		return;
	conn_entry_ready(conn);
	if (conn->role != CONN_ACCEPTED)
		dialled_ready(conn);
	else if (!adopt_accepted(conn, peer_name))
		conn_end(conn);
}

static void on_ping(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct conn *conn = ctx;
	struct conn_cache *cache = cache_of(conn);

	if (!conn->ended && conn->role == CONN_ACCEPTED && conn->peer)
		cache->hooks->pinged(cache->ctx, conn->peer, http2_fd(conn->http2), opaque);
}

static void on_ping_ack(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct conn *conn = ctx;
	struct conn_cache *cache = cache_of(conn);

	if (conn->ended || !conn->peer)
		return;
	/* Not before: a server that turns us away does so after our side of TLS is done. */
	dial_proven(&line_of(cache, conn->peer)->dial);
	cache->hooks->ping_ack(cache->ctx, conn->peer, opaque);
}

static void on_close(void *ctx, int err, const char *reason)
{
	struct conn *conn = ctx;
	struct conn_cache *cache = cache_of(conn);
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
	dial_later(&line_of(cache, peer)->dial);
}

static const struct http2_callbacks http2_callbacks = {
	.on_ready = on_ready,
	.on_ping = on_ping,
	.on_ping_ack = on_ping_ack,
	.on_close = on_close,
};

static enum conn_role next_role(const struct line *line)
{
	return line->heartbeat ? CONN_POOL : CONN_HEARTBEAT;
}

static int prepare(void *ctx, int fd)
{
	struct line *line = ctx;
	struct conn_cache *cache = line->cache;

	return cache->hooks->prepare(cache->ctx, fd, next_role(line));
}

/* The next connection this peer lacks: its heartbeat at once, the pool after the hold-down. */
static void attempt(struct dial *dial)
{
	struct line *line = LOOP_OWNER(dial, struct line, dial);
	struct conn_cache *cache = line->cache;
	struct roster_peer *peer = line->peer;
	enum conn_role role = next_role(line);
	struct tcp_opts opts = {
		.prepare = prepare,
		.prepare_ctx = line,
		.connect_timeout_ns = DIAL_TIMEOUT_NS,
	};
	struct conn *conn;
	int err;

	if (line->ready >= cache->per_peer)
		return;
	if (role == CONN_POOL && loop_now_ns(cache->book.loop) < peer->hold_until_ns) {
		dial_hold(dial, peer->hold_until_ns);
		return;
	}
	conn = conn_entry_new(&cache->book, &line->conns, peer, role);
	if (!conn) {
		dial_later(dial);
		return;
	}
	dial_begin(dial, conn);
	err = http2_client(cache->book.loop, (const struct sockaddr *)&peer->addr, cache->tls,
			   peer->name, &opts, &http2_callbacks, conn, &conn->http2);
	if (!err)
		return;
	conn_end(conn);
	cache->hooks->dialled(cache->ctx, peer, err, strerror(-err));
	dial_later(dial);
}

static void cache_free(struct conn_book *book)
{
	struct conn_cache *cache = LOOP_OWNER(book, struct conn_cache, book);

	free(cache->lines);
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
	fresh->lines = calloc(roster->count ? roster->count : 1, sizeof(*fresh->lines));
	if (!fresh->lines || conn_entry_open(&fresh->book, loop, cache_free)) {
		cache_free(&fresh->book);
		return -ENOMEM;
	}
	fresh->tls = tls;
	fresh->roster = roster;
	fresh->per_peer = per_peer;
	fresh->hooks = hooks;
	fresh->ctx = ctx;
	for (i = 0; i < roster->count; i++) {
		struct line *line = &fresh->lines[i];

		line->cache = fresh;
		line->peer = &roster->peers[i];
		TAILQ_INIT(&line->conns);
		dial_open(&line->dial, loop, attempt);
	}
	*cache = fresh;
	return 0;
}

void conn_cache_close(struct conn_cache *cache)
{
	size_t i;

	if (!cache)
		return;
	for (i = 0; i < cache->roster->count; i++)
		dial_close(&cache->lines[i].dial);
	conn_clear(cache);
	conn_entry_close(&cache->book);
}

void conn_accept(struct conn_cache *cache, int fd)
{
	struct conn *conn = conn_entry_accept(&cache->book, fd);

	if (conn &&
	    !http2_server(cache->book.loop, fd, cache->tls, &http2_callbacks, conn, &conn->http2))
		return;
	/* Without a word: a flood of connections must not become one of log lines. */
	close(fd);
	if (conn)
		conn_end(conn);
}

int conn_lease(struct conn_cache *cache, const struct roster_peer *peer, struct conn **conn)
{
	if (peer->state == VERDICT_ISOLATED)
		return -ENETDOWN;
	if (peer->state == VERDICT_LOST || peer->state == VERDICT_DEAD)
		return -EHOSTDOWN;
	return conn_entry_lease(&line_of(cache, peer)->conns, conn);
}

static int evict_one(struct conn *conn)
{
	struct line *line;

	if (!conn)
		return -ENOENT;
	line = conn->peer ? line_of(cache_of(conn), conn->peer) : NULL;
	conn_end(conn);
	if (line)
		dial_soon(&line->dial);
	return 0;
}

void conn_return(struct conn *conn, bool failed)
{
	if (failed && !conn->ended)
		evict_one(conn);
	conn_entry_put(conn);
}

struct http2 *conn_http2(const struct conn *conn)
{
	return conn->ended ? NULL : conn->http2;
}

bool conn_has(const struct conn_cache *cache, const struct roster_peer *peer)
{
	return line_of(cache, peer)->ready > 0;
}

static unsigned int end_each(struct conn_list *conns, bool idle_only)
{
	struct conn *conn, *next;
	unsigned int count = 0;

	for (conn = TAILQ_FIRST(conns); conn; conn = next) {
		next = TAILQ_NEXT(conn, of_list);
		if (idle_only && (conn->role != CONN_POOL || conn->state != CONN_READY))
			continue;
		conn_end(conn);
		count++;
	}
	return count;
}

unsigned int conn_evict_peer(struct conn_cache *cache, const struct roster_peer *peer)
{
	struct line *line = line_of(cache, peer);
	unsigned int count = end_each(&line->conns, false);

	dial_soon(&line->dial);
	return count;
}

int conn_evict_id(struct conn_cache *cache, uint64_t id)
{
	return evict_one(conn_entry_by_id(&cache->book, id));
}

int conn_evict_cookie(struct conn_cache *cache, uint64_t cookie)
{
	return evict_one(conn_entry_by_cookie(&cache->book, cookie));
}

unsigned int conn_drop_idle(struct conn_cache *cache, const struct roster_peer *peer)
{
	return end_each(&line_of(cache, peer)->conns, true);
}

unsigned int conn_clear(struct conn_cache *cache)
{
	struct conn *conn;
	unsigned int count = 0;
	size_t i;

	for (; (conn = TAILQ_FIRST(&cache->book.all)); count++)
		conn_end(conn);
	for (i = 0; i < cache->roster->count; i++)
		dial_soon(&cache->lines[i].dial);
	return count;
}

void conn_allow(struct conn_cache *cache, const struct roster_peer *peer, bool allowed)
{
	struct line *line = line_of(cache, peer);

	if (!dial_allow(&line->dial, allowed))
		return;
	if (!allowed && line->dial.in_flight)
		conn_end(line->dial.in_flight);
	dial_next(&line->dial);
}

void conn_each(const struct conn_cache *cache, void (*visit)(void *ctx, const struct conn_info *),
	       void *ctx)
{
	const struct conn *conn;

	TAILQ_FOREACH(conn, &cache->book.all, of_cache) {
		struct conn_info info = conn_entry_info(conn);

		visit(ctx, &info);
	}
}
