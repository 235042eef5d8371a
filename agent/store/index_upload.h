/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_upload.h - rows of uploads in parts.
 *
 * Room: store. Calls index_db, index_object; blocks, so only inside index_call.run(). Called by the
 * engine.
 */
#ifndef KNELL_STORE_INDEX_UPLOAD_H
#define KNELL_STORE_INDEX_UPLOAD_H

#include "store/index_object.h"

/** index_upload_begin - @id is drawn from the clock of versions. */
int index_upload_begin(struct index_db *db, const struct index_place *place, uint64_t id,
		       uint64_t began_ms, const struct store_meta *meta);

/** index_upload_find - 0 when @id is an upload to @place, else -ENOENT. */
int index_upload_find(struct index_db *db, const struct index_place *place, uint64_t id);

/** index_part_put - the part is this from now on. */
int index_part_put(struct index_db *db, const struct index_place *place, uint64_t upload,
		   unsigned int number, const struct index_record *record, bool *garbage);

/**
 * index_upload_complete - the parts named by number and etag, ascending, become the object.
 *
 * Their files change hands: nothing is copied. @record has its version and time; size and etag are
 * filled in. -EINVAL: a part is missing, has another etag, or they do not ascend.
 */
int index_upload_complete(struct index_db *db, const struct index_place *place, uint64_t upload,
			  const struct store_part *parts, size_t part_count,
			  struct index_record *record, bool *garbage);

int index_upload_abort(struct index_db *db, const struct index_place *place, uint64_t upload,
		       bool *garbage);

/** index_upload_delete_all - those to the bucket @bucket. */
int index_upload_delete_all(struct index_db *db, int64_t bucket, bool *garbage);

#endif
