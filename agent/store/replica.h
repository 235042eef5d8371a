/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replica.h - one copy of an object, or of a part, being written on one peer.
 *
 * Room: store. Calls peer/call. Called by mirror_copy.c. The peer's side: service_mirror.c.
 */
#ifndef KNELL_STORE_REPLICA_H
#define KNELL_STORE_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <protobuf-c/protobuf-c.h>
#include "peer/call.h"
#include "peer/roster.h"

struct replica;

enum replica_state {
	REPLICA_WRITING,
	REPLICA_KEPT,	 /* the peer has the bytes on disk */
	REPLICA_APPLIED, /* and the entry that names them */
	REPLICA_LEFT,	 /* it was too slow; repaired later */
	REPLICA_LOST,	 /* its peer or its disk has failed; repaired later */
};

/* What the peer has not taken over yet; it keeps no more than that in memory. */
enum { REPLICA_WINDOW_BYTES = 512 << 10 };
/* When it has taken so much, it says so. */
enum { REPLICA_TELL_BYTES = 128 << 10 };

/* Bytes of protobuf that one message is; shared by the replicas that it goes to. */
struct replica_message {
	unsigned int users;
	size_t data_bytes; /* of the object */
	size_t bytes;
	uint8_t body[];
};

/* Not from inside a call. */
struct replica_events {
	/* It has room again, or another state. Closing it is allowed. */
	void (*moved)(void *ctx, struct replica *replica);
};

/**
 * replica_open - begin one on @peer; @begin is the packed first message.
 *
 * 0, or a negative errno as call_start() has it: -EHOSTDOWN when @peer is known to be silent.
 */
int replica_open(struct replica **replica, struct call_book *calls, const struct roster_peer *peer,
		 const struct replica_message *begin, const struct replica_events *events,
		 void *ctx);

/** replica_has_room - replica_send() of STORE_CHUNK_BYTES is welcome when no more than
 * @window_bytes may be under way, REPLICA_WINDOW_BYTES at most.
 */
bool replica_has_room(const struct replica *replica, size_t window_bytes);

/** replica_send - the next message, in order; takes a share of it. 0 or -ENOMEM. */
int replica_send(struct replica *replica, struct replica_message *message);

/** replica_leave - it holds the others up: end it as REPLICA_LEFT. */
void replica_leave(struct replica *replica);

/** replica_lose - its peer is silent: end it as REPLICA_LOST. */
void replica_lose(struct replica *replica);

enum replica_state replica_state(const struct replica *replica);
const char *replica_state_name(enum replica_state state);
const struct roster_peer *replica_peer(const struct replica *replica);

/** replica_taken_bytes - that the peer has taken over. */
uint64_t replica_taken_bytes(const struct replica *replica);

/** replica_clock - with REPLICA_KEPT: the greatest version that the peer had seen. */
uint64_t replica_clock(const struct replica *replica);

/** replica_close - in any state: what is not applied is given up. NULL is allowed. */
void replica_close(struct replica *replica);

/** replica_message_new - @request packed. NULL: no memory. */
struct replica_message *replica_message_new(const ProtobufCMessage *request, size_t data_bytes);
void replica_message_put(struct replica_message *message);

#endif
