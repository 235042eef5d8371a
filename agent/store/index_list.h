/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_list.h - pages of buckets, objects, uploads and parts.
 *
 * Room: store. Calls index_object, index_upload, index_row; blocks, so only inside
 * index_call.run(). Called by the engine.
 */
#ifndef KNELL_STORE_INDEX_LIST_H
#define KNELL_STORE_INDEX_LIST_H

#include "store/index_entry.h"

/* Rows of one kind, owned by the caller, strings and all: index_page_free(). */
struct index_page {
	struct store_bucket *buckets;
	struct store_object *objects;
	char **prefixes;
	struct store_upload *uploads;
	struct store_part *parts;
	size_t bucket_count, object_count, prefix_count, upload_count, part_count;
	bool truncated;
	const char *next; /* of objects: one of the strings above */
};

void index_page_free(struct index_page *page);

/* What is asked of a bucket's objects. */
struct index_objects_query {
	char bucket[STORE_BUCKET_BYTES_MAX + 1];
	char prefix[STORE_KEY_BYTES_MAX + 1];
	char delimiter[STORE_KEY_BYTES_MAX + 1];
	char after[STORE_KEY_BYTES_MAX + 1];
	size_t max;
};

/**
 * index_list_objects - one page, in byte order.
 *
 * Keys under a common prefix are not read but jumped over: a page costs its entries, not the keys
 * that they stand for. 0 or a negative errno; index_page_free() in either case, for all of these.
 */
int index_list_objects(struct index_db *db, const struct index_objects_query *query,
		       struct index_page *page);

int index_list_buckets(struct index_db *db, struct index_page *page);

struct index_uploads_query {
	char bucket[STORE_BUCKET_BYTES_MAX + 1];
	char prefix[STORE_KEY_BYTES_MAX + 1];
	char key_after[STORE_KEY_BYTES_MAX + 1];
	uint64_t id_after; /* 0 with a key_after: all uploads to that key are behind us */
	size_t max;
};

int index_list_uploads(struct index_db *db, const struct index_uploads_query *query,
		       struct index_page *page);

/** index_list_parts - of the upload that @name, an upload, stands for; numbers above @after. */
int index_list_parts(struct index_db *db, const struct index_name *name, unsigned int after,
		     size_t max, struct index_page *page);

#endif
