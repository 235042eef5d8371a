// SPDX-License-Identifier: BSD-2-Clause
/*
 * complete.c - CompleteMultipartUpload. See operations.h.
 *
 * Room: s3. Calls the store, call, xml.
 *
 * To put large parts together may take a while: the client is kept alive meanwhile.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/operations.h"

enum { PARTS_STEP = 64 };

struct complete {
	struct s3_call *call;
	struct store_upload_complete complete;
	struct store_part *parts;
	size_t count, room;
	bool in_part, has_etag;
	bool unordered, no_memory;
	bool asking;
};

static void drop_complete(void *state)
{
	struct complete *complete = state;

	if (complete->asking)
		store_forget(complete->call->context->store, &complete->complete.request);
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

static void on_completed(struct store_request *request, int err)
{
	struct complete *complete = LOOP_OWNER(request, struct complete, complete.request);
	struct s3_call *call = complete->call;
	const char *host = s3_request_field(&call->request, "host");
	struct text *out = &call->out, location = {0};

	complete->asking = false;
	if (err == -EINVAL) {
		s3_fail(call, S3_INVALID_PART);
		return;
	}
	if (!s3_call_ran(call, err, S3_NO_SUCH_UPLOAD))
		return;
	text_printf(&location, "http://%s/%s/%s", host ? host : "", call->request.bucket,
		    call->request.key);
	text_puts(out, XML_HEAD "<CompleteMultipartUploadResult xmlns=\"" XML_NAMESPACE "\">");
	xml_element(out, "Location", location.bytes ? location.bytes : "");
	xml_element(out, "Bucket", call->request.bucket);
	xml_element(out, "Key", call->request.key);
	text_printf(out, "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
		    complete->complete.object.etag);
	text_free(&location);
	s3_answer_out(call);
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
	complete->complete.request.done = on_completed;
	complete->complete.parts = complete->parts;
	complete->complete.part_count = complete->count;
	if (!s3_call_ran(call,
			 store_upload_complete(
				 call->context->store, call->request.bucket, call->request.key,
				 s3_request_query(&call->request, "uploadId"), &complete->complete),
			 S3_NO_SUCH_UPLOAD))
		return;
	complete->asking = true;
	s3_keep_alive(call);
}
