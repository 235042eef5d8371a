/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One request and its response on an HTTP/2 connection.
 * May call: http2_inner.h, nghttp2. Called by: whoever asks or answers over http2: peer/call,
 * peer/serve.
 *
 * Bytes are what this room knows; that they are gRPC messages is known to peer/grpc only.
 */
#ifndef KNELL_IO_HTTP2_STREAM_H
#define KNELL_IO_HTTP2_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "http2.h"
#include "http2_head.h"

struct http2_stream;

/* on_close when the connection below has ended, in whatever way: no RFC 9113 code. */
enum { HTTP2_STREAM_LOST = -1 };

enum {
	/* What one stream may have queued and the peer has not taken, when no other has anything.
	 */
	HTTP2_STREAM_QUEUE_BYTES_MAX = 5 << 20,
	/* What all of a connection may, once there is something. */
	HTTP2_STREAMS_QUEUE_BYTES_MAX = 4 << 20,
	/* With no more than that left, who was refused is told that there is room. */
	HTTP2_STREAM_LOW_BYTES = 128 << 10,
};

/*
 * What the owner hears; each may be NULL but on_close. No callback runs from inside an
 * http2_stream_*() call, and none after http2_stream_forget() or
 * http2_stream_reset(), which are allowed in every callback but on_close.
 */
struct http2_stream_callbacks {
	/* Client: the response's head; with it or later the trailers. Strings: during the call. */
	void (*on_head)(void *ctx, const struct http2_head *head);
	/* `data` is valid during the call. */
	void (*on_data)(void *ctx, const uint8_t *data, size_t len);
	/* The peer has said all that it will. */
	void (*on_end)(void *ctx);
	/*
	 * What http2_stream_send() refused (-ENOBUFS), or http2_stream_await_room() asked for, has
	 * room now, whoever of the connection has made it. Once for each time, and in the order in
	 * which the streams began to wait; who then takes all of it lets the others wait on.
	 */
	void (*on_room)(void *ctx);
	/*
	 * Once, last: both sides are done (0), the stream was reset (its RFC 9113 code) or the
	 * connection has ended (HTTP2_STREAM_LOST). `stream` is gone when this returns. Comes also
	 * after http2_abort() of the connection: at the end of the loop's batch, for all its
	 * streams.
	 */
	void (*on_close)(void *ctx, int64_t code);
};

/* One field to send; both are copied. */
struct http2_field {
	const char *name; /* lower case */
	const char *value;
};

/* Of one head. */
enum { HTTP2_FIELDS_MAX = 16 };

/*
 * Client: opens a stream with this head; the body follows with http2_stream_send(), ended by
 * http2_stream_end(). 0 and *stream; -ENOTCONN before on_ready, after on_close or when the peer has
 * said GOAWAY, -ENOMEM.
 */
int http2_stream_open(struct http2 *http2, const struct http2_field *head, size_t count,
		      const struct http2_stream_callbacks *callbacks, void *ctx,
		      struct http2_stream **stream);

/*
 * Server: from inside on_request only: `callbacks` hear of `stream` from here on. A stream that
 * nobody takes is answered with HTTP2_GRPC_UNIMPLEMENTED.
 */
void http2_stream_take(struct http2_stream *stream, const struct http2_stream_callbacks *callbacks,
		       void *ctx);

/*
 * Server: sends the response's head, once. With `end` that is all: END_STREAM, and whatever is
 * still to come of the request is refused. 0, -EPIPE when the stream has ended or has its head
 * already, or -ENOMEM.
 */
int http2_stream_respond(struct http2_stream *stream, const struct http2_field *head, size_t count,
			 bool end);

/*
 * Queues a copy of `data`, all or nothing. 0, -ENOBUFS when there is no http2_stream_room() for it,
 * and on_room tells when there is; -EPIPE after http2_stream_end(), -ENOMEM. The second queues
 * several pieces as one.
 */
int http2_stream_send(struct http2_stream *stream, const void *data, size_t len);
int http2_stream_sendv(struct http2_stream *stream, const struct iovec *parts, size_t count);

/* Bytes that have not left for the connection yet; and how many may be queued now. */
size_t http2_stream_queued(const struct http2_stream *stream);
size_t http2_stream_room(const struct http2_stream *stream);

/*
 * For owners who refuse themselves more than http2_stream_send() does: on_room comes when at most
 * `queued` bytes are queued and there is http2_stream_room() for `len` more, which must not be more
 * than HTTP2_STREAM_QUEUE_BYTES_MAX. Of several askings the last counts.
 */
void http2_stream_await_room(struct http2_stream *stream, size_t queued, size_t len);

/* Of one stream. */
enum { HTTP2_TRAILERS_MAX = 2, HTTP2_TRAILER_BYTES_MAX = 1024 };

/*
 * Our side is done: END_STREAM after what is queued, on `trailers` when count > 0. Server: after
 * http2_stream_respond(). 0; -EPIPE when it was called already; -E2BIG when the trailers are too
 * many or too long, and nothing has changed.
 */
int http2_stream_end(struct http2_stream *stream, const struct http2_field *trailers, size_t count);

/* Lets go of `stream`, which goes on as far as it was told to: no callback any more. */
void http2_stream_forget(struct http2_stream *stream);

/* Gives `stream` up: RST_STREAM with `code` (RFC 9113, 7); it is the owner's no more. */
void http2_stream_reset(struct http2_stream *stream, uint32_t code);

#endif
