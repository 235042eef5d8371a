// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn.c - the connection cache.
 *
 * Room: peer. Calls conn_line (one per peer), conn_entry and roster; conn_accept.c has the
 * connections that others open. See conn.h for who calls it.
 *
 * Happy path: opened -> lines dial as they are allowed -> leased, returned, waited for.
 * Failure modes: evicted: out of the lists at once, and deaf; leaseholders get the reason, and the
 * memory stays until they have given it back, which may be after the cache was closed.
 */
#include <errno.h>
#include <stdlib.h>
#include "peer/conn_line.h"

static struct conn_line *line_to(const struct conn_cache *cache, const struct roster_peer *peer)
{
	return &cache->lines[peer->index];
}

static void cache_free(struct conn_book *book)
{
	struct conn_cache *cache = LOOP_OWNER(book, struct conn_cache, book);

	free(cache->lines);
	free(cache);
}

int conn_cache_open(struct conn_cache **cache, struct loop *loop, struct tls_context *tls,
		    struct roster *roster, const struct conn_limits *limits,
		    const struct conn_hooks *hooks, void *ctx)
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
	fresh->limits = *limits;
	fresh->of_peer_max = CONN_ENTRY_OF_PEER_MAX;
	fresh->hooks = hooks;
	fresh->ctx = ctx;
	for (i = 0; i < roster->count; i++)
		conn_line_open(&fresh->lines[i], fresh, &roster->peers[i]);
	*cache = fresh;
	return 0;
}

/* Who has asked something has an answer coming, if only that this node stops: see serve_close(). */
static void part_from_askers(struct conn_book *book)
{
	struct conn *conn, *next;

	for (conn = TAILQ_FIRST(&book->all); conn; conn = next) {
		next = TAILQ_NEXT(conn, of_cache);
		if (conn->role == CONN_ACCEPTED && conn->state == CONN_READY)
			conn_entry_leave(conn);
	}
}

void conn_cache_close(struct conn_cache *cache)
{
	size_t i;

	if (!cache)
		return;
	for (i = 0; i < cache->roster->count; i++)
		conn_line_close(&cache->lines[i]);
	part_from_askers(&cache->book);
	conn_clear(cache, "this node's agent stops");
	conn_entry_close(&cache->book);
}

int conn_lease(struct conn_cache *cache, const struct roster_peer *peer, struct conn **conn)
{
	struct conn_line *line = line_to(cache, peer);
	int err = conn_line_refuses(line);

	if (!err && conn_queue_waits(&line->queue))
		err = -EAGAIN;
	return err ? err : conn_line_lease(line, conn);
}

int conn_wait(struct conn_cache *cache, const struct roster_peer *peer, struct conn_wait *wait)
{
	return conn_line_wait(line_to(cache, peer), wait);
}

void conn_wait_forget(struct conn_cache *cache, struct conn_wait *wait)
{
	if (wait->peer)
		conn_queue_remove(&line_to(cache, wait->peer)->queue, wait);
}

static int evict_one(struct conn *conn, const char *reason)
{
	struct conn_cause *cause;
	struct conn_line *line;

	if (!conn)
		return -ENOENT;
	line = conn_line_of(conn);
	cause = conn_cause_new(reason);
	conn_line_end(conn, cause);
	conn_cause_put(cause);
	if (line)
		dial_soon(&line->dial);
	return 0;
}

void conn_return(struct conn *conn, bool failed)
{
	bool ended = conn->ended;

	if (failed && !ended)
		evict_one(conn, "another call on the connection failed");
	ended = conn->ended;
	conn_entry_put(conn);
	if (!ended)
		conn_line_returned(conn);
}

struct http2 *conn_http2(const struct conn *conn)
{
	return conn->ended ? NULL : conn->http2;
}

const char *conn_reason(const struct conn *conn)
{
	return conn->ended ? conn_cause_words(conn->cause) : "";
}

bool conn_has(const struct conn_cache *cache, const struct roster_peer *peer)
{
	return line_to(cache, peer)->ready > 0;
}

static unsigned int end_each(struct conn_list *conns, struct conn_cause *cause)
{
	struct conn *conn;
	unsigned int count = 0;

	for (; (conn = TAILQ_FIRST(conns)); count++)
		conn_line_end(conn, cause);
	return count;
}

unsigned int conn_evict_peer(struct conn_cache *cache, const struct roster_peer *peer,
			     const char *reason)
{
	struct conn_line *line = line_to(cache, peer);
	struct conn_cause *cause = conn_cause_new(reason);
	unsigned int count = end_each(&line->dialled, cause) + end_each(&line->accepted, cause);

	conn_cause_put(cause);
	conn_line_refill(line);
	return count;
}

int conn_evict_id(struct conn_cache *cache, uint64_t id, const char *reason)
{
	return evict_one(conn_entry_by_id(&cache->book, id), reason);
}

int conn_evict_cookie(struct conn_cache *cache, uint64_t cookie, const char *reason)
{
	return evict_one(conn_entry_by_cookie(&cache->book, cookie), reason);
}

unsigned int conn_clear(struct conn_cache *cache, const char *reason)
{
	struct conn_cause *cause = conn_cause_new(reason);
	struct conn *conn;
	unsigned int count = 0;
	size_t i;

	for (; (conn = TAILQ_FIRST(&cache->book.all)); count++)
		conn_line_end(conn, cause);
	conn_cause_put(cause);
	for (i = 0; i < cache->roster->count; i++)
		conn_line_refill(&cache->lines[i]);
	return count;
}

unsigned int conn_drop_idle(struct conn_cache *cache, const struct roster_peer *peer)
{
	struct conn *conn, *next;
	unsigned int count = 0;

	for (conn = TAILQ_FIRST(&line_to(cache, peer)->dialled); conn; conn = next) {
		next = TAILQ_NEXT(conn, of_list);
		if (conn->role != CONN_POOL || conn->state != CONN_READY)
			continue;
		conn_line_end(conn, NULL);
		count++;
	}
	return count;
}

void conn_turn_away(struct conn_cache *cache, const struct roster_peer *peer, const char *reason)
{
	struct conn_line *line = line_to(cache, peer);
	int err = conn_line_refuses(line);
	struct conn_cause *cause;

	if (!err)
		return;
	cause = conn_cause_new(reason);
	conn_line_turn_away(line, err, cause);
	conn_cause_put(cause);
}

void conn_allow(struct conn_cache *cache, const struct roster_peer *peer, bool allowed)
{
	conn_line_allow(line_to(cache, peer), allowed);
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
