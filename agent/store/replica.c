// SPDX-License-Identifier: BSD-2-Clause
/*
 * replica.c - one copy being written on one peer. See replica.h.
 *
 * Room: store.
 *
 * Happy path: the stream begins with what it is about; bytes follow as far as the peer's window
 * goes; it says how many it has taken, then that they are kept; the entry follows, and it says that
 * it is applied. Failure modes:
 * - The peer dies: its connection is evicted by the verdict, the call ends in the same batch, and
 *   so do we. What it waited for in our memory is freed with us.
 * - The peer's disk fails, or it has no room: it ends the call with a status.
 * - The peer is slow: there is no room; who writes decides how long to wait.
 * - It claims to have taken what it was not sent: it is not believed any further.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/mirror.pb-c.h"
#include "peer/message.h"
#include "store/replica.h"
#include "store/store.h"

static const char path[] = "/knell.v1.Mirror/Write";

struct waiting {
	STAILQ_ENTRY(waiting) entry;
	struct replica_message *message;
};

struct replica {
	const struct roster_peer *peer;
	const struct replica_events *events;
	void *ctx;
	struct call *call; /* NULL: ended */
	STAILQ_HEAD(, waiting) waiting;
	uint64_t sent_bytes, taken_bytes;
	uint64_t clock;
	enum replica_state state;
};

struct replica_message *replica_message_new(const ProtobufCMessage *request, size_t data_bytes)
{
	size_t bytes = protobuf_c_message_get_packed_size(request);
	struct replica_message *message = malloc(sizeof(*message) + bytes);

	if (!message)
		return NULL;
	message->users = 1;
	message->data_bytes = data_bytes;
	message->bytes = protobuf_c_message_pack(request, message->body);
	return message;
}

void replica_message_put(struct replica_message *message)
{
	if (message && !--message->users)
		free(message);
}

static void drop_waiting(struct replica *replica)
{
	struct waiting *waiting, *next;

	for (waiting = STAILQ_FIRST(&replica->waiting); waiting; waiting = next) {
		next = STAILQ_NEXT(waiting, entry);
		replica_message_put(waiting->message);
		free(waiting);
	}
	STAILQ_INIT(&replica->waiting);
}

/* The peer hears no more of it, and we nothing of the peer. */
static void end(struct replica *replica, enum replica_state state)
{
	if (replica->call)
		call_cancel(replica->call);
	replica->call = NULL;
	replica->state = state;
	drop_waiting(replica);
}

static void fail(struct replica *replica)
{
	end(replica, REPLICA_LOST);
	replica->events->moved(replica->ctx, replica);
}

/* What waited goes as far as there is room. 0, or that the stream has ended. */
static int flush(struct replica *replica)
{
	struct waiting *first;
	int err = 0;

	while ((first = STAILQ_FIRST(&replica->waiting))) {
		err = call_send(replica->call, first->message->body, first->message->bytes);
		if (err)
			break;
		STAILQ_REMOVE_HEAD(&replica->waiting, entry);
		replica_message_put(first->message);
		free(first);
	}
	return err == -ENOBUFS ? 0 : err;
}

int replica_send(struct replica *replica, struct replica_message *message)
{
	struct waiting *waiting;

	if (!replica->call)
		return 0;
	waiting = malloc(sizeof(*waiting));
	if (!waiting)
		return -ENOMEM;
	waiting->message = message;
	message->users++;
	replica->sent_bytes += message->data_bytes;
	STAILQ_INSERT_TAIL(&replica->waiting, waiting, entry);
	/* If it has ended, its end is on the way. */
	flush(replica);
	return 0;
}

bool replica_has_room(const struct replica *replica, size_t window_bytes)
{
	return STAILQ_EMPTY(&replica->waiting) &&
	       replica->sent_bytes - replica->taken_bytes + STORE_CHUNK_BYTES <= window_bytes;
}

/* ---- what the peer says ---- */

static void on_message(void *ctx, const uint8_t *bytes, size_t count)
{
	struct replica *replica = ctx;
	Knell__V1__WriteReply *reply =
		message_read(&knell__v1__write_reply__descriptor, bytes, count);

	if (!reply || reply->taken_bytes > replica->sent_bytes) {
		message_free(reply);
		fail(replica);
		return;
	}
	if (reply->taken_bytes > replica->taken_bytes)
		replica->taken_bytes = reply->taken_bytes;
	if (reply->kept && replica->state == REPLICA_WRITING) {
		replica->state = REPLICA_KEPT;
		replica->clock = reply->clock;
	}
	if (reply->applied && replica->state == REPLICA_KEPT)
		replica->state = REPLICA_APPLIED;
	message_free(reply);
	replica->events->moved(replica->ctx, replica);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct replica *replica = ctx;

	(void)status;
	(void)words;
	replica->call = NULL;
	drop_waiting(replica);
	if (replica->state == REPLICA_APPLIED)
		return;
	replica->state = REPLICA_LOST;
	replica->events->moved(replica->ctx, replica);
}

static void on_room(void *ctx)
{
	struct replica *replica = ctx;

	if (flush(replica) == 0 && STAILQ_EMPTY(&replica->waiting))
		replica->events->moved(replica->ctx, replica);
}

static const struct call_callbacks callbacks = {
	.on_message = on_message,
	.on_end = on_end,
	.on_room = on_room,
};

int replica_open(struct replica **replica, struct call_book *calls, const struct roster_peer *peer,
		 const struct replica_message *begin, const struct replica_events *events,
		 void *ctx)
{
	const struct call_request request = {
		.peer = peer,
		.path = path,
		.message = begin->body,
		.message_bytes = begin->bytes,
		.timeout_ns = CALL_TIMEOUT_NONE,
		.streams = true,
	};
	struct replica *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->peer = peer;
	fresh->events = events;
	fresh->ctx = ctx;
	STAILQ_INIT(&fresh->waiting);
	err = call_start(calls, &request, &callbacks, fresh, &fresh->call);
	if (err) {
		free(fresh);
		return err;
	}
	*replica = fresh;
	return 0;
}

void replica_leave(struct replica *replica)
{
	end(replica, REPLICA_LEFT);
}

void replica_lose(struct replica *replica)
{
	end(replica, REPLICA_LOST);
}

enum replica_state replica_state(const struct replica *replica)
{
	return replica->state;
}

const char *replica_state_name(enum replica_state state)
{
	static const char *const names[] = {
		[REPLICA_WRITING] = "writing", [REPLICA_KEPT] = "kept",
		[REPLICA_APPLIED] = "applied", [REPLICA_LEFT] = "left behind",
		[REPLICA_LOST] = "lost",
	};

	return names[state];
}

const struct roster_peer *replica_peer(const struct replica *replica)
{
	return replica->peer;
}

uint64_t replica_taken_bytes(const struct replica *replica)
{
	return replica->taken_bytes;
}

uint64_t replica_clock(const struct replica *replica)
{
	return replica->clock;
}

void replica_close(struct replica *replica)
{
	if (!replica)
		return;
	end(replica, replica->state);
	free(replica);
}
