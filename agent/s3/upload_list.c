// SPDX-License-Identifier: BSD-2-Clause
/*
 * upload_list.c - ListParts, ListMultipartUploads. See operations.h.
 *
 * Room: s3. Calls the store, call, xml.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/date.h"
#include "s3/operations.h"
#include "s3/uri.h"

#define USER "<ID>" S3_OWNER "</ID><DisplayName>" S3_OWNER "</DisplayName>"

static const char *parameter(const struct s3_call *call, const char *name)
{
	const char *value = s3_request_query(&call->request, name);

	return value ? value : "";
}

/* ---- parts ---- */

struct parts {
	struct s3_call *call;
	struct store_part_list list;
	bool asking;
};

static void drop_parts(void *state)
{
	struct parts *parts = state;

	if (parts->asking)
		store_forget(parts->call->context->store, &parts->list.request);
	free(parts);
}

static void write_parts(struct text *out, const struct store_part_list *list)
{
	char date[DATE_XML_BYTES];
	size_t i;

	for (i = 0; i < list->count; i++) {
		const struct store_part *part = &list->parts[i];

		text_printf(out,
			    "<Part><PartNumber>%u</PartNumber><LastModified>%s</LastModified>"
			    "<ETag>&quot;%s&quot;</ETag><Size>%llu</Size></Part>",
			    part->number, date_xml(date, part->modified_ms), part->etag,
			    (unsigned long long)part->size_bytes);
	}
}

static void on_parts(struct store_request *request, int err)
{
	struct parts *parts = LOOP_OWNER(request, struct parts, list.request);
	const struct store_part_list *list = &parts->list;
	struct s3_call *call = parts->call;
	struct text *out = &call->out;

	parts->asking = false;
	if (!s3_call_ran(call, err, S3_NO_SUCH_UPLOAD))
		return;
	text_puts(out, XML_HEAD "<ListPartsResult xmlns=\"" XML_NAMESPACE "\">");
	xml_element(out, "Bucket", call->request.bucket);
	xml_element(out, "Key", call->request.key);
	xml_element(out, "UploadId", parameter(call, "uploadId"));
	text_puts(out, "<Initiator>" USER "</Initiator><Owner>" USER "</Owner>"
		       "<StorageClass>STANDARD</StorageClass>");
	text_printf(out, "<PartNumberMarker>%u</PartNumberMarker>", list->after);
	if (list->truncated && list->count)
		text_printf(out, "<NextPartNumberMarker>%u</NextPartNumberMarker>",
			    list->parts[list->count - 1].number);
	text_printf(out, "<MaxParts>%zu</MaxParts><IsTruncated>%s</IsTruncated>", list->max,
		    list->truncated ? "true" : "false");
	write_parts(out, list);
	text_puts(out, "</ListPartsResult>");
	s3_answer_out(call);
}

void s3_list_parts(struct s3_call *call)
{
	struct parts *parts = s3_call_state(call, sizeof(*parts), drop_parts);
	unsigned int max = STORE_LIST_MAX, after = 0;
	int max_err, after_err;

	if (!parts)
		return;
	max_err = s3_request_number(&call->request, "max-parts", INT32_MAX, &max);
	after_err = s3_request_number(&call->request, "part-number-marker", INT32_MAX, &after);
	if (max_err == -EINVAL || after_err == -EINVAL || !max) {
		s3_fail(call, S3_INVALID_ARGUMENT);
		return;
	}
	parts->call = call;
	parts->list.request.done = on_parts;
	parts->list.after = after;
	parts->list.max = max < STORE_LIST_MAX ? max : STORE_LIST_MAX;
	if (s3_call_ran(call,
			store_part_list(call->context->store, call->request.bucket,
					call->request.key, parameter(call, "uploadId"),
					&parts->list),
			S3_NO_SUCH_UPLOAD))
		parts->asking = true;
}

/* ---- uploads ---- */

struct uploads {
	struct s3_call *call;
	struct store_upload_list list;
	bool asking, encoded;
};

static void drop_uploads(void *state)
{
	struct uploads *uploads = state;

	if (uploads->asking)
		store_forget(uploads->call->context->store, &uploads->list.request);
	free(uploads);
}

static void add_key(const struct uploads *uploads, const char *name, const char *key, size_t len)
{
	struct text *out = &uploads->call->out, plain = {0};

	text_printf(out, "<%s>", name);
	if (uploads->encoded) {
		uri_encode(out, key, len, true);
	} else {
		text_add(&plain, key, len);
		xml_add(out, plain.bytes ? plain.bytes : "");
		out->failed |= plain.failed;
		text_free(&plain);
	}
	text_printf(out, "</%s>", name);
}

/* How much of the key up to and with the delimiter stands for all that share it; 0: nothing. */
static size_t shared_bytes(const struct uploads *uploads, const char *key)
{
	const char *delimiter = parameter(uploads->call, "delimiter");
	size_t prefix = strlen(uploads->list.prefix);
	const char *found = *delimiter ? strstr(key + prefix, delimiter) : NULL;

	return found ? (size_t)(found - key) + strlen(delimiter) : 0;
}

static void write_uploads(const struct uploads *uploads)
{
	struct text *out = &uploads->call->out;
	const char *before = NULL;
	size_t i, before_len = 0;
	char date[DATE_XML_BYTES];

	for (i = 0; i < uploads->list.count; i++) {
		const struct store_upload *upload = &uploads->list.uploads[i];
		size_t shared = shared_bytes(uploads, upload->key);

		if (shared) {
			if (!before || shared != before_len ||
			    memcmp(before, upload->key, shared)) {
				text_puts(out, "<CommonPrefixes>");
				add_key(uploads, "Prefix", upload->key, shared);
				text_puts(out, "</CommonPrefixes>");
			}
			before = upload->key;
			before_len = shared;
			continue;
		}
		text_puts(out, "<Upload>");
		add_key(uploads, "Key", upload->key, strlen(upload->key));
		xml_element(out, "UploadId", upload->id);
		text_printf(out,
			    "<Initiator>" USER "</Initiator><Owner>" USER "</Owner>"
			    "<StorageClass>STANDARD</StorageClass><Initiated>%s</Initiated>"
			    "</Upload>",
			    date_xml(date, upload->began_ms));
	}
}

static void on_uploads(struct store_request *request, int err)
{
	struct uploads *uploads = LOOP_OWNER(request, struct uploads, list.request);
	const struct store_upload_list *list = &uploads->list;
	struct s3_call *call = uploads->call;
	struct text *out = &call->out;

	uploads->asking = false;
	if (!s3_call_ran(call, err, S3_NO_SUCH_BUCKET))
		return;
	text_puts(out, XML_HEAD "<ListMultipartUploadsResult xmlns=\"" XML_NAMESPACE "\">");
	xml_element(out, "Bucket", call->request.bucket);
	add_key(uploads, "KeyMarker", list->key_after, strlen(list->key_after));
	xml_element(out, "UploadIdMarker", list->id_after);
	add_key(uploads, "Prefix", list->prefix, strlen(list->prefix));
	if (*parameter(call, "delimiter"))
		add_key(uploads, "Delimiter", parameter(call, "delimiter"),
			strlen(parameter(call, "delimiter")));
	if (list->truncated && list->count) {
		const struct store_upload *last = &list->uploads[list->count - 1];

		add_key(uploads, "NextKeyMarker", last->key, strlen(last->key));
		xml_element(out, "NextUploadIdMarker", last->id);
	}
	if (uploads->encoded)
		text_puts(out, "<EncodingType>url</EncodingType>");
	text_printf(out, "<MaxUploads>%zu</MaxUploads><IsTruncated>%s</IsTruncated>", list->max,
		    list->truncated ? "true" : "false");
	write_uploads(uploads);
	text_puts(out, "</ListMultipartUploadsResult>");
	s3_answer_out(call);
}

void s3_list_uploads(struct s3_call *call)
{
	struct uploads *uploads = s3_call_state(call, sizeof(*uploads), drop_uploads);
	unsigned int max = STORE_LIST_MAX;

	if (!uploads)
		return;
	if (s3_request_number(&call->request, "max-uploads", INT32_MAX, &max) == -EINVAL || !max) {
		s3_fail(call, S3_INVALID_ARGUMENT);
		return;
	}
	uploads->call = call;
	uploads->encoded = !strcmp(parameter(call, "encoding-type"), "url");
	uploads->list = (struct store_upload_list){
		.request.done = on_uploads,
		.bucket = call->request.bucket,
		.prefix = parameter(call, "prefix"),
		.key_after = parameter(call, "key-marker"),
		.id_after = parameter(call, "upload-id-marker"),
		.max = max < STORE_LIST_MAX ? max : STORE_LIST_MAX,
	};
	if (s3_call_ran(call, store_upload_list(call->context->store, &uploads->list),
			S3_NO_SUCH_BUCKET))
		uploads->asking = true;
}
