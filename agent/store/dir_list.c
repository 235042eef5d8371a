// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_list.c - pages of buckets, objects, parts and uploads, straight from the index. See store.h.
 *
 * Room: store.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/dir_inner.h"

struct listing {
	struct dir_call call; /* first */
	struct index_page page;
	union {
		struct index_objects_query objects;
		struct index_uploads_query uploads;
		struct {
			unsigned int after;
			size_t max;
		} parts;
	};
};

static struct listing *listing_of(struct index_call *base)
{
	return LOOP_OWNER(base, struct listing, call.base);
}

static void drop_listing(struct index_call *base)
{
	struct listing *listing = listing_of(base);

	index_page_free(&listing->page);
	dir_call_free(&listing->call);
}

static struct listing *new_listing(struct store *store, struct store_request *request,
				   int (*run)(struct index_call *, struct index_db *),
				   void (*finish)(struct dir_call *, int))
{
	struct listing *listing =
		dir_call_new(dir_of(store), sizeof(*listing), request, run, finish);

	if (listing)
		listing->call.base.drop = drop_listing;
	return listing;
}

/* Ends a listing that could not be asked for as it stands. */
static int refuse(struct listing *listing, int err)
{
	listing->call.request->engine = NULL;
	drop_listing(&listing->call.base);
	return err;
}

/* After the request has got its answer: it may be gone. */
static void end(struct dir_call *call, struct store_request *request, int err)
{
	if (request)
		request->done(request, err);
	drop_listing(&call->base);
}

static int run_buckets(struct index_call *base, struct index_db *db)
{
	return index_list_buckets(db, &listing_of(base)->page);
}

static void finish_buckets(struct dir_call *call, int err)
{
	struct index_page *page = &listing_of(&call->base)->page;
	struct store_bucket_list *list;

	if (call->request) {
		list = LOOP_OWNER(call->request, struct store_bucket_list, request);
		list->buckets = page->buckets;
		list->count = page->bucket_count;
	}
	end(call, call->request, err);
}

int dir_bucket_list(struct store *store, struct store_bucket_list *list)
{
	struct listing *listing = new_listing(store, &list->request, run_buckets, finish_buckets);

	return listing ? dir_call_submit(&listing->call) : -ENOMEM;
}

static int run_objects(struct index_call *base, struct index_db *db)
{
	struct listing *listing = listing_of(base);

	return index_list_objects(db, &listing->objects, &listing->page);
}

static void finish_objects(struct dir_call *call, int err)
{
	struct index_page *page = &listing_of(&call->base)->page;
	struct store_list *list;

	if (call->request) {
		list = LOOP_OWNER(call->request, struct store_list, request);
		list->objects = page->objects;
		list->object_count = page->object_count;
		list->prefixes = (const char *const *)page->prefixes;
		list->prefix_count = page->prefix_count;
		list->truncated = page->truncated;
		list->next = page->truncated ? page->next : NULL;
	}
	end(call, call->request, err);
}

int dir_list(struct store *store, struct store_list *list)
{
	struct listing *listing = new_listing(store, &list->request, run_objects, finish_objects);
	struct index_objects_query *query;

	if (!listing)
		return -ENOMEM;
	query = &listing->objects;
	query->max = list->max;
	if (dir_copy(query->bucket, sizeof(query->bucket), list->bucket) ||
	    dir_copy(query->prefix, sizeof(query->prefix), list->prefix) ||
	    dir_copy(query->delimiter, sizeof(query->delimiter), list->delimiter) ||
	    dir_copy(query->after, sizeof(query->after), list->after))
		return refuse(listing, -EINVAL);
	return dir_call_submit(&listing->call);
}

static int run_parts(struct index_call *base, struct index_db *db)
{
	struct listing *listing = listing_of(base);

	return index_list_parts(db, &listing->call.applied.entry.name, listing->parts.after,
				listing->parts.max, &listing->page);
}

static void finish_parts(struct dir_call *call, int err)
{
	struct index_page *page = &listing_of(&call->base)->page;
	struct store_part_list *list;

	if (call->request) {
		list = LOOP_OWNER(call->request, struct store_part_list, request);
		list->parts = page->parts;
		list->count = page->part_count;
		list->truncated = page->truncated;
	}
	end(call, call->request, err);
}

int dir_part_list(struct store *store, const char *bucket, const char *key, const char *upload,
		  struct store_part_list *list)
{
	struct listing *listing;
	uint64_t id = shelf_parse(upload);

	if (!id)
		return -ENOENT;
	listing = new_listing(store, &list->request, run_parts, finish_parts);
	if (!listing)
		return -ENOMEM;
	dir_call_name(&listing->call, INDEX_UPLOAD, bucket, key);
	listing->call.applied.entry.name.upload = id;
	listing->parts.after = list->after;
	listing->parts.max = list->max;
	return dir_call_submit(&listing->call);
}

static int run_uploads(struct index_call *base, struct index_db *db)
{
	struct listing *listing = listing_of(base);

	return index_list_uploads(db, &listing->uploads, &listing->page);
}

static void finish_uploads(struct dir_call *call, int err)
{
	struct index_page *page = &listing_of(&call->base)->page;
	struct store_upload_list *list;

	if (call->request) {
		list = LOOP_OWNER(call->request, struct store_upload_list, request);
		list->uploads = page->uploads;
		list->count = page->upload_count;
		list->truncated = page->truncated;
	}
	end(call, call->request, err);
}

int dir_upload_list(struct store *store, struct store_upload_list *list)
{
	struct listing *listing = new_listing(store, &list->request, run_uploads, finish_uploads);
	struct index_uploads_query *query;

	if (!listing)
		return -ENOMEM;
	query = &listing->uploads;
	query->max = list->max;
	if (list->id_after && list->id_after[0])
		query->id_after = shelf_parse(list->id_after);
	if (dir_copy(query->bucket, sizeof(query->bucket), list->bucket) ||
	    dir_copy(query->prefix, sizeof(query->prefix), list->prefix) ||
	    dir_copy(query->key_after, sizeof(query->key_after), list->key_after))
		return refuse(listing, -EINVAL);
	return dir_call_submit(&listing->call);
}
