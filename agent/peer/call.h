/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - gRPC calls to peers: with a deadline, cancellation and a status, and never waiting for
 * the dead.
 *
 * Room: peer. Calls conn (leases), io/http2_stream, grpc. Called by console/info and whoever else
 * asks peers.
 *
 * A call has one message to ask with, or streams: then messages go both ways for as long as the two
 * like, and the server may end it at any time.
 *
 * A call ends with exactly one status: the server's; or UNAVAILABLE with the verdict's words when
 * its connection is evicted, at once and whatever it waited for; DEADLINE_EXCEEDED by its timer;
 * CANCELLED by the server's reset. The call to a peer that is lost, dead or out of reach does not
 * even start.
 */
#ifndef KNELL_PEER_CALL_H
#define KNELL_PEER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/loop.h"
#include "peer/conn.h"
#include "peer/grpc.h"
#include "peer/roster.h"

struct call;
struct call_book;

#define CALL_TIMEOUT_NONE UINT64_MAX /* for streams that are meant to last */

/* What a streaming call may have queued, the frames around its messages included. */
#define CALL_SEND_BYTES_MAX (256U << 10)

struct call_request {
	const struct roster_peer *peer;
	const char *path;    /* "/knell.v1.Peer/Ping"; static */
	const void *message; /* serialised, copied */
	size_t message_bytes;
	uint64_t timeout_ns; /* 0: as configured; CALL_TIMEOUT_NONE */
	/*
	 * More follows with call_send(), up to call_send_end(). @message may be NULL then, which is
	 * none; else NULL is an empty one.
	 */
	bool streams;
};

/* No callback runs from inside a call_*() function. call_cancel() is allowed in all of them. */
struct call_callbacks {
	/* May be NULL. One message of the answer, valid during the call. */
	void (*on_message)(void *ctx, const uint8_t *message, size_t bytes);
	/* May be NULL. Once after call_send() has refused: what it refused has room now. */
	void (*on_room)(void *ctx);
	/* Once, last; the call is gone when this returns. @words: "" or why, valid during the call.
	 */
	void (*on_end)(void *ctx, enum grpc_status status, const char *words);
};

/** call_book_open - calls over @conns, @timeout_ns for those that name none. 0 or -ENOMEM. */
int call_book_open(struct call_book **book, struct loop *loop, struct conn_cache *conns,
		   uint64_t timeout_ns);

/** call_book_close - cancels what is in flight, without callbacks. Before conn_cache_close(). NULL
 * is allowed.
 */
void call_book_close(struct call_book *book);

/** call_in_flight - how many calls there are. */
size_t call_in_flight(const struct call_book *book);

/**
 * call_start - ask. 0 and *@call (NULL allowed), and on_end will come.
 *
 * Or, without a packet and without a callback, a negative errno for grpc_status_of_errno():
 * -EHOSTDOWN when the peer is lost or dead, -ENETDOWN when this node is cut off, -ENOBUFS when too
 * many wait for a connection already, -EMSGSIZE above GRPC_MESSAGE_BYTES_MAX, -ENOMEM.
 */
int call_start(struct call_book *book, const struct call_request *request,
	       const struct call_callbacks *callbacks, void *ctx, struct call **call);

/**
 * call_send - one message more of a call that streams; copied, all or nothing.
 *
 * 0; -ENOBUFS when CALL_SEND_BYTES_MAX, or what the connection as a whole may have queued, would be
 * exceeded, or while there is no connection yet: on_room tells when to try again. -EPIPE after
 * call_send_end(), when the call has ended or its connection has (then on_end is on its way), and
 * for a call that does not stream. -EMSGSIZE for what never fits, -ENOMEM.
 */
int call_send(struct call *call, const void *message, size_t bytes);

/** call_send_end - nothing follows what was sent: the server hears of the end, and may go on
 * answering. Again: nothing happens.
 */
void call_send_end(struct call *call);

/** call_queued - bytes of the request that have not left for the connection yet. */
size_t call_queued(const struct call *call);

/** call_cancel - no callback any more, the server is told; @call is gone. */
void call_cancel(struct call *call);

#endif
