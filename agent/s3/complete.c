// SPDX-License-Identifier: BSD-2-Clause
/*
 * complete.c - CompleteMultipartUpload. See operations.h.
 *
 * Room: s3. Calls the store, call, xml.
 *
 * Happy path: the list is read, every part but the last is large enough, the store makes the
 * object. To put large parts together may take a while: the client is kept alive meanwhile. Failure
 * modes:
 * - A part is missing or another one: that is the store's to say.
 * - It was completed before, and the answer never came through: the store knows, and the answer is
 *   given again.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/operations.h"

enum {
	PARTS_STEP = 64,
	PART_BYTES_MIN = 5 << 20, /* of all but the last */
};

struct complete {
	struct s3_call *call;
	struct store_part_list sizes;
	struct store_upload_complete complete;
	struct store_part *parts;
	size_t count, room;
	size_t looked_at; /* parts whose size is known to do */
	bool has_etag;
	bool unordered, no_memory;
	struct store_request *asked; /* under way */
};

static void drop_complete(void *state)
{
	struct complete *complete = state;

	if (complete->asked)
		store_forget(complete->call->context->store, complete->asked);
	free(complete->parts);
	free(complete);
}

static int on_begin(void *ctx, unsigned int depth, const char *name)
{
	struct complete *complete = ctx;
	struct store_part *grown;

	if (depth == 1)
		return strcmp(name, "CompleteMultipartUpload");
	if (depth != 2)
		return 0;
	if (strcmp(name, "Part") || complete->count == STORE_PARTS_MAX)
		return -1;
	if (complete->count == complete->room) {
		complete->room += PARTS_STEP;
		grown = realloc(complete->parts, complete->room * sizeof(*grown));
		if (!grown) {
			complete->no_memory = true;
			return -1;
		}
		complete->parts = grown;
	}
	complete->parts[complete->count] = (struct store_part){0};
	complete->has_etag = false;
	return 0;
}

static int end_part(struct complete *complete)
{
	const struct store_part *part = &complete->parts[complete->count];

	if (!part->number || !complete->has_etag)
		return -1;
	if (complete->count && part->number <= part[-1].number)
		complete->unordered = true;
	complete->count++;
	return 0;
}

static int on_end(void *ctx, unsigned int depth, const char *name, const char *text)
{
	struct complete *complete = ctx;
	struct store_part *part;
	size_t len;
	char *rest;

	if (depth == 2)
		return end_part(complete);
	if (depth != 3)
		return 0;
	part = &complete->parts[complete->count];
	if (!strcmp(name, "PartNumber")) {
		unsigned long number = strtoul(text, &rest, 10);

		part->number = (unsigned int)number;
		return !isdigit((unsigned char)*text) || *rest || number > STORE_PARTS_MAX;
	}
	if (strcmp(name, "ETag"))
		return 0;
	text += *text == '"';
	len = strcspn(text, "\"");
	if (len >= sizeof(part->etag))
		return -1;
	memcpy(part->etag, text, len);
	part->etag[len] = '\0';
	complete->has_etag = true;
	return 0;
}

static const struct xml_callbacks reader = {on_begin, on_end};

static void answer(struct complete *complete, const char *etag)
{
	struct s3_call *call = complete->call;
	const char *host = s3_request_field(&call->request, "host");
	struct text *out = &call->out, location = {0};

	text_printf(&location, "http://%s/%s/%s", host ? host : "", call->request.bucket,
		    call->request.key);
	text_puts(out, XML_HEAD "<CompleteMultipartUploadResult xmlns=\"" XML_NAMESPACE "\">");
	xml_element(out, "Location", location.bytes ? location.bytes : "");
	xml_element(out, "Bucket", call->request.bucket);
	xml_element(out, "Key", call->request.key);
	text_printf(out, "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>", etag);
	text_free(&location);
	s3_answer_out(call);
}

static void on_completed(struct store_request *request, int err)
{
	struct complete *complete = LOOP_OWNER(request, struct complete, complete.request);

	complete->asked = NULL;
	if (err == -ENOENT)
		s3_fail_missing(complete->call, S3_NO_SUCH_UPLOAD);
	else if (err == -EINVAL)
		s3_fail(complete->call, S3_INVALID_PART);
	else if (s3_call_ran(complete->call, err, S3_NO_SUCH_UPLOAD))
		answer(complete, complete->complete.object.etag);
}

static void put_together(struct complete *complete)
{
	struct s3_call *call = complete->call;

	complete->complete.request.done = on_completed;
	complete->complete.parts = complete->parts;
	complete->complete.part_count = complete->count;
	if (s3_call_ran(call,
			store_upload_complete(
				call->context->store, call->request.bucket, call->request.key,
				s3_request_query(&call->request, "uploadId"), &complete->complete),
			S3_NO_SUCH_UPLOAD))
		complete->asked = &complete->complete.request;
}

static void ask_for_sizes(struct complete *complete);

static void on_sizes(struct store_request *request, int err)
{
	struct complete *complete = LOOP_OWNER(request, struct complete, sizes.request);
	const struct store_part_list *sizes = &complete->sizes;
	size_t i;

	complete->asked = NULL;
	/* Perhaps it was completed before. */
	if (err == -ENOENT) {
		put_together(complete);
		return;
	}
	if (!s3_call_ran(complete->call, err, S3_NO_SUCH_UPLOAD))
		return;
	for (i = 0; i < sizes->count; i++) {
		const struct store_part *part = &sizes->parts[i], *named;

		while (complete->looked_at < complete->count - 1 &&
		       complete->parts[complete->looked_at].number < part->number)
			complete->looked_at++;
		named = &complete->parts[complete->looked_at];
		if (complete->looked_at < complete->count - 1 && named->number == part->number &&
		    !strcmp(named->etag, part->etag) && part->size_bytes < PART_BYTES_MIN) {
			s3_fail(complete->call, S3_ENTITY_TOO_SMALL);
			return;
		}
	}
	if (sizes->count)
		complete->sizes.after = sizes->parts[sizes->count - 1].number;
	if (sizes->truncated && sizes->count && complete->looked_at < complete->count - 1)
		ask_for_sizes(complete);
	else
		put_together(complete);
}

static void ask_for_sizes(struct complete *complete)
{
	struct s3_call *call = complete->call;

	complete->sizes.request.done = on_sizes;
	complete->sizes.max = STORE_LIST_MAX;
	if (s3_call_ran(
		    call,
		    store_part_list(call->context->store, call->request.bucket, call->request.key,
				    s3_request_query(&call->request, "uploadId"), &complete->sizes),
		    S3_NO_SUCH_UPLOAD))
		complete->asked = &complete->sizes.request;
}

void s3_complete_upload(struct s3_call *call)
{
	struct complete *complete = s3_call_state(call, sizeof(*complete), drop_complete);
	int err;

	if (!complete)
		return;
	complete->call = call;
	err = call->small.len ? xml_read(call->small.bytes, call->small.len, &reader, complete)
			      : -EINVAL;
	if (err || !complete->count) {
		s3_fail(call,
			err == -ENOMEM || complete->no_memory ? S3_SLOW_DOWN : S3_MALFORMED_XML);
		return;
	}
	if (complete->unordered) {
		s3_fail(call, S3_INVALID_PART_ORDER);
		return;
	}
	s3_keep_alive(call);
	if (complete->count > 1)
		ask_for_sizes(complete);
	else
		put_together(complete);
}
