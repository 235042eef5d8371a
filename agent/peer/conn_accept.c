// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_accept.c - connections that others open: who they are, and what they ask.
 *
 * Room: peer. Calls conn_entry, conn_line, io/http2 and roster; conn_accept() is conn.h's.
 *
 * Happy path: a stranger -> TLS says whose certificate it is -> a peer's, or a client's that the
 * configuration admits -> it pings and asks.
 * Failure modes: nobody we know, or too many clients: turned away, with a word. It never says who
 * it is: http2 times out, and only so many may wait for that. Too many of one peer: one that it
 * does not use gives way, the oldest first, since that is the one it may have forgotten; with a
 * word for all that come in a row.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "peer/conn_line.h"

static void turned_away(const struct conn *conn, const char *reason)
{
	const struct conn_cache *cache = conn_line_cache(conn);
	struct sockaddr_storage from = conn_entry_from(conn);

	cache->hooks->refused(cache->ctx, &from, reason);
}

/* More than so many of one peer, with no such pause between them, are one storm. */
#define CROWD_PAUSE_NS UINT64_C(60000000000)

static void tell_crowded(struct conn_line *line, const struct conn *conn)
{
	uint64_t now_ns = loop_now_ns(conn->book->loop);
	char reason[160];

	if (!line->crowded_ns || now_ns - line->crowded_ns > CROWD_PAUSE_NS) {
		snprintf(reason, sizeof(reason),
			 "'%.64s' has %u connections open already: unused ones give way",
			 line->peer->name, line->accepted_count);
		turned_away(conn, reason);
	}
	line->crowded_ns = now_ns;
}

/* The oldest without calls goes, so that what is in use is not cut for what may never be. */
static bool give_way(struct conn_line *line)
{
	struct conn *each;

	TAILQ_FOREACH(each, &line->accepted, of_list)
		if (!http2_streams_open(each->http2))
			break;
	if (each)
		conn_line_end(each, NULL);
	return each;
}

static bool adopt_of_peer(struct conn *conn, struct conn_line *line)
{
	if (line->accepted_count >= line->cache->of_peer_max) {
		tell_crowded(line, conn);
		if (!give_way(line))
			return false;
	}
	conn->peer = line->peer;
	line->accepted_count++;
	conn_entry_move(conn, &line->accepted);
	return true;
}

/* Its certificate says who it is; what it claims otherwise does not count. */
static bool adopt(struct conn *conn, const char *name)
{
	struct conn_cache *cache = conn_line_cache(conn);
	struct roster_peer *peer = roster_by_name(cache->roster, name);
	char reason[160];

	/* People may name a peer by its address; a certificate may not. */
	if (peer && !strcmp(peer->name, name))
		return adopt_of_peer(conn, &cache->lines[peer->index]);
	if (!cache->hooks->admits || !cache->hooks->admits(cache->ctx, name))
		snprintf(reason, sizeof(reason),
			 "certificate is of '%.64s', which is no peer of ours, nor a `client` in "
			 "[grpc]",
			 name);
	else if (conn_entry_client(conn, name))
		return true;
	else
		snprintf(reason, sizeof(reason),
			 "'%.64s' may ask, but %d connections of clients are open already", name,
			 CONN_CLIENTS_MAX);
	turned_away(conn, reason);
	return false;
}

static void on_ready(void *ctx, const char *peer_name)
{
	struct conn *conn = ctx;

	if (conn->ended)
		return;
	conn_entry_ready(conn, conn_line_cache(conn)->limits.keepalive_s);
	if (!adopt(conn, peer_name))
		conn_line_end(conn, NULL);
}

static void on_ping(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct conn *conn = ctx;
	const struct conn_cache *cache = conn_line_cache(conn);

	if (!conn->ended && conn->peer)
		cache->hooks->pinged(cache->ctx, conn->peer, http2_fd(conn->http2), opaque);
}

static void on_request(void *ctx, struct http2_stream *stream, const struct http2_head *head)
{
	struct conn *conn = ctx;
	const struct conn_cache *cache = conn_line_cache(conn);

	if (!conn->ended && cache->hooks->request)
		cache->hooks->request(cache->ctx, conn->peer, stream, head);
}

static void on_close(void *ctx, int err, const char *reason)
{
	struct conn *conn = ctx;

	if (conn->ended)
		return;
	if (conn->state == CONN_CONNECTING && err == -EPROTO)
		turned_away(conn, reason);
	conn_line_end(conn, NULL);
}

static const struct http2_callbacks callbacks = {
	.on_ready = on_ready,
	.on_ping = on_ping,
	.on_request = on_request,
	.on_close = on_close,
};

void conn_accept(struct conn_cache *cache, int fd)
{
	struct conn *conn = conn_entry_accept(&cache->book, fd);

	if (conn && !http2_server(cache->book.loop, fd, cache->tls, &callbacks, conn, &conn->http2))
		return;
	/* Without a word: a flood of connections must not become one of log lines. */
	close(fd);
	if (conn)
		conn_line_end(conn, NULL);
}
