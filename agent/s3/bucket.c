// SPDX-License-Identifier: BSD-2-Clause
/*
 * bucket.c - ListBuckets, CreateBucket, HeadBucket, DeleteBucket. See operations.h.
 *
 * Room: s3. Calls the store, call, xml.
 */
#include <stdio.h>
#include <stdlib.h>
#include "s3/date.h"
#include "s3/operations.h"

struct bucket {
	struct s3_call *call;
	struct store_request request;
	bool asking;
};

static void drop_bucket(void *state)
{
	struct bucket *bucket = state;

	if (bucket->asking)
		store_forget(bucket->call->context->store, &bucket->request);
	free(bucket);
}

static void ask(struct s3_call *call,
		int (*what)(struct store *store, const char *bucket, struct store_request *request),
		void (*done)(struct store_request *request, int err))
{
	struct bucket *bucket = s3_call_state(call, sizeof(*bucket), drop_bucket);

	if (!bucket)
		return;
	bucket->call = call;
	bucket->request.done = done;
	if (s3_call_ran(call, what(call->context->store, call->request.bucket, &bucket->request),
			S3_NO_SUCH_BUCKET))
		bucket->asking = true;
}

/* The call, and its state has nothing under way any more. */
static struct s3_call *asked(struct store_request *request)
{
	struct bucket *bucket = LOOP_OWNER(request, struct bucket, request);

	bucket->asking = false;
	return bucket->call;
}

/* ---- CreateBucket ---- */

static void on_created(struct store_request *request, int err)
{
	struct s3_call *call = asked(request);
	char location[STORE_BUCKET_BYTES_MAX + 2];
	const struct http1_field field = {"Location", location};

	if (!s3_call_ran(call, err, S3_NO_SUCH_BUCKET))
		return;
	snprintf(location, sizeof(location), "/%s", call->request.bucket);
	s3_answer_empty(call, 200, &field, 1);
}

static int skip_begin(void *ctx, unsigned int depth, const char *name)
{
	(void)ctx;
	(void)depth;
	(void)name;
	return 0;
}

static int skip_end(void *ctx, unsigned int depth, const char *name, const char *text)
{
	(void)ctx;
	(void)depth;
	(void)name;
	(void)text;
	return 0;
}

void s3_create_bucket(struct s3_call *call)
{
	static const struct xml_callbacks skip = {skip_begin, skip_end};

	/* There is one region: what the client wants in there changes nothing. */
	if (call->small.len && xml_read(call->small.bytes, call->small.len, &skip, NULL))
		s3_fail(call, S3_MALFORMED_XML);
	else
		ask(call, store_bucket_create, on_created);
}

/* ---- HeadBucket, DeleteBucket ---- */

static void on_there(struct store_request *request, int err)
{
	struct s3_call *call = asked(request);
	const struct http1_field field = {"x-amz-bucket-region", call->context->region};

	if (s3_call_ran(call, err, S3_NO_SUCH_BUCKET))
		s3_answer_empty(call, 200, &field, 1);
}

void s3_head_bucket(struct s3_call *call)
{
	ask(call, store_bucket_head, on_there);
}

static void on_deleted(struct store_request *request, int err)
{
	struct s3_call *call = asked(request);

	if (s3_call_ran(call, err, S3_NO_SUCH_BUCKET))
		s3_answer_empty(call, 204, NULL, 0);
}

void s3_delete_bucket(struct s3_call *call)
{
	ask(call, store_bucket_delete, on_deleted);
}

/* ---- ListBuckets ---- */

struct listing {
	struct s3_call *call;
	struct store_bucket_list list;
	bool asking;
};

static void drop_listing(void *state)
{
	struct listing *listing = state;

	if (listing->asking)
		store_forget(listing->call->context->store, &listing->list.request);
	free(listing);
}

static void on_listed(struct store_request *request, int err)
{
	struct listing *listing = LOOP_OWNER(request, struct listing, list.request);
	struct s3_call *call = listing->call;
	struct text *out = &call->out;
	char date[DATE_XML_BYTES];
	size_t i;

	listing->asking = false;
	if (!s3_call_ran(call, err, S3_INTERNAL_ERROR))
		return;
	text_puts(out, XML_HEAD "<ListAllMyBucketsResult xmlns=\"" XML_NAMESPACE "\"><Owner>"
				"<ID>" S3_OWNER "</ID><DisplayName>" S3_OWNER "</DisplayName>"
				"</Owner><Buckets>");
	for (i = 0; i < listing->list.count; i++) {
		text_puts(out, "<Bucket>");
		xml_element(out, "Name", listing->list.buckets[i].name);
		xml_element(out, "CreationDate",
			    date_xml(date, listing->list.buckets[i].created_ms));
		text_puts(out, "</Bucket>");
	}
	text_puts(out, "</Buckets></ListAllMyBucketsResult>");
	s3_answer_out(call);
}

void s3_list_buckets(struct s3_call *call)
{
	struct listing *listing = s3_call_state(call, sizeof(*listing), drop_listing);

	if (!listing)
		return;
	listing->call = call;
	listing->list.request.done = on_listed;
	if (s3_call_ran(call, store_bucket_list(call->context->store, &listing->list),
			S3_INTERNAL_ERROR))
		listing->asking = true;
}
