/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One HTTP/2 connection, client or server, over tls.
 * May call: tls, nghttp2. Called by: the peers' control connections. What is asked and answered on
 * it: http2_stream.
 */
#ifndef KNELL_IO_HTTP2_H
#define KNELL_IO_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "http2_head.h"
#include "loop.h"
#include "tls.h"

struct http2;
struct http2_stream;

enum {
	HTTP2_OPAQUE_BYTES = 8,
	HTTP2_STREAMS_MAX = 256,	   /* concurrent, opened by the peer */
	HTTP2_HEADER_BYTES_MAX = 16 << 10, /* of one request, counted as RFC 9113 does */
	HTTP2_PATH_BYTES_MAX = 1024,
	HTTP2_QUEUE_BYTES_MAX = 256 << 10, /* ciphertext waiting for the peer to read */
	HTTP2_QUEUE_FRAMES_MAX = 512,	   /* frames waiting behind that */
	/*
	 * PING, SETTINGS, PRIORITY, empty DATA, heads upon heads and WINDOW_UPDATE
	 * without need from one peer; the busiest profile needs 50.
	 */
	HTTP2_CONTROL_FRAMES_PER_S_MAX = 1000,
	/*
	 * Streams that the peer resets, or makes us reset by an error. Every call that meets its
	 * deadline is one, so this is far above what a slow server provokes (1,300 a second were
	 * seen), and the burst is what collects while one of the two stands still for half a
	 * minute.
	 */
	HTTP2_RESETS_PER_S_MAX = 5000,
	HTTP2_RESETS_BURST_MAX = 30000,
};

/* What a stream is answered with that nobody takes: UNIMPLEMENTED, as a grpc-status. */
#define HTTP2_GRPC_UNIMPLEMENTED "12"

/* From the start to on_ready, unless tcp_opts.connect_timeout_ns says otherwise. */
#define HTTP2_SETUP_TIMEOUT_NS UINT64_C(10000000000)

/*
 * What the owner hears; each may be NULL but on_close. No callback runs from inside an http2_*()
 * call, and none after http2_goaway_close() or http2_abort(), both of which are allowed in every
 * callback.
 */
struct http2_callbacks {
	/*
	 * Once, before any on_request: both sides have accepted each other's certificate, the
	 * peer's SETTINGS have come and, to a client, ours are acknowledged. `peer_name` is
	 * verified (see tls_peer_name()) and valid as long as the connection.
	 */
	void (*on_ready)(void *ctx, const char *peer_name);
	/* The peer pings; the answer is on its way already. */
	void (*on_ping)(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES]);
	void (*on_ping_ack)(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES]);
	/*
	 * Server: a request's head is complete; its strings are valid during the call. Take it with
	 * http2_stream_take(), or it is answered with HTTP2_GRPC_UNIMPLEMENTED, as with NULL here.
	 */
	void (*on_request)(void *ctx, struct http2_stream *stream, const struct http2_head *head);
	/*
	 * Once: no further stream can be opened here, for the peer has said GOAWAY or the stream
	 * identifiers are used up; those that are open go on.
	 */
	void (*on_goaway)(void *ctx);
	/*
	 * Once, last: 0 when the peer closed in order, or -errno (-EPROTO: TLS or HTTP/2 was
	 * violated, -ETIMEDOUT: setting up took too long, or as the socket said), with a readable
	 * reason, valid during the call. The owner still has to call http2_abort() (or
	 * http2_goaway_close()).
	 */
	void (*on_close)(void *ctx, int err, const char *reason);
};

/*
 * Connects to the server at `addr`, which must prove to be `expected_name`. `opts` as for
 * tcp_connect(), NULL allowed; its connect timeout covers everything up to on_ready. 0 and *http2,
 * or -errno.
 */
int http2_client(struct loop *loop, const struct sockaddr *addr, struct tls_context *context,
		 const char *expected_name, const struct tcp_opts *opts,
		 const struct http2_callbacks *callbacks, void *ctx, struct http2 **http2);

/*
 * Serves the accepted socket `fd`; `context` NULL: in the clear, for programs on this very host. 0
 * and *http2; or -errno and `fd` is still the caller's.
 */
int http2_server(struct loop *loop, int fd, struct tls_context *context,
		 const struct http2_callbacks *callbacks, void *ctx, struct http2 **http2);

/*
 * Pings the peer; on_ping_ack tells when it answers. 0, -ENOTCONN before on_ready or after
 * on_close, -ENOBUFS when the peer reads so slowly that the queue is full.
 */
int http2_ping(struct http2 *http2, const uint8_t opaque[HTTP2_OPAQUE_BYTES]);

/* How many streams the peer lets us have open at once; 0 before on_ready. */
uint32_t http2_streams_max(const struct http2 *http2);

/* How many streams are open, whoever opened them. */
unsigned http2_streams_open(const struct http2 *http2);

/* No new stream can be opened: see on_goaway, or the connection has ended. */
bool http2_is_leaving(const struct http2 *http2);

/* The socket, for getsockopt(); -1 after on_close. */
int http2_fd(const struct http2 *http2);

/* Gives `http2` up in order: what its streams have said, GOAWAY, close_notify, FIN. NULL is
 * allowed. */
void http2_goaway_close(struct http2 *http2);

/*
 * Gives `http2` up at once, dropping what is queued. Only detaches (below a microsecond); RST and
 * freeing follow when the loop has time. NULL is allowed.
 */
void http2_abort(struct http2 *http2);

#endif
