// SPDX-License-Identifier: BSD-2-Clause
/*
 * service_mirror_read.c - a peer reads what its own drive has not got. See mirror.proto.
 *
 * Room: store.
 *
 * Happy path: exactly that version is found and held, the range is read chunk by chunk, each goes
 * out as one message. Failure modes: not here: NOT_FOUND. The peer reads slowly: the chunk that it
 * has no room for is read again when it has. The peer is gone: what is under way ends, unheard.
 */
#include <errno.h>
#include <stdlib.h>
#include "knell/v1/mirror.pb-c.h"
#include "store/mirror_entry.h"
#include "store/service_mirror_inner.h"

struct service_mirror_read {
	struct service_mirror *service;
	struct serve_call *call;
	struct store_get get;
	uint64_t offset;
	size_t left;
};

static void free_read(struct service_mirror_read *read)
{
	store_get_close(&read->service->mirror->dir->store, &read->get);
	free(read);
}

static void end(struct service_mirror_read *read, int err)
{
	struct serve_call *call = read->call;

	free_read(read);
	if (err)
		service_mirror_refuse(call, err);
	else
		serve_finish(call, GRPC_OK, NULL);
}

static void read_on(struct service_mirror_read *read)
{
	size_t len = read->left < STORE_CHUNK_BYTES ? read->left : STORE_CHUNK_BYTES;
	int err = 0;

	if (read->left)
		err = store_get_read(&read->service->mirror->dir->store, &read->get, read->offset,
				     len);
	if (err || !read->left)
		end(read, err);
}

static void on_chunk(struct store_get *get, const uint8_t *data, size_t len, int err)
{
	struct service_mirror_read *read = LOOP_OWNER(get, struct service_mirror_read, get);
	Knell__V1__ReadReply reply = KNELL__V1__READ_REPLY__INIT;

	if (!err) {
		reply.data = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
		err = message_reply(read->call, &reply.base);
		if (err == -ENOBUFS)
			return; /* on_room reads it again */
	}
	if (err) {
		end(read, err);
		return;
	}
	read->offset += len;
	read->left -= len;
	read_on(read);
}

static void on_room(void *ctx)
{
	read_on(ctx);
}

static void on_found(struct store_request *request, int err)
{
	struct store_get *get = LOOP_OWNER(request, struct store_get, request);
	struct service_mirror_read *read = LOOP_OWNER(get, struct service_mirror_read, get);

	if (!err && (read->offset > get->object.size_bytes ||
		     read->left > get->object.size_bytes - read->offset))
		err = -EINVAL;
	if (err)
		end(read, err);
	else
		read_on(read);
}

static void on_gone(void *ctx)
{
	free_read(ctx);
}

void service_mirror_read(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	struct service_mirror *service = ctx;
	Knell__V1__ReadRequest *request =
		message_read(&knell__v1__read_request__descriptor, message, bytes);
	struct service_mirror_read *read = calloc(1, sizeof(*read));
	struct index_name name;
	int err = request && read ? mirror_entry_read_name(&name, request->name) : -EINVAL;

	if (!err && request->bytes > QUORUM_FETCH_BYTES_MAX)
		err = -EINVAL;
	if (!err) {
		read->service = service;
		read->call = call;
		read->offset = request->offset;
		read->left = request->bytes;
		read->get.request.done = on_found;
		read->get.chunk = on_chunk;
		err = dir_get_version(service->mirror->dir, &name, request->name->version,
				      &read->get);
	}
	message_free(request);
	if (err) {
		free(read);
		service_mirror_refuse(call, err);
		return;
	}
	serve_watch(call, on_gone, read);
	serve_on_room(call, on_room, read);
}
