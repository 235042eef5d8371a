/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heartbeat.h - make every peer's kernel answer, ten times a second.
 *
 * Room: detect. Calls pins, io/http2 and io/loop. The connections come from the cache through the
 * hooks that main.c wires; react.c asks for an extra round on every suspicion.
 *
 * A heartbeat is an HTTP/2 PING. That it is acknowledged by the peer's *kernel* is what the verdict
 * lives on; that it is answered by the peer's *program* only tells whether that is slow
 * (`degraded`). A late PONG never cuts anything.
 */
#ifndef KNELL_DETECT_HEARTBEAT_H
#define KNELL_DETECT_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>
#include "detect/pins.h"
#include "io/http2.h"
#include "io/loop.h"

struct heartbeat;

/** heartbeat_open - for @peers peers, one PING every @interval_us on each. 0 or -ENOMEM. */
int heartbeat_open(struct heartbeat **heartbeat, struct loop *loop, const struct pins *pins,
		   size_t peers, uint32_t interval_us);
void heartbeat_close(struct heartbeat *heartbeat);

/** heartbeat_attach - ride on @http2 to the peer at @index; NULL: that connection is gone. */
void heartbeat_attach(struct heartbeat *heartbeat, size_t index, const struct knell_peer_key *key,
		      struct http2 *http2);

/** heartbeat_ack - the program answered; true when every PING so far is answered. */
bool heartbeat_ack(struct heartbeat *heartbeat, size_t index,
		   const uint8_t opaque[HTTP2_OPAQUE_BYTES]);

/**
 * heartbeat_late - on other connections to that peer a PONG is late, or no longer. What the kernel
 * is told is this and the heartbeat's own view taken together.
 */
void heartbeat_late(struct heartbeat *heartbeat, size_t index, const struct knell_peer_key *key,
		    bool late);

/** heartbeat_dialled - an attempt to connect ended; -ECONNREFUSED: host there, program gone. */
void heartbeat_dialled(struct heartbeat *heartbeat, size_t index, const struct knell_peer_key *key,
		       int err);

/**
 * heartbeat_overslept - the socket cookie of a heartbeat connection whose next repetition is
 * further off than a PONG may be late, 0 when there is none such. Ask when the peer was heard
 * elsewhere.
 */
uint64_t heartbeat_overslept(const struct heartbeat *heartbeat, size_t index);

/**
 * heartbeat_all - ping everybody now: somebody fell silent, and whoever answers is our witness. At
 * most twice per interval, however many fall silent.
 */
void heartbeat_all(struct heartbeat *heartbeat);

/** heartbeat_is_first - the first PING of a heartbeat: its socket deserves the low minimum RTO. */
bool heartbeat_is_first(const uint8_t opaque[HTTP2_OPAQUE_BYTES]);

#endif
