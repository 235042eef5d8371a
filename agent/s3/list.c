// SPDX-License-Identifier: BSD-2-Clause
/*
 * list.c - ListObjects in both versions. See operations.h.
 *
 * Room: s3. Calls the store, call, uri, xml.
 *
 * What the client is given to go on from is the store's own `next`: as it is in version 1, in
 * base64 in version 2, where it is called a token and must look like one.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include "s3/date.h"
#include "s3/operations.h"
#include "s3/uri.h"

enum { TOKEN_BYTES_MAX = (STORE_KEY_BYTES_MAX + 2) / 3 * 4 + 1 };

struct listing {
	struct s3_call *call;
	struct store_list list;
	bool asking;
	bool version_2;
	bool encoded; /* encoding-type=url */
	bool with_owner;
	unsigned int max; /* as asked for */
	char after[STORE_KEY_BYTES_MAX + 4];
};

static void drop_listing(void *state)
{
	struct listing *listing = state;

	if (listing->asking)
		store_forget(listing->call->context->store, &listing->list.request);
	free(listing);
}

static const char *parameter(const struct listing *listing, const char *name)
{
	const char *value = s3_request_query(&listing->call->request, name);

	return value ? value : "";
}

/* A key, or a part of one. */
static void add_key(const struct listing *listing, const char *name, const char *key)
{
	struct text *out = &listing->call->out;

	if (!listing->encoded) {
		xml_element(out, name, key);
		return;
	}
	text_printf(out, "<%s>", name);
	uri_encode(out, key, strlen(key), true);
	text_printf(out, "</%s>", name);
}

static void add_object(const struct listing *listing, const struct store_object *object)
{
	struct text *out = &listing->call->out;
	char date[DATE_XML_BYTES];

	text_puts(out, "<Contents>");
	add_key(listing, "Key", object->key);
	xml_element(out, "LastModified", date_xml(date, object->modified_ms));
	text_printf(out, "<ETag>&quot;%s&quot;</ETag><Size>%llu</Size>", object->etag,
		    (unsigned long long)object->size_bytes);
	if (listing->with_owner)
		text_puts(out, "<Owner><ID>" S3_OWNER "</ID><DisplayName>" S3_OWNER
			       "</DisplayName></Owner>");
	text_puts(out, "<StorageClass>STANDARD</StorageClass></Contents>");
}

static void add_token(const struct listing *listing, const char *name, const char *next)
{
	char token[TOKEN_BYTES_MAX + 4];

	EVP_EncodeBlock((unsigned char *)token, (const unsigned char *)next, (int)strlen(next));
	xml_element(&listing->call->out, name, token);
}

static void add_head(const struct listing *listing, bool truncated, size_t count)
{
	struct text *out = &listing->call->out;

	text_puts(out, XML_HEAD "<ListBucketResult xmlns=\"" XML_NAMESPACE "\">");
	xml_element(out, "Name", listing->list.bucket);
	add_key(listing, "Prefix", listing->list.prefix);
	if (*listing->list.delimiter)
		add_key(listing, "Delimiter", listing->list.delimiter);
	text_printf(out, "<MaxKeys>%u</MaxKeys><IsTruncated>%s</IsTruncated>", listing->max,
		    truncated ? "true" : "false");
	if (listing->encoded)
		text_puts(out, "<EncodingType>url</EncodingType>");
	if (!listing->version_2) {
		add_key(listing, "Marker", parameter(listing, "marker"));
		if (truncated)
			add_key(listing, "NextMarker", listing->list.next);
		return;
	}
	text_printf(out, "<KeyCount>%zu</KeyCount>", count);
	if (*parameter(listing, "start-after"))
		add_key(listing, "StartAfter", parameter(listing, "start-after"));
	if (*parameter(listing, "continuation-token"))
		xml_element(out, "ContinuationToken", parameter(listing, "continuation-token"));
	if (truncated)
		add_token(listing, "NextContinuationToken", listing->list.next);
}

static void on_listed(struct store_request *request, int err)
{
	struct listing *listing = LOOP_OWNER(request, struct listing, list.request);
	const struct store_list *list = &listing->list;
	struct s3_call *call = listing->call;
	size_t i;

	listing->asking = false;
	if (!s3_call_ran(call, err, S3_NO_SUCH_BUCKET))
		return;
	if (!listing->max) {
		add_head(listing, false, 0);
	} else {
		add_head(listing, list->truncated, list->object_count + list->prefix_count);
		for (i = 0; i < list->object_count; i++)
			add_object(listing, &list->objects[i]);
		for (i = 0; i < list->prefix_count; i++) {
			text_puts(&call->out, "<CommonPrefixes>");
			add_key(listing, "Prefix", list->prefixes[i]);
			text_puts(&call->out, "</CommonPrefixes>");
		}
	}
	text_puts(&call->out, "</ListBucketResult>");
	s3_answer_out(call);
}

/* Where to begin: 0, or -EINVAL. */
static int find_after(struct listing *listing)
{
	const char *token = parameter(listing, "continuation-token");
	const char *start = parameter(listing, listing->version_2 ? "start-after" : "marker");
	size_t len = strlen(token);
	int got;

	if (!listing->version_2 || !len) {
		if (strlen(start) > STORE_KEY_BYTES_MAX)
			return -EINVAL;
		memcpy(listing->after, start, strlen(start) + 1);
		return 0;
	}
	if (len % 4 || len >= TOKEN_BYTES_MAX)
		return -EINVAL;
	got = EVP_DecodeBlock((unsigned char *)listing->after, (const unsigned char *)token,
			      (int)len);
	/* Padding has become NULs, and ends it. */
	if (got < 0)
		return -EINVAL;
	listing->after[got] = '\0';
	return 0;
}

static void list_objects(struct s3_call *call, bool version_2)
{
	struct listing *listing = s3_call_state(call, sizeof(*listing), drop_listing);
	const char *encoding;
	int err;

	if (!listing)
		return;
	listing->call = call;
	listing->version_2 = version_2;
	listing->max = STORE_LIST_MAX;
	encoding = parameter(listing, "encoding-type");
	listing->encoded = !strcmp(encoding, "url");
	listing->with_owner = !version_2 || !strcmp(parameter(listing, "fetch-owner"), "true");
	err = s3_request_number(&call->request, "max-keys", INT32_MAX, &listing->max);
	if ((err && err != -ENOENT) || find_after(listing) || (*encoding && !listing->encoded) ||
	    strlen(parameter(listing, "prefix")) > STORE_KEY_BYTES_MAX ||
	    strlen(parameter(listing, "delimiter")) > STORE_KEY_BYTES_MAX) {
		s3_fail(call, S3_INVALID_ARGUMENT);
		return;
	}
	if (listing->max > STORE_LIST_MAX)
		listing->max = STORE_LIST_MAX;
	listing->list = (struct store_list){
		.request.done = on_listed,
		.bucket = call->request.bucket,
		.prefix = parameter(listing, "prefix"),
		.delimiter = parameter(listing, "delimiter"),
		.after = listing->after,
		.max = listing->max ? listing->max : 1,
	};
	if (s3_call_ran(call, store_list(call->context->store, &listing->list), S3_NO_SUCH_BUCKET))
		listing->asking = true;
}

void s3_list_objects(struct s3_call *call)
{
	list_objects(call, false);
}

void s3_list_objects_v2(struct s3_call *call)
{
	if (strcmp(s3_request_query(&call->request, "list-type"), "2"))
		s3_fail(call, S3_INVALID_ARGUMENT);
	else
		list_objects(call, true);
}
