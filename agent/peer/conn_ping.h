/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_ping.h - HTTP/2 PINGs on one connection, beside the heartbeat's, and whether a PONG is late.
 *
 * Room: peer. Calls io/http2 and jitter. Called by conn_chore.c, whose timer looks after it:
 * nothing here runs by itself.
 *
 * A late PONG tells that the peer's program is busy, or that the answer waits behind data. Both
 * pass, so it is told and nothing is closed.
 */
#ifndef KNELL_PEER_CONN_PING_H
#define KNELL_PEER_CONN_PING_H

#include <stdbool.h>
#include <stdint.h>
#include "peer/conn.h"

struct conn_ping {
	uint64_t due_ns;  /* the next PING; while one is unanswered, when to see to that */
	uint64_t sent_ns; /* the one that is unanswered; 0: none */
	uint32_t number;  /* of the last one */
	bool late;
};

/** conn_ping_begin - the connection is ready. */
void conn_ping_begin(struct conn_ping *ping, const struct conn_limits *limits, uint64_t now_ns);

/**
 * conn_ping_run - send what is due on @http2, which is @leased or idle. True when a PONG has just
 * become late.
 */
bool conn_ping_run(struct conn_ping *ping, const struct conn_limits *limits, struct http2 *http2,
		   bool leased, uint64_t now_ns);

/** conn_ping_is_ours - not the heartbeat's, nor anybody else's. */
bool conn_ping_is_ours(const uint8_t opaque[HTTP2_OPAQUE_BYTES]);

/**
 * conn_ping_ack - a PONG with @opaque, which looks like ours. False when it answers nothing that
 * was sent: peers may say so at any time. Else it is late no longer, if it was.
 */
bool conn_ping_ack(struct conn_ping *ping, const struct conn_limits *limits,
		   const uint8_t opaque[HTTP2_OPAQUE_BYTES], uint64_t now_ns);

/** conn_ping_next_ns - when conn_ping_run() has something to do; UINT64_MAX: never. */
uint64_t conn_ping_next_ns(const struct conn_ping *ping);

#endif
