// SPDX-License-Identifier: BSD-2-Clause
/*
 * call.c - gRPC calls to peers. See call.h.
 *
 * Room: peer. Calls conn, io/http2_stream, grpc; called by console/info and whoever asks peers.
 *
 * Happy path: leased -> stream opened with the message -> head, messages, trailers -> on_end with
 * the server's status, lease returned, freed. One that streams: messages in between, either way.
 *
 * Failure modes:
 * - No connection is ready: stands in the peer's line; granted later, or ended with what the line
 * says.
 * - The peer is lost or dead: not even begun.
 * - The connection is evicted or ends: the stream hears of it in the same batch: UNAVAILABLE, with
 * the connection's reason.
 * - The deadline passes: DEADLINE_EXCEEDED, the stream is reset, the connection stays: slow is not
 * dead.
 * - The server breaks gRPC's rules: INTERNAL, and the connection is given back as failed.
 * - Cancelled from inside its own callback: freed when that returns.
 * - The server reads slowly: call_send() refuses, on_room tells when it is worth trying again.
 * - The server has said all while the call still streams: it ends with what was said, and the
 * stream is reset.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "io/http2_stream.h"
#include "peer/call.h"

#define NS_PER_MS 1000000ULL

struct call {
	LIST_ENTRY(call) entry;
	struct call_book *book;
	const struct roster_peer *peer;
	const char *path;
	const struct call_callbacks *callbacks; /* NULL: cancelled */
	void *ctx;
	uint8_t *message; /* framed; NULL once handed to the stream */
	size_t message_bytes;
	uint64_t timeout_ns;
	struct timer deadline;
	struct conn_wait wait;
	struct conn *conn;	     /* leased */
	struct http2_stream *stream; /* NULL: not yet, or no more */
	struct grpc_reader reader;
	enum grpc_status status;
	bool has_status;
	bool streams;
	bool send_ended; /* nothing more to ask */
	bool wants_room; /* refused before there was a stream */
	bool violated;	 /* by the server: the connection is no good */
	bool telling;	 /* inside a callback: must not be freed */
	char words[GRPC_WORDS_BYTES];
};

struct call_book {
	struct loop *loop;
	struct conn_cache *conns;
	uint64_t timeout_ns;
	LIST_HEAD(, call) calls;
	size_t count;
};

static void call_free(struct call *call)
{
	struct call_book *book = call->book;

	loop_disarm(book->loop, &call->deadline);
	conn_wait_forget(book->conns, &call->wait);
	if (call->stream)
		http2_stream_reset(call->stream, NGHTTP2_CANCEL);
	if (call->conn)
		conn_return(call->conn, call->violated);
	LIST_REMOVE(call, entry);
	book->count--;
	grpc_read_free(&call->reader);
	free(call->message);
	free(call);
}

static void call_end(struct call *call, enum grpc_status status, const char *words)
{
	const struct call_callbacks *callbacks = call->callbacks;

	call->callbacks = NULL;
	call->telling = true;
	if (callbacks)
		callbacks->on_end(call->ctx, status, words);
	call_free(call);
}

static void violate(struct call *call, enum grpc_status status, const char *words)
{
	call->violated = status == GRPC_INTERNAL;
	call_end(call, status, words);
}

/* ---- what the stream tells ---- */

static void note_status(struct call *call, const struct http2_head *head)
{
	const char *status = head->value[HTTP2_GRPC_STATUS];
	const char *words = head->value[HTTP2_GRPC_MESSAGE];
	char *rest;
	unsigned long number;

	if (!status)
		return;
	call->words[0] = '\0';
	number = strtoul(status, &rest, 10);
	call->status = *rest || !*status || number >= GRPC_STATUSES ? GRPC_UNKNOWN
								    : (enum grpc_status)number;
	call->has_status = true;
	if (words)
		grpc_words_decode(call->words, words);
}

static void on_head(void *ctx, const struct http2_head *head)
{
	const char *http = head->value[HTTP2_STATUS];
	const char *type = head->value[HTTP2_CONTENT_TYPE];
	struct call *call = ctx;

	/* 1xx: the answer is still to come. */
	if (http && *http == '1')
		return;
	note_status(call, head);
	if (call->has_status || !http)
		return;
	if (strcmp(http, "200")) {
		snprintf(call->words, sizeof(call->words), "the server answered with HTTP %.16s",
			 http);
		call->status = grpc_status_of_http(http);
		call->has_status = true;
	} else if (!type || strncmp(type, "application/grpc", 16)) {
		violate(call, GRPC_INTERNAL, "the answer is no gRPC");
	}
}

static bool on_message(void *ctx, const uint8_t *data, size_t len)
{
	struct call *call = ctx;

	call->telling = true;
	if (call->callbacks->on_message)
		call->callbacks->on_message(call->ctx, data, len);
	call->telling = false;
	return call->callbacks;
}

static void on_room(void *ctx)
{
	struct call *call = ctx;

	if (!call->callbacks->on_room)
		return;
	call->telling = true;
	call->callbacks->on_room(call->ctx);
	call->telling = false;
	if (!call->callbacks)
		call_free(call);
}

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	struct call *call = ctx;
	int err;

	/* The words of a proxy, say, whose status has told enough. */
	if (call->has_status)
		return;
	err = grpc_read(&call->reader, data, len, on_message, call);
	if (!err)
		return;
	if (err == -ECANCELED)
		call_free(call);
	else if (err == -EMSGSIZE)
		call_end(call, GRPC_RESOURCE_EXHAUSTED, "a message of the answer is too long");
	else if (err == -EOPNOTSUPP)
		violate(call, GRPC_INTERNAL, "the answer is compressed, which nobody asked for");
	else
		call_end(call, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

/* A server that is through waits for no more of the request: nor does the call. */
static void on_end(void *ctx)
{
	struct call *call = ctx;

	if (!call->streams || call->send_ended)
		return;
	if (call->has_status && !grpc_read_partial(&call->reader))
		call_end(call, call->status, call->words);
	else
		violate(call, GRPC_INTERNAL, "the answer ended without a status");
}

static enum grpc_status status_of_reset(int64_t code)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	}
	return GRPC_INTERNAL;
}

static void on_close(void *ctx, int64_t code)
{
	struct call *call = ctx;
	const char *reason = conn_reason(call->conn);

	call->stream = NULL;
	if (call->has_status && !grpc_read_partial(&call->reader)) {
		call_end(call, call->status, call->words);
	} else if (code == HTTP2_STREAM_LOST) {
		call_end(call, GRPC_UNAVAILABLE, *reason ? reason : "the connection has ended");
	} else if (code) {
		snprintf(call->words, sizeof(call->words), "the server reset the call: %s",
			 nghttp2_http2_strerror((uint32_t)code));
		call_end(call, status_of_reset(code), call->words);
	} else {
		violate(call, GRPC_INTERNAL, "the answer ended without a status");
	}
}

static const struct http2_stream_callbacks stream_callbacks = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_room = on_room,
	.on_close = on_close,
};

/* ---- asking ---- */

static int ask(struct call *call)
{
	uint64_t now_ns = loop_now_ns(call->book->loop), left_ns = 0;
	char timeout[GRPC_TIMEOUT_BYTES];
	struct http2_field head[] = {
		{":method", "POST"},
		{":scheme", "https"},
		{":path", call->path},
		{":authority", call->peer->name},
		{"te", "trailers"},
		{"content-type", "application/grpc"},
		{"user-agent", "knell/" KNELL_VERSION},
		{"grpc-timeout", timeout},
	};
	size_t count = sizeof(head) / sizeof(head[0]);
	struct http2 *http2 = conn_http2(call->conn);
	int err = http2 ? 0 : -ENOTCONN;

	if (call->deadline.armed && call->deadline.deadline_ns > now_ns)
		left_ns = call->deadline.deadline_ns - now_ns;
	if (call->deadline.armed)
		grpc_timeout_text(timeout, left_ns);
	else
		count--;
	if (!err)
		err = http2_stream_open(http2, head, count, &stream_callbacks, call, &call->stream);
	if (!err)
		err = http2_stream_send(call->stream, call->message, call->message_bytes);
	if (!err && call->send_ended)
		err = http2_stream_end(call->stream, NULL, 0);
	if (!err && call->wants_room)
		http2_stream_await_room(call->stream, HTTP2_STREAM_LOW_BYTES, 0);
	free(call->message);
	call->message = NULL;
	call->message_bytes = 0;
	return err;
}

static void on_granted(struct conn_wait *wait, int err, const char *reason, struct conn *conn)
{
	struct call *call = LOOP_OWNER(wait, struct call, wait);

	/* However it failed: without a connection the server is unavailable. */
	if (err) {
		call_end(call, err == -ENOMEM ? GRPC_RESOURCE_EXHAUSTED : GRPC_UNAVAILABLE, reason);
		return;
	}
	call->conn = conn;
	err = ask(call);
	if (err)
		call_end(call, grpc_status_of_errno(err), "the connection cannot take the call");
}

static void on_deadline(struct timer *timer)
{
	struct call *call = LOOP_OWNER(timer, struct call, deadline);
	char words[64];

	snprintf(words, sizeof(words), "no answer within %llu ms",
		 (unsigned long long)(call->timeout_ns / NS_PER_MS));
	call_end(call, GRPC_DEADLINE_EXCEEDED, words);
}

static int keep_message(struct call *call, const struct call_request *request)
{
	if (request->streams && !request->message)
		return 0;
	call->message_bytes = GRPC_PREFIX_BYTES + request->message_bytes;
	call->message = malloc(call->message_bytes);
	if (!call->message)
		return -ENOMEM;
	grpc_prefix(call->message, request->message_bytes);
	if (request->message_bytes)
		memcpy(call->message + GRPC_PREFIX_BYTES, request->message, request->message_bytes);
	return 0;
}

static struct call *call_new(struct call_book *book, const struct call_request *request)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	if (keep_message(call, request)) {
		free(call);
		return NULL;
	}
	call->streams = request->streams;
	call->send_ended = !request->streams;
	call->book = book;
	call->peer = request->peer;
	call->path = request->path;
	call->timeout_ns = request->timeout_ns ? request->timeout_ns : book->timeout_ns;
	call->deadline.fire = on_deadline;
	call->wait.granted = on_granted;
	LIST_INSERT_HEAD(&book->calls, call, entry);
	book->count++;
	return call;
}

int call_start(struct call_book *book, const struct call_request *request,
	       const struct call_callbacks *callbacks, void *ctx, struct call **call)
{
	struct conn *conn = NULL;
	struct call *fresh;
	int err;

	if (request->message_bytes > GRPC_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	err = conn_lease(book->conns, request->peer, &conn);
	if (err && err != -EAGAIN)
		return err;
	fresh = call_new(book, request);
	if (!fresh) {
		if (conn)
			conn_return(conn, false);
		return -ENOMEM;
	}
	if (fresh->timeout_ns != CALL_TIMEOUT_NONE)
		loop_arm(book->loop, &fresh->deadline, loop_now_ns(book->loop) + fresh->timeout_ns);
	fresh->conn = conn;
	err = conn ? ask(fresh) : conn_wait(book->conns, request->peer, &fresh->wait);
	if (err) {
		call_free(fresh);
		return err;
	}
	fresh->callbacks = callbacks;
	fresh->ctx = ctx;
	if (call)
		*call = fresh;
	return 0;
}

/* Whether something can still be asked. */
static bool is_asking(const struct call *call)
{
	if (!call->callbacks || call->send_ended || call->has_status)
		return false;
	return !call->conn || (call->stream && conn_http2(call->conn));
}

int call_send(struct call *call, const void *message, size_t bytes)
{
	uint8_t prefix[GRPC_PREFIX_BYTES];
	const struct iovec parts[] = {
		{.iov_base = prefix, .iov_len = sizeof(prefix)},
		{.iov_base = (void *)(uintptr_t)message, .iov_len = bytes},
	};
	size_t room;

	if (!is_asking(call))
		return -EPIPE;
	if (bytes > CALL_SEND_BYTES_MAX - sizeof(prefix))
		return -EMSGSIZE;
	if (!call->stream) {
		call->wants_room = true;
		return -ENOBUFS;
	}
	room = CALL_SEND_BYTES_MAX - sizeof(prefix) - bytes;
	if (http2_stream_queued(call->stream) > room) {
		http2_stream_await_room(
			call->stream, room < HTTP2_STREAM_LOW_BYTES ? room : HTTP2_STREAM_LOW_BYTES,
			sizeof(prefix) + bytes);
		return -ENOBUFS;
	}
	grpc_prefix(prefix, bytes);
	return http2_stream_sendv(call->stream, parts, sizeof(parts) / sizeof(parts[0]));
}

void call_send_end(struct call *call)
{
	if (!is_asking(call))
		return;
	call->send_ended = true;
	/* Out of memory it cannot be, for there are no trailers; if it has ended, on_end comes. */
	if (call->stream)
		http2_stream_end(call->stream, NULL, 0);
}

size_t call_queued(const struct call *call)
{
	return call->stream ? http2_stream_queued(call->stream) : call->message_bytes;
}

void call_cancel(struct call *call)
{
	call->callbacks = NULL;
	if (!call->telling)
		call_free(call);
}

int call_book_open(struct call_book **book, struct loop *loop, struct conn_cache *conns,
		   uint64_t timeout_ns)
{
	struct call_book *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->conns = conns;
	fresh->timeout_ns = timeout_ns;
	LIST_INIT(&fresh->calls);
	*book = fresh;
	return 0;
}

void call_book_close(struct call_book *book)
{
	struct call *call, *next;

	if (!book)
		return;
	for (call = LIST_FIRST(&book->calls); call; call = next) {
		next = LIST_NEXT(call, entry);
		call_cancel(call);
	}
	free(book);
}

size_t call_in_flight(const struct call_book *book)
{
	return book->count;
}
