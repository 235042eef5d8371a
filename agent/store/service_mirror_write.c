// SPDX-License-Identifier: BSD-2-Clause
/*
 * service_mirror_write.c - a peer sends an object, or a part, that it is being sent. See
 * mirror.proto.
 *
 * Room: store.
 *
 * Happy path: a file is begun; what comes goes to it; kept: it is made durable, and the peer is
 * told with our clock; then comes the entry that it is, and it has its row. Failure modes:
 * - The disk is slower than the peer: what it does not take waits here, as much as the peer's
 *   window lets through; the peer hears only of what was taken.
 * - The disk fails: the call ends with that.
 * - The peer is gone before the entry has come: nothing stays. After: the row is made.
 * - It says things in an order of its own, or no more without having said all: the call ends.
 * - It does not read what it is told: it is told when it does, once, how it stands then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/mirror.pb-c.h"
#include "store/mirror_entry.h"
#include "store/service_mirror_inner.h"

struct piece {
	STAILQ_ENTRY(piece) entry;
	size_t bytes;
	uint8_t data[];
};

struct taking;

struct service_mirror_write {
	struct service_mirror *service;
	struct serve_call *call;
	struct mirror_member *member; /* who sends */
	struct dir_file *file;
	struct index_name name;
	STAILQ_HEAD(, piece) pieces; /* that the file has no room for yet */
	size_t waiting_bytes;
	uint64_t taken_bytes, told_bytes;
	struct taking *taking; /* under way */
	bool begun, keeping, kept, applied;
	bool owes; /* a reply that there was no room for */
};

/* Makes the row. Has the file until it is settled: the peer may be gone meanwhile. */
struct taking {
	struct dir_call call;		    /* first */
	struct service_mirror_write *write; /* on the loop only; NULL: nobody waits */
	struct dir_file *file;
	struct index_entry entry;
	struct index_file result;
	enum index_applied how;
};

static void free_write(struct service_mirror_write *write)
{
	struct piece *piece, *next;

	for (piece = STAILQ_FIRST(&write->pieces); piece; piece = next) {
		next = STAILQ_NEXT(piece, entry);
		free(piece);
	}
	if (write->taking)
		write->taking->write = NULL;
	write->member->served_bytes -= write->waiting_bytes;
	dir_file_drop(write->file);
	free(write);
}

static void end(struct service_mirror_write *write, int err)
{
	struct serve_call *call = write->call;

	free_write(write);
	if (err)
		service_mirror_refuse(call, err);
	else
		serve_finish(call, GRPC_OK, NULL);
}

static void reply(struct service_mirror_write *write)
{
	Knell__V1__WriteReply message = KNELL__V1__WRITE_REPLY__INIT;
	int err;

	message.taken_bytes = write->taken_bytes;
	message.kept = write->kept;
	message.applied = write->applied;
	message.clock = dir_clock(write->service->mirror->dir);
	write->told_bytes = write->taken_bytes;
	err = message_reply(write->call, &message.base);
	write->owes = err == -ENOBUFS;
	if (!write->owes && (err || write->applied))
		end(write, err);
}

/* ---- the bytes ---- */

static void keep_if_all(struct service_mirror_write *write)
{
	if (write->keeping && STAILQ_EMPTY(&write->pieces))
		dir_file_keep(write->file);
}

/* 0, or why the file takes no more at all. */
static int take_pieces(struct service_mirror_write *write)
{
	struct piece *piece;
	int err = 0;

	while ((piece = STAILQ_FIRST(&write->pieces))) {
		err = dir_file_write(write->file, piece->data, piece->bytes);
		if (err)
			break;
		STAILQ_REMOVE_HEAD(&write->pieces, entry);
		write->taken_bytes += piece->bytes;
		write->waiting_bytes -= piece->bytes;
		write->member->served_bytes -= piece->bytes;
		free(piece);
	}
	return err == -ENOBUFS ? 0 : err;
}

static void on_room(void *ctx)
{
	struct service_mirror_write *write = ctx;
	int err = take_pieces(write);

	if (err) {
		end(write, err);
		return;
	}
	keep_if_all(write);
	if (write->taken_bytes - write->told_bytes >= REPLICA_TELL_BYTES)
		reply(write);
}

static void on_failed(void *ctx, int err)
{
	end(ctx, err);
}

static void on_kept(void *ctx, int err)
{
	struct service_mirror_write *write = ctx;

	if (err) {
		end(write, err);
		return;
	}
	write->kept = true;
	reply(write);
}

static const struct dir_file_events file_events = {
	.room = on_room,
	.failed = on_failed,
	.kept = on_kept,
};

/* ---- the row ---- */

static int run_taking(struct index_call *base, struct index_db *db)
{
	struct taking *taking = LOOP_OWNER(base, struct taking, call.base);

	return index_entry_apply(db, &taking->entry, &taking->result, &taking->how,
				 &taking->call.garbage);
}

static void drop_taking(struct index_call *base)
{
	struct taking *taking = LOOP_OWNER(base, struct taking, call.base);

	index_entry_free(&taking->entry);
	free(taking);
}

static void took_taking(struct dir_call *call, int err)
{
	struct taking *taking = LOOP_OWNER(call, struct taking, call);
	struct service_mirror_write *write = taking->write;

	dir_row_settle(call, taking->file, err);
	drop_taking(&call->base);
	if (!write)
		return;
	write->taking = NULL;
	write->applied = !err;
	if (err)
		end(write, err);
	else
		reply(write);
}

static bool is_same_name(const struct index_name *a, const struct index_name *b)
{
	return a->kind == b->kind && a->upload == b->upload && a->number == b->number &&
	       !strcmp(a->bucket, b->bucket) && !strcmp(a->key, b->key);
}

static int begin_taking(struct service_mirror_write *write, const Knell__V1__Entry *message)
{
	struct dir *dir = write->service->mirror->dir;
	struct taking *taking = dir_call_new(dir, sizeof(*taking), NULL, run_taking, took_taking);
	int err;

	if (!taking)
		return -ENOMEM;
	taking->call.base.drop = drop_taking;
	taking->call.base.changes = true;
	taking->call.local = true;
	err = mirror_entry_read(&taking->entry, message);
	taking->result = dir_file_result(write->file);
	taking->result.settled = dir_shelf_settled(dir);
	if (!err)
		err = dir_observe(dir, taking->entry.version);
	if (!err && (!is_same_name(&taking->entry.name, &write->name) || taking->entry.gone ||
		     taking->entry.size_bytes != taking->result.size_bytes))
		err = -EINVAL;
	if (err) {
		drop_taking(&taking->call.base);
		return err;
	}
	taking->entry.away = false;
	taking->write = write;
	taking->file = write->file;
	err = dir_call_submit(&taking->call);
	if (err)
		return err;
	write->taking = taking;
	write->file = NULL; /* the taking's now */
	return 0;
}

/* ---- what the peer says ---- */

static int begin_file(struct service_mirror_write *write,
		      const Knell__V1__WriteRequest__Begin *begin)
{
	struct dir *dir = write->service->mirror->dir;
	int err = mirror_entry_read_name(&write->name, begin->name);

	if (err || write->begun || begin->expected_bytes > STORE_OBJECT_BYTES_MAX)
		return -EINVAL;
	if (write->name.kind != INDEX_OBJECT && write->name.kind != INDEX_PART)
		return -EINVAL;
	if (dir->tmp_fd < 0)
		return -EAGAIN;
	err = dir_file_begin(dir, &file_events, write, begin->expected_bytes, &write->file);
	/* The etag comes with the entry; TLS has seen to the bytes. */
	if (!err)
		dir_file_unhashed(write->file);
	write->begun = !err;
	return err;
}

static int take_data(struct service_mirror_write *write, const ProtobufCBinaryData *data)
{
	struct piece *piece;
	int err;

	if (!write->begun || write->keeping || !data->len || data->len > STORE_CHUNK_BYTES ||
	    write->waiting_bytes + data->len > REPLICA_WINDOW_BYTES)
		return -EINVAL;
	err = STAILQ_EMPTY(&write->pieces) ? dir_file_write(write->file, data->data, data->len)
					   : -ENOBUFS;
	if (!err)
		write->taken_bytes += data->len;
	if (err != -ENOBUFS)
		return err;
	if (write->member->served_bytes + data->len > MIRROR_SERVED_BYTES_MAX)
		return -EBUSY;
	piece = malloc(sizeof(*piece) + data->len);
	if (!piece)
		return -ENOMEM;
	piece->bytes = data->len;
	memcpy(piece->data, data->data, data->len);
	STAILQ_INSERT_TAIL(&write->pieces, piece, entry);
	write->waiting_bytes += data->len;
	write->member->served_bytes += data->len;
	return 0;
}

static int take_step(struct service_mirror_write *write, const Knell__V1__WriteRequest *request)
{
	switch (request->step_case) {
	case KNELL__V1__WRITE_REQUEST__STEP_BEGIN:
		return begin_file(write, request->begin);
	case KNELL__V1__WRITE_REQUEST__STEP_DATA:
		return take_data(write, &request->data);
	case KNELL__V1__WRITE_REQUEST__STEP_KEEP:
		if (!write->begun || write->keeping)
			return -EINVAL;
		write->keeping = true;
		keep_if_all(write);
		return 0;
	case KNELL__V1__WRITE_REQUEST__STEP_COMMIT:
		if (!write->kept || write->taking || !write->file)
			return -EINVAL;
		return begin_taking(write, request->commit);
	default:
		return -EINVAL;
	}
}

static void on_message(void *ctx, const uint8_t *bytes, size_t count)
{
	struct service_mirror_write *write = ctx;
	Knell__V1__WriteRequest *request =
		message_read(&knell__v1__write_request__descriptor, bytes, count);
	int err = request ? take_step(write, request) : -EINVAL;

	message_free(request);
	if (err)
		end(write, err);
	else if (write->taken_bytes - write->told_bytes >= REPLICA_TELL_BYTES)
		reply(write);
}

/* The peer says no more: if all is said, it is told all the same. */
static void on_end(void *ctx)
{
	struct service_mirror_write *write = ctx;

	if (!write->taking && !write->applied)
		end(write, -EINVAL);
}

static void on_reply_room(void *ctx)
{
	struct service_mirror_write *write = ctx;

	if (write->owes)
		reply(write);
}

static void on_gone(void *ctx)
{
	free_write(ctx);
}

static const struct serve_stream_callbacks callbacks = {
	.on_message = on_message,
	.on_end = on_end,
	.on_room = on_reply_room,
	.gone = on_gone,
};

void service_mirror_write(void *ctx, struct serve_call *call)
{
	struct service_mirror *service = ctx;
	struct service_mirror_write *write = calloc(1, sizeof(*write));

	if (!write) {
		service_mirror_refuse(call, -ENOMEM);
		return;
	}
	write->service = service;
	write->call = call;
	write->member = service_mirror_asker(service, call);
	STAILQ_INIT(&write->pieces);
	serve_stream(call, &callbacks, write);
}
