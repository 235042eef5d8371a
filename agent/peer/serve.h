/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve.h - the server's side of gRPC: from a request to the method that answers it.
 *
 * Room: peer. Calls io/http2_stream, grpc, roster. Requests come from conn.c (peers) and local.c
 * (this host's programs) through the hooks; methods stand in tables of services (service_peer.c,
 * service_health.c).
 */
#ifndef KNELL_PEER_SERVE_H
#define KNELL_PEER_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/http2_stream.h"
#include "io/loop.h"
#include "peer/grpc.h"
#include "peer/roster.h"

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

/* A request must be whole by then, if it is one message. */
#define SERVE_REQUEST_TIMEOUT_NS UINT64_C(30000000000)

struct serve_method {
	const char *path; /* "/knell.v1.Peer/Ping" */
	/*
	 * The client's one message has come, valid during the call. Answer with serve_reply() and
	 * serve_finish(), now or later; if later, serve_watch() tells when nobody waits any more.
	 */
	void (*run)(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes);
	/*
	 * Or, with run NULL, for a request that is a stream of messages: its head has come. Must
	 * serve_stream() or serve_finish() before it returns.
	 */
	void (*open)(void *ctx, struct serve_call *call);
	/* Anybody but a peer is answered PERMISSION_DENIED: clients, this host's programs. */
	bool peers_only;
	/* Of one message; 0: SERVE_REQUEST_BYTES_MAX. */
	size_t request_bytes_max;
};

/* What a method hears of a call that streams; serve_finish() of it is allowed in all but gone. */
struct serve_stream_callbacks {
	/* One message, SERVE_REQUEST_BYTES_MAX at most, valid during the call. */
	void (*on_message)(void *ctx, const uint8_t *message, size_t bytes);
	/* The client has said all that it will, and still waits for answers and a status. */
	void (*on_end)(void *ctx);
	/* May be NULL. As for serve_on_room(). */
	void (*on_room)(void *ctx);
	/* As for serve_watch(). */
	void (*gone)(void *ctx);
};

/** serve_open - a server without methods. 0 or -ENOMEM. */
int serve_open(struct serve **serve, struct loop *loop);

/** serve_close - ends what is being answered with UNAVAILABLE, telling its watchers. NULL is
 * allowed. */
void serve_close(struct serve *serve);

/** serve_add - @methods (static, @count of them) run with @ctx. 0 or -ENOMEM. */
int serve_add(struct serve *serve, const struct serve_method *methods, size_t count, void *ctx);

/** serve_request - for http2_callbacks.on_request: takes @stream in any case. @peer: who asks, of
 * the roster, which must outlive the server; NULL: somebody else.
 */
void serve_request(struct serve *serve, struct serve_door *door, const struct roster_peer *peer,
		   struct http2_stream *stream, const struct http2_head *head);

/** serve_peer - who asks; NULL: a client, or a program of this host. */
const struct roster_peer *serve_peer(const struct serve_call *call);

/**
 * serve_stream - from inside serve_method.open: @callbacks (static) hear of @call, with @ctx.
 *
 * A stream may last: of time-outs only the client's holds.
 */
void serve_stream(struct serve_call *call, const struct serve_stream_callbacks *callbacks,
		  void *ctx);

/**
 * serve_reply - send one message of the answer, all or nothing. 0, or a negative errno: the client
 * reads too slowly (-ENOBUFS) or memory is out. Wait for room then, or finish the call with
 * grpc_status_of_errno() of it.
 */
int serve_reply(struct serve_call *call, const void *message, size_t bytes);

/** serve_finish - the call's status, @words NULL or why; @call is gone. Watchers are not told. */
void serve_finish(struct serve_call *call, enum grpc_status status, const char *words);

/** serve_watch - @gone runs once when the client has cancelled, its deadline has passed or its
 * connection has ended; @call is gone when it returns. It must not finish other calls.
 */
void serve_watch(struct serve_call *call, void (*gone)(void *ctx), void *ctx);

/**
 * serve_on_room - @room runs, from the loop, once after each time that serve_reply() has refused:
 * what it refused has room now. Replying and serve_finish() are allowed in it.
 */
void serve_on_room(struct serve_call *call, void (*room)(void *ctx), void *ctx);

#endif
