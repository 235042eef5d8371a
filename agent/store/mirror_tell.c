// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_tell.c - tells the peers what was decided here. See quorum.h.
 *
 * Room: store.
 *
 * Happy path: one call to each peer that is up; `done` when enough have made the change, too; the
 * others go on and nobody is told. Failure modes:
 * - Too few are up, or make it: -EAGAIN. It may still come into force: this node has it, and its
 *   journal tells it to all.
 * - An object was made of parts that a peer has not got: the peer takes the entry, but has not got
 *   the bytes, and does not count. Nor do we, if they are not here: then it takes one peer more.
 */
#include <errno.h>
#include <stdlib.h>
#include "knell/v1/mirror.pb-c.h"
#include "peer/message.h"
#include "store/mirror_entry.h"
#include "store/mirror_inner.h"

static const char path[] = "/knell.v1.Mirror/Change";

struct told {
	struct mirror_telling *telling;
	struct call *call; /* NULL: has ended */
	bool here;
};

struct mirror_telling {
	LIST_ENTRY(mirror_telling) entry;
	struct mirror *mirror;
	struct quorum_wait *wait; /* NULL: forgotten, or told */
	struct told told[MIRROR_PEERS_MAX];
	size_t count;
	unsigned int needed, open, well;
};

static void free_telling(struct mirror_telling *telling)
{
	size_t i;

	for (i = 0; i < telling->count; i++)
		if (telling->told[i].call)
			call_cancel(telling->told[i].call);
	LIST_REMOVE(telling, entry);
	free(telling);
}

static void forget(void *own)
{
	struct mirror_telling *telling = own;

	telling->wait = NULL;
}

static void finish(struct mirror_telling *telling, int err)
{
	struct quorum_wait *wait = telling->wait;

	telling->wait = NULL;
	if (!wait)
		return;
	wait->own = NULL;
	wait->done(wait, err);
}

static void on_message(void *ctx, const uint8_t *bytes, size_t count)
{
	struct told *told = ctx;
	Knell__V1__ChangeReply *reply =
		message_read(&knell__v1__change_reply__descriptor, bytes, count);

	told->here = reply && reply->here;
	message_free(reply);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct told *told = ctx;
	struct mirror_telling *telling = told->telling;

	(void)words;
	told->call = NULL;
	telling->open--;
	telling->well += status == GRPC_OK && told->here;
	if (telling->well >= telling->needed)
		finish(telling, 0);
	else if (telling->well + telling->open < telling->needed)
		finish(telling, -EAGAIN);
	if (!telling->open)
		free_telling(telling);
}

static const struct call_callbacks callbacks = {.on_message = on_message, .on_end = on_end};

static int pack(const struct index_change *change, uint8_t **bytes, size_t *count)
{
	Knell__V1__ChangeRequest message = KNELL__V1__CHANGE_REQUEST__INIT;
	Knell__V1__ChangeRequest__Part *parts;
	Knell__V1__ChangeRequest__Part **list;
	Knell__V1__Entry entry;
	size_t i;
	int err = -ENOMEM;

	parts = calloc(change->part_count + 1, sizeof(*parts));
	list = calloc(change->part_count + 1, sizeof(*list));
	if (!parts || !list)
		goto out;
	for (i = 0; i < change->part_count; i++) {
		knell__v1__change_request__part__init(&parts[i]);
		parts[i].number = change->parts[i].number;
		parts[i].version = change->parts[i].version;
		parts[i].size_bytes = change->parts[i].size_bytes;
		list[i] = &parts[i];
	}
	mirror_entry_fill(&entry, &change->entry);
	message.entry = &entry;
	message.upload = change->upload;
	message.parts = list;
	message.n_parts = change->part_count;
	err = message_pack(&message.base, bytes, count);
out:
	free(parts);
	free(list);
	return err;
}

static void start(struct mirror_telling *telling, struct call_request *request)
{
	const struct roster_peer *peers[MIRROR_PEERS_MAX];
	struct mirror *mirror = telling->mirror;
	size_t count = mirror_pick(mirror, peers), i;
	struct told *told;

	for (i = 0; i < count; i++) {
		told = &telling->told[telling->count];
		told->telling = telling;
		request->peer = peers[i];
		if (!call_start(mirror->calls, request, &callbacks, told, &told->call))
			telling->count++;
	}
	telling->open = (unsigned int)telling->count;
}

int mirror_tell(struct quorum *quorum, const struct index_change *change, struct quorum_wait *wait)
{
	struct mirror *mirror = LOOP_OWNER(quorum, struct mirror, quorum);
	struct mirror_telling *telling = calloc(1, sizeof(*telling));
	struct call_request request = {.path = path, .timeout_ns = MIRROR_STALL_NS};
	uint8_t *bytes = NULL;
	int err = telling ? pack(change, &bytes, &request.message_bytes) : -ENOMEM;

	if (err) {
		free(telling);
		return err;
	}
	request.message = bytes;
	telling->mirror = mirror;
	telling->wait = wait;
	telling->needed = mirror->needed + change->entry.away;
	if (change->entry.away)
		mirror_repair_soon(mirror);
	LIST_INSERT_HEAD(&mirror->tells, telling, entry);
	start(telling, &request);
	free(bytes);
	/* Whoever was told has it; that is no harm. */
	if (telling->open < telling->needed) {
		telling->wait = NULL;
		if (!telling->open)
			free_telling(telling);
		return -EAGAIN;
	}
	wait->own = telling;
	wait->forget = forget;
	return 0;
}

void mirror_tell_close(struct mirror *mirror)
{
	struct mirror_telling *telling, *next;

	for (telling = LIST_FIRST(&mirror->tells); telling; telling = next) {
		next = LIST_NEXT(telling, entry);
		if (telling->wait)
			telling->wait->own = NULL;
		free_telling(telling);
	}
}
