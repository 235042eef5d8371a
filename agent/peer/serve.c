// SPDX-License-Identifier: BSD-2-Clause
/*
 * serve.c - the server's side of gRPC. See serve.h.
 *
 * Room: peer. Calls io/http2_stream, grpc; the hooks bring requests, service_*.c answer them.
 *
 * Happy path: the head names a method -> its one message comes -> run -> replies -> finished, the
 * stream is let go with the status in its trailers. Or the method is opened with the head, and
 * hears of each message until it finishes.
 *
 * Failure modes:
 * - No gRPC, no such method, compressed, a time-out that is none, a message too long or none at
 * all: answered with the status that says so, and the rest of the request is refused. A method that
 * is open already hears that the call is gone.
 * - The client cancels, its connection ends, its deadline passes: who answers is told, if it
 * watches; else it learns when it replies.
 * - The client reads too slowly: serve_reply() refuses, it never piles up, and the method is told
 * when there is room.
 * - Finished from inside its own callback: freed when that returns.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "peer/serve.h"

/* Of all requests of a door that have begun and not come whole: many must not fill memory. */
#define PARTIAL_BYTES_MAX (16U << 20)
/* What a call may have queued before it is refused a further reply. */
#define REPLIES_BYTES_MAX (256U << 10)

struct serve_call {
	LIST_ENTRY(serve_call) entry;
	struct serve *serve;
	struct http2_stream *stream;
	const struct serve_method *method;
	void *ctx;
	struct grpc_reader reader;
	struct serve_door *door;
	const struct roster_peer *peer; /* who asks; NULL: no peer */
	size_t counted_bytes;		/* of the reader, in door->partial_bytes */
	struct timer deadline;		/* the request's, then the client's */
	uint64_t deadline_ns;		/* the client's; UINT64_MAX: none */
	void (*gone)(void *ctx);
	void *gone_ctx;
	void (*room)(void *ctx);
	void *room_ctx;
	const struct serve_stream_callbacks *streams; /* NULL: one message only */
	void *streams_ctx;
	bool headed;   /* the response's head is on its way */
	bool run;      /* the method has its one message */
	bool telling;  /* inside a callback: must not be freed */
	bool finished; /* meanwhile */
};

struct table {
	SLIST_ENTRY(table) entry;
	const struct serve_method *methods;
	size_t count;
	void *ctx;
};

struct serve {
	struct loop *loop;
	SLIST_HEAD(, table) tables;
	LIST_HEAD(, serve_call) calls;
};

static const struct http2_field answer_head[] = {
	{":status", "200"},
	{"content-type", "application/grpc"},
};

enum { ANSWER_FIELDS = sizeof(answer_head) / sizeof(answer_head[0]) };

static void call_free(struct serve_call *call)
{
	LIST_REMOVE(call, entry);
	call->door->partial_bytes -= call->counted_bytes;
	loop_disarm(call->serve->loop, &call->deadline);
	grpc_read_free(&call->reader);
	free(call);
}

/* Nobody waits for the answer any more; whoever makes it must not touch the call again. */
static void call_gone(struct serve_call *call)
{
	if (call->gone)
		call->gone(call->gone_ctx);
	call_free(call);
}

/* The status alone, in the head or after what was replied. */
static void send_status(struct http2_stream *stream, bool headed, enum grpc_status status,
			const char *words)
{
	char number[12], encoded[GRPC_WORDS_BYTES];
	struct http2_field fields[ANSWER_FIELDS + 2] = {answer_head[0], answer_head[1]};
	struct http2_field *trailers = fields + ANSWER_FIELDS;
	size_t count = 1;

	snprintf(number, sizeof(number), "%d", (int)status);
	trailers[0] = (struct http2_field){"grpc-status", number};
	if (words && *words)
		trailers[count++] =
			(struct http2_field){"grpc-message", grpc_words_encode(encoded, words)};
	/* Where the stream has ended meanwhile, or memory is out, the client hears that instead. */
	if (headed)
		http2_stream_end(stream, trailers, count);
	else
		http2_stream_respond(stream, fields, ANSWER_FIELDS + count, true);
}

void serve_finish(struct serve_call *call, enum grpc_status status, const char *words)
{
	send_status(call->stream, call->headed, status, words);
	http2_stream_forget(call->stream);
	call->finished = true;
	if (!call->telling)
		call_free(call);
}

/* The same, but not at the method's wish, which hears of it if it has begun. */
static void fail(struct serve_call *call, enum grpc_status status, const char *words)
{
	send_status(call->stream, call->headed, status, words);
	http2_stream_forget(call->stream);
	call_gone(call);
}

int serve_reply(struct serve_call *call, const void *message, size_t bytes)
{
	uint8_t prefix[GRPC_PREFIX_BYTES];
	const struct iovec parts[] = {
		{.iov_base = prefix, .iov_len = sizeof(prefix)},
		{.iov_base = (void *)(uintptr_t)message, .iov_len = bytes},
	};
	size_t framed = sizeof(prefix) + bytes, queued;
	int err = 0;

	if (bytes > GRPC_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	/* One alone may be longer than what else may wait. */
	queued = framed < REPLIES_BYTES_MAX ? REPLIES_BYTES_MAX - framed : 0;
	if (http2_stream_queued(call->stream) > queued ||
	    framed > http2_stream_room(call->stream)) {
		if (queued > HTTP2_STREAM_LOW_BYTES)
			queued = HTTP2_STREAM_LOW_BYTES;
		http2_stream_await_room(call->stream, queued, framed);
		return -ENOBUFS;
	}
	if (!call->headed)
		err = http2_stream_respond(call->stream, answer_head, ANSWER_FIELDS, false);
	if (err)
		return err;
	call->headed = true;
	grpc_prefix(prefix, bytes);
	return http2_stream_sendv(call->stream, parts, sizeof(parts) / sizeof(parts[0]));
}

const struct roster_peer *serve_peer(const struct serve_call *call)
{
	return call->peer;
}

void serve_watch(struct serve_call *call, void (*gone)(void *ctx), void *ctx)
{
	call->gone = gone;
	call->gone_ctx = ctx;
}

void serve_on_room(struct serve_call *call, void (*room)(void *ctx), void *ctx)
{
	call->room = room;
	call->room_ctx = ctx;
}

void serve_stream(struct serve_call *call, const struct serve_stream_callbacks *callbacks,
		  void *ctx)
{
	call->streams = callbacks;
	call->streams_ctx = ctx;
	serve_watch(call, callbacks->gone, ctx);
	serve_on_room(call, callbacks->on_room, ctx);
}

/* ---- what the stream tells ---- */

static void arm(struct serve_call *call, uint64_t deadline_ns)
{
	if (deadline_ns == UINT64_MAX)
		loop_disarm(call->serve->loop, &call->deadline);
	else
		loop_arm(call->serve->loop, &call->deadline, deadline_ns);
}

static bool on_message(void *ctx, const uint8_t *data, size_t len)
{
	struct serve_call *call = ctx;
	uint8_t *body = call->reader.body; /* @data may lie there */

	call->reader.body = NULL;
	call->reader.body_room = 0;
	call->door->partial_bytes -= call->counted_bytes;
	call->counted_bytes = 0;
	arm(call, call->deadline_ns);
	call->run = true;
	call->method->run(call->ctx, call, data, len);
	free(body);
	return false;
}

/* A callback has returned, and the call may be finished. */
static void told(struct serve_call *call)
{
	call->telling = false;
	if (call->finished)
		call_free(call);
}

static bool on_stream_message(void *ctx, const uint8_t *data, size_t len)
{
	struct serve_call *call = ctx;

	call->streams->on_message(call->streams_ctx, data, len);
	return !call->finished;
}

/* False: the call may be gone. */
static bool read_stream(struct serve_call *call, const uint8_t *data, size_t len, int *err)
{
	call->telling = true;
	*err = grpc_read(&call->reader, data, len, on_stream_message, call);
	/* A stream at rest holds nothing. */
	if (!*err && !grpc_read_partial(&call->reader))
		grpc_read_free(&call->reader);
	told(call);
	return *err != -ECANCELED;
}

static bool read_one(struct serve_call *call, const uint8_t *data, size_t len, int *err)
{
	*err = grpc_read(&call->reader, data, len, on_message, call);
	return *err != -ECANCELED;
}

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	struct serve_call *call = ctx;
	struct serve_door *door = call->door;
	int err;

	/* What follows the message is none of ours: one request has one. */
	if (call->run)
		return;
	/* cppcheck-suppress uninitvar ; both set it */
	if (!(call->streams ? read_stream : read_one)(call, data, len, &err))
		return;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): where it may be gone, false was returned */
	door->partial_bytes += call->reader.body_room - call->counted_bytes;
	call->counted_bytes = call->reader.body_room;
	if (!err && door->partial_bytes > PARTIAL_BYTES_MAX)
		err = -ENOBUFS;
	if (err == -EMSGSIZE)
		fail(call, GRPC_RESOURCE_EXHAUSTED, "the message is too long");
	else if (err == -EOPNOTSUPP)
		fail(call, GRPC_INTERNAL, "compressed, and the head does not say so");
	else if (err)
		fail(call, GRPC_RESOURCE_EXHAUSTED, "out of memory for requests");
}

static void on_end(void *ctx)
{
	struct serve_call *call = ctx;

	if (call->run)
		return;
	if (grpc_read_partial(&call->reader)) {
		fail(call, GRPC_UNIMPLEMENTED, "the message is cut short");
	} else if (!call->streams) {
		fail(call, GRPC_UNIMPLEMENTED, "the request has no message");
	} else {
		call->telling = true;
		call->streams->on_end(call->streams_ctx);
		told(call);
	}
}

static void on_room(void *ctx)
{
	struct serve_call *call = ctx;

	if (!call->room)
		return;
	call->telling = true;
	call->room(call->room_ctx);
	told(call);
}

static void on_close(void *ctx, int64_t code)
{
	(void)code;
	call_gone(ctx);
}

static const struct http2_stream_callbacks stream_callbacks = {
	.on_data = on_data,
	.on_end = on_end,
	.on_room = on_room,
	.on_close = on_close,
};

static void on_deadline(struct timer *timer)
{
	fail(LOOP_OWNER(timer, struct serve_call, deadline), GRPC_DEADLINE_EXCEEDED, NULL);
}

/* ---- requests ---- */

static const struct serve_method *find(const struct serve *serve, const char *path, void **ctx)
{
	const struct table *table;
	size_t i;

	SLIST_FOREACH(table, &serve->tables, entry)
		for (i = 0; i < table->count; i++)
			if (!strcmp(table->methods[i].path, path)) {
				*ctx = table->ctx;
				return &table->methods[i];
			}
	return NULL;
}

static void refuse_http(struct http2_stream *stream, const char *status)
{
	const struct http2_field head[] = {{":status", status}};

	http2_stream_respond(stream, head, 1, true);
}

static bool is_grpc(const char *type)
{
	static const char grpc[] = "application/grpc";
	char next;

	if (!type || strncmp(type, grpc, sizeof(grpc) - 1))
		return false;
	next = type[sizeof(grpc) - 1];
	return !next || next == '+' || next == ';';
}

static void begin(struct serve *serve, struct serve_door *door, const struct roster_peer *peer,
		  struct http2_stream *stream, const struct serve_method *method, void *ctx,
		  const char *timeout)
{
	struct serve_call *call = calloc(1, sizeof(*call));
	uint64_t now_ns = loop_now_ns(serve->loop), timeout_ns = UINT64_MAX;

	if (!call || (timeout && grpc_timeout_parse(timeout, &timeout_ns))) {
		send_status(stream, false, call ? GRPC_INVALID_ARGUMENT : GRPC_RESOURCE_EXHAUSTED,
			    call ? "grpc-timeout is no time" : "out of memory");
		free(call);
		return;
	}
	call->serve = serve;
	call->door = door;
	call->peer = peer;
	call->stream = stream;
	call->method = method;
	call->ctx = ctx;
	call->reader.limit_bytes =
		method->request_bytes_max ? method->request_bytes_max : SERVE_REQUEST_BYTES_MAX;
	call->deadline.fire = on_deadline;
	LIST_INSERT_HEAD(&serve->calls, call, entry);
	http2_stream_take(stream, &stream_callbacks, call);
	call->deadline_ns = timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : UINT64_MAX;
	if (method->open) {
		arm(call, call->deadline_ns);
		call->telling = true;
		method->open(ctx, call);
		told(call);
		return;
	}
	arm(call, timeout_ns < SERVE_REQUEST_TIMEOUT_NS ? call->deadline_ns
							: now_ns + SERVE_REQUEST_TIMEOUT_NS);
}

/* The client may ask again without: what we read stands in the answer. */
static void refuse_encoding(struct http2_stream *stream)
{
	const struct http2_field head[] = {
		{":status", "200"},
		{"content-type", "application/grpc"},
		{"grpc-accept-encoding", "identity"},
		{"grpc-status", "12"},
		{"grpc-message", "compressed messages are not read"},
	};

	http2_stream_respond(stream, head, sizeof(head) / sizeof(head[0]), true);
}

void serve_request(struct serve *serve, struct serve_door *door, const struct roster_peer *peer,
		   struct http2_stream *stream, const struct http2_head *head)
{
	const char *method = head->value[HTTP2_METHOD], *path = head->value[HTTP2_PATH];
	const char *encoding = head->value[HTTP2_GRPC_ENCODING];
	const struct serve_method *found;
	void *ctx = NULL;

	if (!method || strcmp(method, "POST")) {
		refuse_http(stream, "405");
		return;
	}
	if (!is_grpc(head->value[HTTP2_CONTENT_TYPE])) {
		refuse_http(stream, "415");
		return;
	}
	found = find(serve, path ? path : "", &ctx);
	if (!found)
		send_status(stream, false, GRPC_UNIMPLEMENTED, "no such method");
	else if (found->peers_only && !peer)
		send_status(stream, false, GRPC_PERMISSION_DENIED,
			    "only nodes of the cluster may ask that");
	else if (encoding && strcmp(encoding, "identity"))
		refuse_encoding(stream);
	else
		begin(serve, door, peer, stream, found, ctx, head->value[HTTP2_GRPC_TIMEOUT]);
}

int serve_open(struct serve **serve, struct loop *loop)
{
	struct serve *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	SLIST_INIT(&fresh->tables);
	LIST_INIT(&fresh->calls);
	*serve = fresh;
	return 0;
}

int serve_add(struct serve *serve, const struct serve_method *methods, size_t count, void *ctx)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	*table = (struct table){.methods = methods, .count = count, .ctx = ctx};
	SLIST_INSERT_HEAD(&serve->tables, table, entry);
	return 0;
}

void serve_close(struct serve *serve)
{
	struct serve_call *call, *next;
	struct table *table;

	if (!serve)
		return;
	/* Whoever is told that its call is gone may not finish others: see serve_watch(). */
	for (call = LIST_FIRST(&serve->calls); call; call = next) {
		next = LIST_NEXT(call, entry);
		fail(call, GRPC_UNAVAILABLE, "the node is stopping");
	}
	while ((table = SLIST_FIRST(&serve->tables))) {
		SLIST_REMOVE_HEAD(&serve->tables, entry);
		free(table);
	}
	free(serve);
}
