/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve.h - the server's side of gRPC: from a request to the method that answers it.
 *
 * Room: peer. Calls io/http2_stream, grpc. Requests come from conn.c (peers) and local.c (this
 * host's programs) through the hooks; methods stand in tables of services (service_peer.c,
 * service_health.c).
 */
#ifndef KNELL_PEER_SERVE_H
#define KNELL_PEER_SERVE_H

#include <stddef.h>
#include <stdint.h>
#include "io/http2_stream.h"
#include "io/loop.h"
#include "peer/grpc.h"

/* A request's message: all of ours are small, and one connection may begin HTTP2_STREAMS_MAX. */
#define SERVE_REQUEST_BYTES_MAX (128U << 10)

struct serve;
struct serve_call; /* one call that a client has made */

/*
 * Where requests come in, embedded there and zeroed: what has begun to come through one door and is
 * not whole is bounded by itself, so that strangers at one take nothing from those at another. Must
 * outlive the server.
 */
struct serve_door {
	size_t partial_bytes;
};

/* A request must be whole by then. */
#define SERVE_REQUEST_TIMEOUT_NS UINT64_C(30000000000)

struct serve_method {
	const char *path; /* "/knell.v1.Peer/Ping" */
	/*
	 * The client's one message has come, valid during the call. Answer with serve_reply() and
	 * serve_finish(), now or later; if later, serve_watch() tells when nobody waits any more.
	 */
	void (*run)(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes);
};

/** serve_open - a server without methods. 0 or -ENOMEM. */
int serve_open(struct serve **serve, struct loop *loop);

/** serve_close - ends what is being answered with UNAVAILABLE, telling its watchers. NULL is
 * allowed. */
void serve_close(struct serve *serve);

/** serve_add - @methods (static, @count of them) run with @ctx. 0 or -ENOMEM. */
int serve_add(struct serve *serve, const struct serve_method *methods, size_t count, void *ctx);

/** serve_request - for http2_callbacks.on_request: takes @stream in any case. */
void serve_request(struct serve *serve, struct serve_door *door, struct http2_stream *stream,
		   const struct http2_head *head);

/**
 * serve_reply - send one message of the answer. 0, or a negative errno: the client reads too slowly
 * (-ENOBUFS) or memory is out; finish the call with grpc_status_of_errno() of it then.
 */
int serve_reply(struct serve_call *call, const void *message, size_t bytes);

/** serve_finish - the call's status, @words NULL or why; @call is gone. Watchers are not told. */
void serve_finish(struct serve_call *call, enum grpc_status status, const char *words);

/** serve_watch - @gone runs once when the client has cancelled, its deadline has passed or its
 * connection has ended; @call is gone when it returns. It must not finish other calls.
 */
void serve_watch(struct serve_call *call, void (*gone)(void *ctx), void *ctx);

#endif
