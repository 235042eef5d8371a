// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_fetch.c - reads from a peer what this drive has not got. See quorum.h.
 *
 * Room: store.
 *
 * Happy path: a peer is asked for a range of exactly this version, and its bytes are put together;
 * one whose program answers late only when the others have not got them.
 * Failure modes: it has not got it, dies, does not answer, or says too little or too much: the next
 * one is asked from the beginning of the range; when none is left: -EAGAIN.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/mirror.pb-c.h"
#include "peer/message.h"
#include "store/mirror_entry.h"
#include "store/mirror_inner.h"

static const char path[] = "/knell.v1.Mirror/Read";

struct mirror_fetching {
	LIST_ENTRY(mirror_fetching) entry;
	struct mirror *mirror;
	struct quorum_wait *wait;
	struct call *call;
	size_t place; /* of the next to ask: all once, then those who answer late */
	uint8_t *request;
	size_t request_bytes;
	uint8_t *to;
	size_t bytes, got;
	bool wrong; /* more came than was asked for */
};

static void free_fetching(struct mirror_fetching *fetching)
{
	if (fetching->call)
		call_cancel(fetching->call);
	LIST_REMOVE(fetching, entry);
	free(fetching->request);
	free(fetching);
}

static void forget(void *own)
{
	free_fetching(own);
}

static void on_message(void *ctx, const uint8_t *bytes, size_t count)
{
	struct mirror_fetching *fetching = ctx;
	Knell__V1__ReadReply *reply =
		message_read(&knell__v1__read_reply__descriptor, bytes, count);

	if (!reply || reply->data.len > fetching->bytes - fetching->got) {
		fetching->wrong = true;
	} else if (reply->data.len) {
		memcpy(fetching->to + fetching->got, reply->data.data, reply->data.len);
		fetching->got += reply->data.len;
	}
	message_free(reply);
}

static int ask_next(struct mirror_fetching *fetching);

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct mirror_fetching *fetching = ctx;
	struct quorum_wait *wait = fetching->wait;
	int err = 0;

	(void)words;
	fetching->call = NULL;
	if (status != GRPC_OK || fetching->wrong || fetching->got != fetching->bytes)
		err = ask_next(fetching);
	if (fetching->call)
		return;
	wait->own = NULL;
	free_fetching(fetching);
	wait->done(wait, err);
}

static const struct call_callbacks callbacks = {.on_message = on_message, .on_end = on_end};

/* 0 and a call is under way, or -EAGAIN. */
static int ask_next(struct mirror_fetching *fetching)
{
	struct mirror *mirror = fetching->mirror;
	struct call_request request = {
		.path = path,
		.message = fetching->request,
		.message_bytes = fetching->request_bytes,
		.timeout_ns = MIRROR_STALL_NS,
	};
	const struct mirror_member *member;
	bool late;

	fetching->got = 0;
	fetching->wrong = false;
	while (fetching->place < 2 * mirror->member_count) {
		late = fetching->place >= mirror->member_count;
		member = &mirror->members[fetching->place++ % mirror->member_count];
		request.peer = member->peer;
		if (mirror_is_up(member) && late == (member->peer->state == VERDICT_DEGRADED) &&
		    !call_start(mirror->calls, &request, &callbacks, fetching, &fetching->call))
			return 0;
	}
	return -EAGAIN;
}

int mirror_fetch(struct quorum *quorum, const struct index_name *name, uint64_t version,
		 uint64_t offset, void *to, size_t bytes, struct quorum_wait *wait)
{
	struct mirror *mirror = LOOP_OWNER(quorum, struct mirror, quorum);
	Knell__V1__ReadRequest message = KNELL__V1__READ_REQUEST__INIT;
	struct mirror_fetching *fetching = calloc(1, sizeof(*fetching));
	Knell__V1__Entry entry;
	int err;

	if (!fetching)
		return -ENOMEM;
	fetching->mirror = mirror;
	fetching->wait = wait;
	fetching->to = to;
	fetching->bytes = bytes;
	LIST_INSERT_HEAD(&mirror->fetches, fetching, entry);
	mirror_entry_name(&entry, name);
	entry.version = version;
	message.name = &entry;
	message.offset = offset;
	message.bytes = (uint32_t)bytes;
	err = message_pack(&message.base, &fetching->request, &fetching->request_bytes);
	if (!err)
		err = ask_next(fetching);
	if (err) {
		free_fetching(fetching);
		return err;
	}
	wait->own = fetching;
	wait->forget = forget;
	return 0;
}

void mirror_fetch_close(struct mirror *mirror)
{
	struct mirror_fetching *fetching, *next;

	for (fetching = LIST_FIRST(&mirror->fetches); fetching; fetching = next) {
		next = LIST_NEXT(fetching, entry);
		fetching->wait->own = NULL;
		free_fetching(fetching);
	}
}
