/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. The server's side of one HTTP/1.1 connection, in the clear or over TLS.
 * May call: tls, http1_parse, http1_write. Called by: s3.
 *
 * One request at a time: what a client sends ahead is answered in order, and read only then.
 * For each request: on_request; any number of on_body; on_end. Meanwhile or afterwards the owner
 * answers: http1_answer(), any number of http1_send(), http1_finish(). When both are through, the
 * next request may come.
 */
#ifndef KNELL_IO_HTTP1_H
#define KNELL_IO_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http1_parse.h"
#include "loop.h"
#include "tls_context.h"

struct http1;

enum {
	HTTP1_SEND_BYTES_MAX = 256 << 10, /* of an answer, not yet taken by the kernel */
	HTTP1_BODY_BYTES_MIN = 4 << 10,	  /* that each HTTP1_BODY_NS must bring */
	HTTP1_DRAIN_BYTES_MAX = 64 << 20, /* of a body whose request was answered already */
};

#define HTTP1_IDLE_NS  UINT64_C(60000000000) /* between two requests */
#define HTTP1_HEAD_NS  UINT64_C(15000000000) /* for a whole head, from its first byte on */
#define HTTP1_BODY_NS  UINT64_C(30000000000) /* see HTTP1_BODY_BYTES_MIN */
#define HTTP1_SEND_NS  UINT64_C(60000000000) /* the client must take some of its answer */
#define HTTP1_DRAIN_NS UINT64_C(10000000000) /* as HTTP1_DRAIN_BYTES_MAX */

/*
 * What the owner hears. No callback runs from inside an http1_*() call, and none after
 * http1_abort(), which is allowed in every callback.
 */
struct http1_callbacks {
	/* `head` is valid until the request is over: answered, and read to its end. */
	void (*on_request)(void *ctx, const struct http1_head *head);
	/* Not told any more once the answer is finished. */
	void (*on_body)(void *ctx, const uint8_t *data, size_t len);
	void (*on_end)(void *ctx);
	/*
	 * What the client sends makes no sense, or comes too slowly; instead of on_request or after
	 * it. Nothing more will be told of this request: answer, unless that has begun.
	 */
	void (*on_broken)(void *ctx, enum http1_fault fault);
	/* There is room for at least half of HTTP1_SEND_BYTES_MAX again. */
	void (*on_writable)(void *ctx);
	/*
	 * Once, last: the client has gone, or we have closed as agreed (err 0). What was going on
	 * is over. The owner still has to call http1_abort().
	 */
	void (*on_close)(void *ctx, int err, const char *reason);
};

/*
 * Serves on the accepted socket `fd`; `context` NULL: in the clear. 0 and *http; or -errno and `fd`
 * is still the caller's.
 */
int http1_accept(struct loop *loop, int fd, struct tls_context *context,
		 const struct http1_callbacks *callbacks, void *ctx, struct http1 **http);

/* Tells a client that waits for it to go on with the body (Expect: 100-continue). */
void http1_continue(struct http1 *http);

/*
 * Stops and restarts on_body and on_end; one more on_body may come after a pause, of
 * TLS_AFTER_PAUSE_BYTES at most. A new request begins unpaused.
 */
void http1_pause(struct http1 *http);
void http1_resume(struct http1 *http);

/*
 * The head of the answer, with what HTTP itself needs beside `fields`: the length of the body
 * (HTTP1_CHUNKED: not known), Date, Connection. Once for each request; 0, -EPIPE, -ENOMEM.
 */
int http1_answer(struct http1 *http, unsigned int status, const struct http1_field *fields,
		 size_t field_count, uint64_t body_bytes);

/*
 * A piece of the body: all or nothing. 0, -ENOBUFS (wait for on_writable), -EPIPE (wait for
 * on_close). Dropped in silence where the answer has no body (HEAD, 204, 304).
 */
int http1_send(struct http1 *http, const void *data, size_t len);

/* How much http1_send() would take. */
size_t http1_room(const struct http1 *http);

/* The answer is whole. One that is not, by its length, ends the connection. */
void http1_finish(struct http1 *http);

/* No further request on this connection. Before http1_answer(). */
void http1_last(struct http1 *http);

/* Gives it up at once, whatever goes on. NULL is allowed. */
void http1_abort(struct http1 *http);

#endif
