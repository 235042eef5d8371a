// SPDX-License-Identifier: BSD-2-Clause
/*
 * put.c - PutObject, UploadPart: a body on its way into the store. See operations.h.
 *
 * Room: s3. Calls the store, call, meta, object.
 *
 * Happy path: each piece goes to the store; when the body is whole and proven, it is committed, and
 * the client hears so when that is done.
 * Failure modes:
 * - The store has no room: what it does not take is held (what the connection had read already, no
 *   more), the client is paused, and goes on when the store tells that there is room. When that
 *   does not come either, the call loses its patience, see s3_call_wait().
 * - The store fails, the body is not what was promised, or the client goes away: the write is
 *   aborted, and nothing stays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/meta.h"
#include "s3/object.h"
#include "s3/operations.h"

struct put {
	struct s3_call *call;
	struct store_put put;
	struct text held; /* the store had no room for it */
	size_t held_sent;
	enum s3_error missing; /* what -ENOENT means */
	uint64_t bytes;
	bool begun, ended;
};

static void drop_put(void *state)
{
	struct put *put = state;

	if (put->begun)
		store_put_abort(put->call->context->store, &put->put);
	text_free(&put->held);
	free(put);
}

static void on_committed(struct store_request *request, int err)
{
	struct put *put = LOOP_OWNER(request, struct put, put.request);
	struct s3_call *call = put->call;
	char etag[STORE_ETAG_BYTES + 2];
	struct http1_field fields[2] = {{"ETag", object_etag(etag, put->put.etag)}};
	size_t count = 1;

	put->begun = false;
	if (!s3_call_ran(call, err, put->missing))
		return;
	if (call->body.checksum.kind) {
		fields[count].name = checksum_field(call->body.checksum.kind);
		fields[count++].value = call->body.checksum_got;
	}
	s3_answer_empty(call, 200, fields, count);
}

static void on_failed(struct store_put *store_put, int err)
{
	struct put *put = LOOP_OWNER(store_put, struct put, put);

	s3_fail_of(put->call, err, put->missing);
}

static void commit(struct put *put)
{
	struct s3_call *call = put->call;

	s3_call_ran(call, store_put_commit(call->context->store, &put->put), put->missing);
}

/* 0 and *taken; -ENOBUFS where that is less than all. */
static int write_some(struct put *put, const uint8_t *data, size_t len, size_t *taken)
{
	int err = 0;

	*taken = 0;
	while (*taken < len && !err) {
		size_t piece = len - *taken;

		if (piece > STORE_CHUNK_BYTES)
			piece = STORE_CHUNK_BYTES;
		err = store_put_write(put->call->context->store, &put->put, data + *taken, piece);
		if (!err)
			*taken += piece;
	}
	return err;
}

static void on_room(struct store_put *store_put)
{
	struct put *put = LOOP_OWNER(store_put, struct put, put);
	struct s3_call *call = put->call;
	size_t taken;
	int err;

	if (!put->held.len)
		return;
	err = write_some(put, (const uint8_t *)put->held.bytes + put->held_sent,
			 put->held.len - put->held_sent, &taken);
	put->held_sent += taken;
	if (err == -ENOBUFS) {
		s3_call_wait(call);
		return;
	}
	if (!s3_call_ran(call, err, put->missing))
		return;
	text_free(&put->held);
	put->held_sent = 0;
	if (put->ended) {
		commit(put);
		return;
	}
	s3_call_rest(call);
	http1_resume(call->http);
}

enum s3_error s3_put_data(struct s3_call *call, const uint8_t *data, size_t len)
{
	struct put *put = call->state;
	size_t taken = 0;
	int err = -ENOBUFS;

	if (!put)
		return S3_OK;
	put->bytes += len;
	if (put->bytes > STORE_PART_BYTES_MAX)
		return S3_ENTITY_TOO_LARGE;
	if (!put->held.len)
		err = write_some(put, data, len, &taken);
	if (err == -ENOBUFS) {
		text_add(&put->held, data + taken, len - taken);
		http1_pause(call->http);
		s3_call_wait(call);
		return put->held.failed ? S3_SLOW_DOWN : S3_OK;
	}
	return s3_error_of(err, put->missing);
}

void s3_put_end(struct s3_call *call)
{
	struct put *put = call->state;

	if (!put)
		return;
	put->ended = true;
	if (!put->held.len)
		commit(put);
}

static struct put *new_put(struct s3_call *call, enum s3_error missing)
{
	struct put *put = s3_call_state(call, sizeof(*put), drop_put);

	if (!put)
		return NULL;
	put->call = call;
	put->missing = missing;
	put->put.request.done = on_committed;
	put->put.writable = on_room;
	put->put.failed = on_failed;
	if (call->body.expected_bytes != UINT64_MAX &&
	    call->body.expected_bytes > STORE_PART_BYTES_MAX) {
		s3_fail(call, S3_ENTITY_TOO_LARGE);
		return NULL;
	}
	if (call->body.expected_bytes != UINT64_MAX)
		put->put.expected_bytes = call->body.expected_bytes;
	return put;
}

/* The store has it; now it is the client's turn. */
static void begun(struct put *put)
{
	put->begun = true;
	s3_call_rest(put->call);
}

void s3_put_object(struct s3_call *call)
{
	struct text pairs = {0};
	enum s3_error error = s3_meta_collect(&pairs, &call->request);
	const struct store_meta meta = {pairs.bytes, pairs.len};
	struct put *put = NULL;

	if (error)
		s3_fail(call, error);
	else
		put = new_put(call, S3_NO_SUCH_BUCKET);
	if (put && s3_call_ran(call,
			       store_put(call->context->store, call->request.bucket,
					 call->request.key, &meta, &put->put),
			       S3_NO_SUCH_BUCKET))
		begun(put);
	text_free(&pairs);
}

void s3_upload_part(struct s3_call *call)
{
	unsigned int number = 0;
	struct put *put;

	if (s3_request_number(&call->request, "partNumber", STORE_PARTS_MAX, &number) || !number) {
		s3_fail(call, S3_TOO_MANY_PARTS);
		return;
	}
	put = new_put(call, S3_NO_SUCH_UPLOAD);
	if (put &&
	    s3_call_ran(
		    call,
		    store_part_put(call->context->store, call->request.bucket, call->request.key,
				   s3_request_query(&call->request, "uploadId"), number, &put->put),
		    S3_NO_SUCH_UPLOAD))
		begun(put);
}
