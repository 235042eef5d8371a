/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_feed.h - the journal of a drive: what changed, in order; how far those of the peers were
 * taken; what is still missing here.
 *
 * Room: store. Calls index_db, index_row; blocks, so only inside index_call.run(), as a part of its
 * caller's transaction. Called by whoever keeps nodes alike.
 */
#ifndef KNELL_STORE_INDEX_FEED_H
#define KNELL_STORE_INDEX_FEED_H

#include "store/index_entry.h"

/* Entries in the order of their lsn, owned by the caller: index_feed_free(). */
struct index_feed_page {
	struct index_entry *entries;
	size_t count;
	bool more;
	uint64_t last_lsn; /* the greatest ever given on this drive, whatever became of its entry */
};

void index_feed_free(struct index_feed_page *page);

/**
 * index_feed - entries of all kinds, tombstones too, whose lsn is above @after_lsn.
 *
 * An entry stands there once, where it changed last. At most @max_entries, and no more after
 * @max_bytes of names and metadata, but at least one. 0 or a negative errno; index_feed_free() in
 * either case. When there is no `more`, everything up to `last_lsn` was told.
 */
int index_feed(struct index_db *db, uint64_t after_lsn, size_t max_entries, size_t max_bytes,
	       struct index_feed_page *page);

/**
 * index_seen_get - up to which lsn the journal of @peer's @drive was taken; 0: nothing of that
 * drive.
 *
 * @drive: index_drive.id there; a peer with a new drive begins anew.
 */
int index_seen_get(struct index_db *db, const char *peer, const char *drive, uint64_t *lsn);
int index_seen_set(struct index_db *db, const char *peer, const char *drive, uint64_t lsn);

/** index_away - live entries whose bytes are missing here, as index_feed(); without metadata. */
int index_away(struct index_db *db, uint64_t after_lsn, size_t max, struct index_feed_page *page);

/** index_away_count - how many they are, and of how many bytes. Cheap: reads no more than them. */
int index_away_count(struct index_db *db, uint64_t *count, uint64_t *bytes);

/**
 * index_fill - @file has the bytes of an object or a part that was away.
 *
 * 0: it is here, with this file or had been before (then @file is garbage). -ESTALE: it is no
 * longer that version; @file is garbage then, too, unless the caller's transaction is undone:
 * then it is still the caller's.
 */
int index_fill(struct index_db *db, const struct index_name *name, uint64_t version,
	       const struct index_file *file, bool *garbage);

/**
 * index_purge - forget tombstones up to @up_to_lsn, of versions below @before_version, at most
 * @max.
 *
 * Who has not heard of them by then would bring back what they stand for. How many, or a negative
 * errno.
 */
int index_purge(struct index_db *db, uint64_t up_to_lsn, uint64_t before_version, unsigned int max);

#endif
