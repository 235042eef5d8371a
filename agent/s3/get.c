// SPDX-License-Identifier: BSD-2-Clause
/*
 * get.c - GetObject, HeadObject. See operations.h.
 *
 * Room: s3. Calls the store, call, object, condition.
 *
 * Happy path: the object is found, the conditions hold; the first piece is read, then the head
 * goes out and piece after piece follows, each read when there is room for it.
 * Failure modes: an error before the first piece is answered as one. One behind it ends the
 * connection, so that the client does not take what it has for the whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/object.h"
#include "s3/operations.h"

struct get {
	struct s3_call *call;
	struct store_get get;
	struct s3_range range;
	bool opened, reading, is_part, head_sent;
};

static void pump(struct get *get);

static void drop_get(void *state)
{
	struct get *get = state;

	if (get->opened)
		store_get_close(get->call->context->store, &get->get);
	free(get);
}

static bool send_head(struct get *get)
{
	struct s3_call *call = get->call;
	struct object_fields fields;

	get->head_sent = true;
	object_fields_set(&fields, &call->request, &get->get.object,
			  get->is_part ? &get->range : NULL);
	return s3_answer_head(call, get->is_part ? 206 : 200, fields.fields, fields.count,
			      get->range.bytes);
}

static void on_chunk(struct store_get *request, const uint8_t *data, size_t len, int err)
{
	struct get *get = LOOP_OWNER(request, struct get, get);
	struct s3_call *call = get->call;

	get->reading = false;
	s3_call_rest(call);
	if (!err && !get->head_sent && !send_head(get))
		return;
	if (!err)
		err = http1_send(call->http, data, len);
	if (err) {
		s3_fail_of(call, err, S3_NO_SUCH_KEY);
		return;
	}
	get->range.from += len;
	get->range.bytes -= len;
	if (get->range.bytes)
		pump(get);
	else
		s3_answer_end(call);
}

/* The next piece, where it would have room. */
static void pump(struct get *get)
{
	struct s3_call *call = get->call;
	size_t len = STORE_CHUNK_BYTES;
	int err;

	if (get->reading)
		return;
	if (http1_room(call->http) < STORE_CHUNK_BYTES) {
		s3_call_rest(call);
		return;
	}
	if (len > get->range.bytes)
		len = (size_t)get->range.bytes;
	err = store_get_read(call->context->store, &get->get, get->range.from, len);
	if (s3_call_ran(call, err, S3_NO_SUCH_KEY))
		get->reading = true;
}

static void on_writable(struct s3_call *call)
{
	pump(call->state);
}

/* 304 and 416 say what they were decided by. */
static bool is_refused(struct get *get)
{
	struct s3_call *call = get->call;
	struct store_object *object = &get->get.object;
	enum s3_error error = s3_condition_check(&call->request, "", object);
	const char *text = s3_request_field(&call->request, "range");
	const char *if_range = s3_request_field(&call->request, "if-range");
	char etag[STORE_ETAG_BYTES + 2], modified[DATE_HTTP_BYTES];
	struct http1_field fields[] = {
		{"ETag", object_etag(etag, object->etag)},
		{"Last-Modified", date_http(modified, object->modified_ms)},
	};
	int part;

	if (error == S3_NOT_MODIFIED) {
		s3_answer_empty(call, 304, fields, 2);
		return true;
	}
	if (error) {
		s3_fail(call, error);
		return true;
	}
	get->range = (struct s3_range){0, object->size_bytes};
	if (if_range && strcmp(if_range, etag) && strcmp(if_range, modified))
		text = NULL;
	part = s3_range_read(text, object->size_bytes, &get->range);
	get->is_part = part == 1;
	if (part < 0)
		s3_fail(call, S3_INVALID_RANGE);
	return part < 0;
}

static void on_found(struct store_request *request, int err)
{
	struct get *get = LOOP_OWNER(request, struct get, get.request);
	struct s3_call *call = get->call;

	if (err == -ENOENT) {
		s3_fail_missing(call, S3_NO_SUCH_KEY);
		return;
	}
	if (!s3_call_ran(call, err, S3_NO_SUCH_KEY) || is_refused(get))
		return;
	if (get->range.bytes && !strcmp(call->request.head->method, "GET")) {
		call->writable = on_writable;
		pump(get);
	} else if (send_head(get)) {
		s3_answer_end(call);
	}
}

void s3_get_object(struct s3_call *call)
{
	struct get *get = s3_call_state(call, sizeof(*get), drop_get);

	if (!get)
		return;
	get->call = call;
	get->get.request.done = on_found;
	get->get.chunk = on_chunk;
	if (s3_call_ran(call,
			store_get(call->context->store, call->request.bucket, call->request.key,
				  &get->get),
			S3_NO_SUCH_KEY))
		get->opened = true;
}

void s3_head_object(struct s3_call *call)
{
	s3_get_object(call);
}
