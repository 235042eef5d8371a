/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_upload.h - what this node decides about uploads in parts.
 *
 * Room: store. Calls index_entry, index_row; blocks, so only inside index_call.run(), as a part of
 * its caller's transaction. Called by the engine. What is asked for in a struct index_change, and
 * -ESTALE: see index_object.h.
 */
#ifndef KNELL_STORE_INDEX_UPLOAD_H
#define KNELL_STORE_INDEX_UPLOAD_H

#include "store/index_entry.h"

/** index_upload_live - 0 when @name, an upload or a part, is of one that goes on; else -ENOENT. */
int index_upload_live(struct index_db *db, const struct index_name *name);

/** index_upload_begin - entry.name.upload is its version. -ENOENT: no such bucket. */
int index_upload_begin(struct index_db *db, struct index_change *change);

/** index_part_put - the part is this from now on. Size and etag are asked for, too. */
int index_part_put(struct index_db *db, struct index_change *change, const struct index_file *file,
		   bool *garbage);

/**
 * index_upload_complete - the parts named by number and etag, ascending, become the object.
 *
 * Their files change hands: nothing is copied. Asked for: the object's name, version and time, and
 * change->upload; size, etag, metadata and parts are filled in. Should a part's bytes be away, the
 * object is. -EINVAL: a part is missing, has another etag, or they do not ascend. -ENOENT: there is
 * no such upload; but when the object is what these parts make, it was completed before, and
 * @change is that again, but for its parts.
 */
int index_upload_complete(struct index_db *db, struct index_change *change,
			  const struct store_part *parts, size_t part_count, bool *garbage);

/** index_upload_abort - it ends, and its parts are gone. */
int index_upload_abort(struct index_db *db, struct index_change *change, bool *garbage);

#endif
