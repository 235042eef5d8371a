// SPDX-License-Identifier: BSD-2-Clause
/*
 * copy.c - CopyObject, UploadPartCopy: out of the store and into it again. See operations.h.
 *
 * Room: s3. Calls the store, call, condition, meta, uri, xml.
 *
 * Happy path: the source is found, what is asked of it holds; the write is begun, and piece after
 * piece goes over; then it is committed. The client is kept alive meanwhile.
 * Failure modes: there is no room: the piece is held until there is. Either side fails, or the
 * client goes away: the source is closed, the write aborted, and nothing stays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/condition.h"
#include "s3/date.h"
#include "s3/meta.h"
#include "s3/operations.h"
#include "s3/uri.h"

struct copy {
	struct s3_call *call;
	char *source; /* decoded; the bucket ends where the key begins */
	const char *bucket, *key;
	struct store_get get;
	struct store_put put;
	struct s3_range range;
	uint8_t held[STORE_CHUNK_BYTES];
	size_t held_len;
	unsigned int number; /* of the part; 0: an object */
	enum s3_error missing;
	bool opened, begun;
};

static void drop_copy(void *state)
{
	struct copy *copy = state;
	struct store *store = copy->call->context->store;

	if (copy->opened)
		store_get_close(store, &copy->get);
	if (copy->begun)
		store_put_abort(store, &copy->put);
	free(copy->source);
	free(copy);
}

static void on_committed(struct store_request *request, int err)
{
	struct copy *copy = LOOP_OWNER(request, struct copy, put.request);
	struct s3_call *call = copy->call;
	const char *name = copy->number ? "CopyPartResult" : "CopyObjectResult";
	char date[DATE_XML_BYTES];

	copy->begun = false;
	if (!s3_call_ran(call, err, copy->missing))
		return;
	text_printf(&call->out,
		    XML_HEAD "<%s xmlns=\"" XML_NAMESPACE "\"><LastModified>%s</LastModified>"
			     "<ETag>&quot;%s&quot;</ETag></%s>",
		    name, date_xml(date, copy->put.modified_ms), copy->put.etag, name);
	s3_answer_out(call);
}

static void on_failed(struct store_put *put, int err)
{
	struct copy *copy = LOOP_OWNER(put, struct copy, put);

	s3_fail_of(copy->call, err, copy->missing);
}

/* The next piece, or the end. */
static void go_on(struct copy *copy)
{
	struct store *store = copy->call->context->store;
	size_t len = STORE_CHUNK_BYTES;
	int err;

	if (len > copy->range.bytes)
		len = (size_t)copy->range.bytes;
	err = len ? store_get_read(store, &copy->get, copy->range.from, len)
		  : store_put_commit(store, &copy->put);
	s3_call_ran(copy->call, err, copy->missing);
}

static void hand_over(struct copy *copy)
{
	int err =
		store_put_write(copy->call->context->store, &copy->put, copy->held, copy->held_len);

	if (err == -ENOBUFS || !s3_call_ran(copy->call, err, copy->missing))
		return;
	copy->held_len = 0;
	go_on(copy);
}

static void on_chunk(struct store_get *get, const uint8_t *data, size_t len, int err)
{
	struct copy *copy = LOOP_OWNER(get, struct copy, get);

	if (!s3_call_ran(copy->call, err, S3_NO_SUCH_KEY))
		return;
	memcpy(copy->held, data, len);
	copy->held_len = len;
	copy->range.from += len;
	copy->range.bytes -= len;
	hand_over(copy);
}

static void on_room(struct store_put *put)
{
	struct copy *copy = LOOP_OWNER(put, struct copy, put);

	if (copy->held_len)
		hand_over(copy);
}

static bool replaces_meta(const struct s3_call *call)
{
	const char *directive = s3_request_field(&call->request, "x-amz-metadata-directive");

	return directive && !strcmp(directive, "REPLACE");
}

static int begin_write(struct copy *copy, const struct store_meta *meta)
{
	struct s3_call *call = copy->call;

	copy->put.request.done = on_committed;
	copy->put.writable = on_room;
	copy->put.failed = on_failed;
	copy->put.expected_bytes = copy->range.bytes;
	if (copy->number)
		return store_part_put(call->context->store, call->request.bucket, call->request.key,
				      s3_request_query(&call->request, "uploadId"), copy->number,
				      &copy->put);
	return store_put(call->context->store, call->request.bucket, call->request.key, meta,
			 &copy->put);
}

static enum s3_error check_source(struct copy *copy)
{
	struct s3_call *call = copy->call;
	const struct store_object *object = &copy->get.object;
	const char *range = s3_request_field(&call->request, "x-amz-copy-source-range");
	enum s3_error error = s3_condition_check(&call->request, "x-amz-copy-source-", object);

	if (error)
		return error;
	copy->range = (struct s3_range){0, object->size_bytes};
	if (range && copy->number) {
		int part = s3_range_read(range, object->size_bytes, &copy->range);

		return part == 1 ? S3_OK : part ? S3_INVALID_RANGE : S3_INVALID_ARGUMENT;
	}
	return S3_OK;
}

static void on_found(struct store_request *request, int err)
{
	struct copy *copy = LOOP_OWNER(request, struct copy, get.request);
	struct s3_call *call = copy->call;
	struct text pairs = {0};
	struct store_meta meta;
	enum s3_error error = err ? s3_error_of(err, S3_NO_SUCH_KEY) : check_source(copy);

	meta = copy->get.object.meta;
	if (!error && replaces_meta(call)) {
		error = s3_meta_collect(&pairs, &call->request);
		meta = (struct store_meta){pairs.bytes, pairs.len};
	}
	if (error)
		s3_fail(call, error);
	else if (s3_call_ran(call, begin_write(copy, &meta), copy->missing))
		copy->begun = true;
	if (!error && call->state == copy && copy->begun) {
		s3_keep_alive(call);
		go_on(copy);
	}
	text_free(&pairs);
}

/* "/bucket/key" or "bucket/key", percent-encoded, perhaps with a version behind it. */
static enum s3_error find_source(struct copy *copy)
{
	const char *text = s3_request_field(&copy->call->request, "x-amz-copy-source");
	size_t len;
	char *slash;

	text += *text == '/';
	len = strcspn(text, "?");
	if (text[len] && strcmp(text + len, "?versionId=null"))
		return S3_NOT_IMPLEMENTED;
	copy->source = malloc(len + 1);
	if (!copy->source)
		return S3_SLOW_DOWN;
	if (uri_decode(copy->source, text, len, false) < 0)
		return S3_INVALID_ARGUMENT;
	/* Some encode the slash between them, too. */
	slash = strchr(copy->source, '/');
	if (!slash || !slash[1])
		return S3_INVALID_ARGUMENT;
	*slash = '\0';
	copy->bucket = copy->source;
	copy->key = slash + 1;
	if (!s3_bucket_is_good(copy->bucket))
		return S3_INVALID_BUCKET_NAME;
	return s3_key_check(copy->key, strlen(copy->key));
}

static void begin(struct copy *copy, enum s3_error missing)
{
	struct s3_call *call = copy->call;
	enum s3_error error = find_source(copy);

	copy->missing = missing;
	copy->get.request.done = on_found;
	copy->get.chunk = on_chunk;
	if (!error)
		error = s3_meta_check_write(&call->request);
	if (!error && !copy->number && !replaces_meta(call) &&
	    !strcmp(copy->bucket, call->request.bucket) && !strcmp(copy->key, call->request.key))
		error = S3_INVALID_REQUEST; /* nothing would change */
	if (error)
		s3_fail(call, error);
	else if (s3_call_ran(call,
			     store_get(call->context->store, copy->bucket, copy->key, &copy->get),
			     S3_NO_SUCH_KEY))
		copy->opened = true;
}

void s3_copy_object(struct s3_call *call)
{
	struct copy *copy = s3_call_state(call, sizeof(*copy), drop_copy);

	if (!copy)
		return;
	copy->call = call;
	begin(copy, S3_NO_SUCH_BUCKET);
}

void s3_upload_part_copy(struct s3_call *call)
{
	struct copy *copy = s3_call_state(call, sizeof(*copy), drop_copy);

	if (!copy)
		return;
	copy->call = call;
	if (s3_request_number(&call->request, "partNumber", STORE_PARTS_MAX, &copy->number) ||
	    !copy->number)
		s3_fail(call, S3_TOO_MANY_PARTS);
	else
		begin(copy, S3_NO_SUCH_UPLOAD);
}
