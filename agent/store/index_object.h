/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_object.h - what this node decides about buckets and objects, and how objects are found.
 *
 * Room: store. Calls index_entry, index_row; blocks, so only inside index_call.run(), as a part of
 * its caller's transaction. Called by the engine.
 *
 * Of the struct index_change that a decision is made with, these are asked for: entry.name, version
 * and modified_ms; what else it comes to is filled in, for peers. -ESTALE, for all of them: there
 * is something as new or newer already.
 */
#ifndef KNELL_STORE_INDEX_OBJECT_H
#define KNELL_STORE_INDEX_OBJECT_H

#include "store/index_entry.h"

/* What was found of an object; owned by the caller, index_found_free(). */
struct index_found {
	uint64_t version;
	uint64_t size_bytes;
	uint64_t modified_ms;
	char etag[STORE_ETAG_BYTES];
	bool away; /* there are no files of it here */
	char *meta;
	size_t meta_bytes;
	struct index_file *files;
	size_t file_count;
};

void index_found_free(struct index_found *found);

/** index_bucket_live - 0 when it is there, -ENOENT when not. */
int index_bucket_live(struct index_db *db, const char *bucket);

/** index_bucket_create - -EEXIST when it is there, which `stands`. */
int index_bucket_create(struct index_db *db, struct index_change *change);

/** index_bucket_delete - -ENOENT, its tombstone `stands`; -ENOTEMPTY. Its uploads end. *garbage:
 * files may be removed. */
int index_bucket_delete(struct index_db *db, struct index_change *change, bool *garbage);

/**
 * index_object_put - the object is this from now on; what it was becomes garbage.
 *
 * Size, etag and metadata are asked for, too. -ENOENT: no such bucket.
 */
int index_object_put(struct index_db *db, struct index_change *change,
		     const struct index_file *file, bool *garbage);

/** index_object_remove - -ENOENT when it is not there: its tombstone `stands`, if there is one. */
int index_object_remove(struct index_db *db, struct index_change *change, bool *garbage);

/** index_object_find - 0 and @found, or a negative errno and nothing to free. */
int index_object_find(struct index_db *db, const struct index_name *name,
		      struct index_found *found);

/** index_object_find_version - an object or a part, if this version of it is here with its bytes.
 */
int index_object_find_version(struct index_db *db, const struct index_name *name, uint64_t version,
			      struct index_found *found);

#endif
