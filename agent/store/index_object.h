/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_object.h - rows of buckets and objects, and of files that nothing needs any more.
 *
 * Room: store. Calls index_db; blocks, so only inside index_call.run(). Called by the engine.
 */
#ifndef KNELL_STORE_INDEX_OBJECT_H
#define KNELL_STORE_INDEX_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/index_db.h"
#include "store/store.h"

/* Where an object is, by name. */
struct index_place {
	char bucket[STORE_BUCKET_BYTES_MAX + 1];
	char key[STORE_KEY_BYTES_MAX + 1];
};

struct index_file {
	uint64_t id; /* 0: none, the object is empty */
	uint64_t size_bytes;
};

/* What a written object or part comes to. */
struct index_record {
	uint64_t version; /* of an object; decided by whoever received it, the same everywhere */
	uint64_t modified_ms;
	uint64_t size_bytes;
	char etag[STORE_ETAG_BYTES];
	struct index_file file;
	uint64_t settled; /* every file below has its row or is gone */
};

/* What was found of an object; owned by the caller, index_found_free(). */
struct index_found {
	uint64_t version;
	uint64_t size_bytes;
	uint64_t modified_ms;
	char etag[STORE_ETAG_BYTES];
	char *meta;
	size_t meta_bytes;
	struct index_file *files;
	size_t file_count;
};

void index_found_free(struct index_found *found);

/** index_bucket_id - its id, or a negative errno. */
int64_t index_bucket_id(struct index_db *db, const char *bucket);

int index_bucket_create(struct index_db *db, const char *bucket, uint64_t created_ms);

/** index_bucket_delete - *garbage: files may be removed. */
int index_bucket_delete(struct index_db *db, const char *bucket, bool *garbage);

/** index_object_put - the object is this from now on; what it was becomes garbage. */
int index_object_put(struct index_db *db, const struct index_place *place,
		     const struct index_record *record, const struct store_meta *meta,
		     bool *garbage);

/** index_object_find - 0 and @found, or a negative errno and nothing to free. */
int index_object_find(struct index_db *db, const struct index_place *place,
		      struct index_found *found);

/** index_object_retire - remove the object at @place, if there is one; -ENOENT when not. */
int index_object_retire(struct index_db *db, int64_t bucket, const char *key, bool *garbage);

int index_object_insert(struct index_db *db, int64_t bucket, const char *key,
			const struct index_record *record, const struct store_meta *meta);

int index_file_insert(struct index_db *db, const struct index_file *file, uint64_t holder,
		      unsigned int seq);

/** index_advance - note what is settled, and the last version given out. */
int index_advance(struct index_db *db, uint64_t settled, uint64_t clock);

/** index_holder_retire - all files of @holder become garbage. */
int index_holder_retire(struct index_db *db, uint64_t holder, bool *garbage);

#endif
