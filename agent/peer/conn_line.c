// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_line.c - the line to one peer. See conn_line.h.
 *
 * Room: peer. Calls conn_entry, conn_queue, conn_chore, dial and io/http2; called by conn.c,
 * conn_accept.c and conn_chore.c.
 *
 * Happy path: attempt -> on_ready -> in the list, leased and returned any number of times. The
 * first connection to a peer is the heartbeat's; once it stands the pool is filled up, one dial at
 * a time (single flight: a peer that comes back is not greeted by a thousand handshakes at once). A
 * pooled one that nobody uses leaves, and its place stays empty until a lease finds nothing unused.
 * An old one is replaced: first the new one is dialled, then the old one retires.
 *
 * Failure modes: an attempt fails: dial.c backs off, and when nothing else is ready, who waits is
 * told why. A connection closes: out of the list, dialled again. The peer says GOAWAY while calls
 * go on: retired. The peer is lost or dead: no dial at all until conn_line_allow(); the probes will
 * hear its return.
 */
#include <errno.h>
#include <string.h>
#include "peer/conn_chore.h"
#include "peer/conn_line.h"

struct conn_cache *conn_line_cache(const struct conn *conn)
{
	return LOOP_OWNER(conn->book, struct conn_cache, book);
}

struct conn_line *conn_line_of(const struct conn *conn)
{
	return conn->peer ? &conn_line_cache(conn)->lines[conn->peer->index] : NULL;
}

static uint64_t now_of(const struct conn_line *line)
{
	return loop_now_ns(line->cache->book.loop);
}

static unsigned int wanted(const struct conn_line *line)
{
	return line->cache->limits.per_peer - line->idled;
}

static void settle_soon(struct conn_line *line)
{
	if (line->settle.queued)
		return;
	conn_entry_hold(&line->cache->book);
	loop_defer(line->cache->book.loop, &line->settle);
}

static void forget_dial_error(struct conn_line *line)
{
	conn_cause_put(line->dial_cause);
	line->dial_cause = NULL;
	line->dial_err = 0;
}

/* ---- the end of a connection ---- */

void conn_line_late(struct conn_line *line, int change)
{
	const struct conn_cache *cache = line->cache;
	bool was_late = line->late;

	line->late += change;
	if (was_late != (line->late > 0) && cache->hooks->late)
		cache->hooks->late(cache->ctx, line->peer, line->late > 0);
}

static void no_longer_old(struct conn_line *line, struct conn *conn)
{
	if (conn->old)
		line->old--;
	conn->old = false;
}

/* After it has ended, in whatever way. */
static void forget(struct conn *conn)
{
	struct conn_line *line = conn_line_of(conn);
	const struct conn_cache *cache = conn_line_cache(conn);

	if (!line)
		return;
	if (conn->role == CONN_ACCEPTED) {
		line->accepted_count--;
		return;
	}
	if (conn->state == CONN_READY || conn->state == CONN_LEASED)
		line->ready--;
	no_longer_old(line, conn);
	dial_done(&line->dial, conn);
	if (conn->ping.late)
		conn_line_late(line, -1);
	if (line->heartbeat == conn) {
		line->heartbeat = NULL;
		cache->hooks->heartbeat(cache->ctx, line->peer, NULL);
	}
}

void conn_line_end(struct conn *conn, struct conn_cause *cause)
{
	conn_entry_end(conn, cause);
	forget(conn);
}

static void leave(struct conn *conn)
{
	conn_entry_leave(conn);
	forget(conn);
}

static void retire(struct conn *conn)
{
	struct conn_line *line = conn_line_of(conn);

	if (conn->state == CONN_READY) {
		leave(conn);
		return;
	}
	line->ready--;
	no_longer_old(line, conn);
	conn->state = CONN_RETIRING;
}

void conn_line_leave(struct conn *conn)
{
	struct conn_line *line = conn_line_of(conn);

	retire(conn);
	settle_soon(line);
}

/* As many old ones as there are new ones too many. */
static void retire_replaced(struct conn_line *line)
{
	struct conn *conn, *next;

	for (conn = TAILQ_FIRST(&line->dialled); conn && line->ready > wanted(line); conn = next) {
		next = TAILQ_NEXT(conn, of_list);
		if (conn->old)
			retire(conn);
	}
	/* The old one idled away meanwhile: then this one has the place that it left. */
	while (line->idled && line->ready > wanted(line))
		line->idled--;
}

void conn_line_idle_away(struct conn *conn)
{
	struct conn_line *line = conn_line_of(conn);

	leave(conn);
	/* The heartbeat's place is never left empty. */
	if (line->ready < wanted(line) && wanted(line) > 1)
		line->idled++;
}

void conn_line_replace(struct conn *conn)
{
	struct conn_line *line = conn_line_of(conn);

	conn->old = true;
	line->old++;
	settle_soon(line);
}

/* ---- what a dialled connection tells ---- */

static void on_ready(void *ctx, const char *peer_name)
{
	struct conn *conn = ctx;
	struct conn_line *line = conn_line_of(conn);
	const struct conn_cache *cache = line->cache;

	(void)peer_name;
	if (conn->ended)
		return;
	conn_entry_ready(conn, cache->limits.keepalive_s);
	dial_done(&line->dial, conn);
	forget_dial_error(line);
	line->ready++;
	cache->hooks->dialled(cache->ctx, line->peer, 0, NULL);
	if (conn->role == CONN_HEARTBEAT) {
		line->heartbeat = conn;
		cache->hooks->heartbeat(cache->ctx, line->peer, conn->http2);
	} else {
		conn_chore_begin(conn);
	}
	retire_replaced(line);
	if (conn_queue_waits(&line->queue))
		settle_soon(line);
	dial_next(&line->dial);
}

static void on_ping_ack(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct conn *conn = ctx;
	struct conn_line *line = conn_line_of(conn);
	const struct conn_cache *cache = line->cache;

	/* Who answers before it is ready was not asked. */
	if (conn->ended || conn->state == CONN_CONNECTING)
		return;
	/* Not before: a server that turns us away does so after our side of TLS is done. */
	dial_proven(&line->dial);
	if (!conn_chore_pong(conn, opaque) && conn == line->heartbeat)
		cache->hooks->ping_ack(cache->ctx, line->peer, opaque);
}

static void dial_failed(struct conn_line *line, int err, const char *reason)
{
	const struct conn_cache *cache = line->cache;

	forget_dial_error(line);
	line->dial_err = err;
	line->dial_cause = conn_cause_new(reason);
	if (!line->ready)
		conn_line_turn_away(line, err, line->dial_cause);
	cache->hooks->dialled(cache->ctx, line->peer, err, reason);
	dial_later(&line->dial);
}

static void on_close(void *ctx, int err, const char *reason)
{
	struct conn *conn = ctx;
	struct conn_line *line = conn_line_of(conn);
	bool was_connecting = conn->state == CONN_CONNECTING;
	struct conn_cause *cause;

	if (conn->ended)
		return;
	cause = conn_cause_new(reason);
	conn_line_end(conn, cause);
	conn_cause_put(cause);
	if (was_connecting)
		dial_failed(line, err ? err : -ECONNRESET, reason);
	else
		dial_later(&line->dial);
}

static const struct http2_callbacks callbacks = {
	.on_ready = on_ready,
	.on_ping_ack = on_ping_ack,
	.on_close = on_close,
};

/* ---- dialling ---- */

static bool lacks_one(const struct conn_line *line)
{
	return line->ready < wanted(line) + (line->old ? 1 : 0);
}

static enum conn_role next_role(const struct conn_line *line)
{
	return line->heartbeat ? CONN_POOL : CONN_HEARTBEAT;
}

static int prepare(void *ctx, int fd)
{
	const struct conn_line *line = ctx;
	const struct conn_cache *cache = line->cache;

	return cache->hooks->prepare(cache->ctx, fd, next_role(line));
}

/* The next connection this peer lacks: its heartbeat at once, the pool after the hold-down. */
static void attempt(struct dial *dial)
{
	struct conn_line *line = LOOP_OWNER(dial, struct conn_line, dial);
	struct conn_cache *cache = line->cache;
	struct roster_peer *peer = line->peer;
	enum conn_role role = next_role(line);
	struct tcp_opts opts = {
		.prepare = prepare,
		.prepare_ctx = line,
		.connect_timeout_ns = cache->limits.connect_ns,
	};
	struct conn *conn;
	int err;

	if (!lacks_one(line))
		return;
	if (role == CONN_POOL && now_of(line) < peer->hold_until_ns) {
		dial_hold(dial, peer->hold_until_ns);
		return;
	}
	conn = conn_entry_new(&cache->book, &line->dialled, peer, role);
	if (!conn) {
		dial_later(dial);
		return;
	}
	dial_begin(dial, conn);
	err = http2_client(cache->book.loop, (const struct sockaddr *)&peer->addr, cache->tls,
			   peer->name, &opts, &callbacks, conn, &conn->http2);
	if (!err)
		return;
	conn_line_end(conn, NULL);
	dial_failed(line, err, strerror(-err));
}

void conn_line_refill(struct conn_line *line)
{
	line->idled = 0;
	dial_soon(&line->dial);
}

void conn_line_allow(struct conn_line *line, bool allowed)
{
	if (!dial_allow(&line->dial, allowed))
		return;
	forget_dial_error(line);
	line->idled = 0;
	if (!allowed && line->dial.in_flight)
		conn_line_end(line->dial.in_flight, NULL);
	dial_next(&line->dial);
}

/* ---- leasing and waiting ---- */

int conn_line_refuses(const struct conn_line *line)
{
	switch (line->peer->state) {
	case VERDICT_ISOLATED:
		return -ENETDOWN;
	case VERDICT_LOST:
	case VERDICT_DEAD:
		return -EHOSTDOWN;
	}
	return 0;
}

/* Nothing was unused: take back a place that was left empty. */
static void need_more(struct conn_line *line)
{
	if (!line->idled)
		return;
	line->idled--;
	settle_soon(line);
}

int conn_line_lease(struct conn_line *line, struct conn **conn)
{
	int err = conn_line_refuses(line);
	struct conn *best;

	if (err)
		return err;
	best = conn_entry_best(&line->dialled);
	if (!best || best->leases || best->role == CONN_HEARTBEAT)
		need_more(line);
	if (!best)
		return -EAGAIN;
	conn_entry_lease(best);
	*conn = best;
	return 0;
}

void conn_line_returned(struct conn *conn)
{
	struct conn_line *line = conn_line_of(conn);

	if (!conn->leases) {
		conn_chore_returned(conn);
		if (conn->state == CONN_RETIRING)
			leave(conn);
	}
	if (conn_queue_waits(&line->queue))
		settle_soon(line);
}

int conn_line_wait(struct conn_line *line, struct conn_wait *wait)
{
	int err = conn_line_refuses(line);

	if (err)
		return err;
	if (line->queue.count >= line->cache->limits.waiting)
		return -ENOBUFS;
	wait->peer = line->peer;
	if (line->dial_err && !line->ready && !line->dial.in_flight)
		conn_queue_add_failed(&line->queue, wait, line->dial_err, line->dial_cause);
	else
		conn_queue_add(&line->queue, wait);
	settle_soon(line);
	return 0;
}

void conn_line_turn_away(struct conn_line *line, int err, struct conn_cause *cause)
{
	if (!conn_queue_waits(&line->queue))
		return;
	conn_queue_fail(&line->queue, err, cause);
	settle_soon(line);
}

static int lease_next(void *ctx, struct conn **conn)
{
	return conn_line_lease(ctx, conn);
}

static void settle(struct loop_task *task)
{
	struct conn_line *line = LOOP_OWNER(task, struct conn_line, settle);
	struct conn_book *book = &line->cache->book;

	if (conn_queue_serve(&line->queue, lease_next, line))
		settle_soon(line);
	dial_next(&line->dial);
	conn_entry_release(book);
}

/* ---- open and close ---- */

void conn_line_open(struct conn_line *line, struct conn_cache *cache, struct roster_peer *peer)
{
	line->cache = cache;
	line->peer = peer;
	line->settle.run = settle;
	TAILQ_INIT(&line->dialled);
	TAILQ_INIT(&line->accepted);
	conn_queue_open(&line->queue);
	dial_open(&line->dial, cache->book.loop, attempt);
}

void conn_line_close(struct conn_line *line)
{
	dial_close(&line->dial);
	conn_queue_close(&line->queue);
	forget_dial_error(line);
}
