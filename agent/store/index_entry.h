/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_entry.h - what the index says of a bucket, an object, an upload or a part: a register that
 * the last writer wins, and the rule by which two nodes come to say the same.
 *
 * Room: store. Calls index_db, index_row; blocks, so only inside index_call.run(), where every
 * function is a part of its caller's transaction: what it did before it failed is undone there.
 * Called by index_object and index_upload, and by whoever takes what a peer has decided.
 */
#ifndef KNELL_STORE_INDEX_ENTRY_H
#define KNELL_STORE_INDEX_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/index_db.h"
#include "store/store.h"

/* Numbers are kept on disk and told to peers. */
enum index_kind { INDEX_BUCKET = 1, INDEX_OBJECT, INDEX_UPLOAD, INDEX_PART };

/* What is not of the kind is 0 or "". */
struct index_name {
	enum index_kind kind;
	char bucket[STORE_BUCKET_BYTES_MAX + 1];
	char key[STORE_KEY_BYTES_MAX + 1];
	uint64_t upload; /* id of an upload, the version with which it began; also of a part's */
	unsigned int number; /* of a part */
};

struct index_entry {
	struct index_name name;
	uint64_t lsn;	  /* local: the how-manieth change of this drive; never given twice */
	uint64_t version; /* decided by who received the write, the same on all nodes; below 2^63 */
	bool gone;	  /* a tombstone: no size, etag, metadata, files */
	bool away;	  /* local: this drive has none of its bytes yet; never so with 0 bytes */
	uint64_t size_bytes;
	uint64_t modified_ms; /* Unix time; when it began, of a bucket or an upload */
	char etag[STORE_ETAG_BYTES];
	char *meta; /* owned; index_entry_free() */
	size_t meta_bytes;
};

/* A file of this drive. */
struct index_file {
	uint64_t id; /* 0: none, there are no bytes */
	uint64_t size_bytes;
	uint64_t settled; /* of one that is brought: every file below has its row or is gone */
};

struct index_part_ref {
	unsigned int number;
	uint64_t version;
	uint64_t size_bytes;
};

/*
 * What was decided here, so that it can be told to peers: an entry, and when an object was made of
 * an upload, of which parts. index_change_free().
 */
struct index_change {
	struct index_entry entry;
	uint64_t upload; /* 0: not made of one */
	struct index_part_ref *parts;
	size_t part_count; /* 0: which parts they were is not known any more */
	/*
	 * With an error: nothing was changed, for this entry has said so before. Who is answered
	 * with the error relies on it, although it may stand here alone.
	 */
	bool stands;
};

enum index_applied {
	INDEX_NEWER, /* taken */
	INDEX_SAME,  /* had exactly this version, and its bytes unless they are away still */
	INDEX_STALE, /* ours is newer: nothing changed; a file that came with it is garbage */
};

/** index_entry_find - 0, also for a tombstone, and @entry to be freed; -ENOENT: never heard of. */
int index_entry_find(struct index_db *db, const struct index_name *name, struct index_entry *entry);

/** index_entry_free, index_change_free - what it owns; it may be freed again, or reused. */
void index_entry_free(struct index_entry *entry);
void index_change_free(struct index_change *change);

/**
 * index_entry_apply - take what a peer has decided; @file (NULL, or id 0: none) has its bytes.
 *
 * The higher version wins. The files of what was there become garbage (*garbage), and so does @file
 * when it is not needed: it has its row in any case. With the version that is here, @file fills in
 * what was away. entry->away and entry->lsn are not looked at: what has bytes and comes without a
 * @file is away.
 *
 * - A live object or upload brings its bucket to life: as the oldest version that there can be when
 *   it is unknown, so that its making is not missed; as the one after the tombstone when it is
 * gone. But an upload older than the end of its bucket has ended with it: INDEX_STALE.
 * - A part whose upload is unknown is -ENOENT, one whose upload is gone INDEX_STALE.
 * - An upload that is gone loses its parts, which leave no tombstones; but if it became an object
 *   whose bytes are away, not before those are here, or the object is no more: index_entry_join()
 *   may come yet.
 * - A bucket that is gone takes its uploads along, with its version. It is -ENOTEMPTY while there
 * are live objects in it, or an upload that was begun after its end. Unless the caller's
 * transaction is undone then, the bucket outlives its end, with the version after it, which peers
 * will hear of: so who follows a journal can go on behind it.
 *
 * After an error nothing else is changed and @file is the caller's; -EINVAL: no such entry can be.
 */
int index_entry_apply(struct index_db *db, const struct index_entry *entry,
		      const struct index_file *file, enum index_applied *how, bool *garbage);

/**
 * index_entry_join - a peer has made @object of the parts of an upload, in this order; none: it
 * does not know any more of which.
 *
 * *here: every part was here in exactly that version, and their files are the object's now; or it
 * was complete before, or has no bytes. Else it is away. The upload is gone afterwards, with the
 * object's version, and what no object took of its parts is garbage. @count 0: which parts they
 * were is not known any more. For the rest as
 * index_entry_apply(); with INDEX_STALE *here says nothing.
 */
int index_entry_join(struct index_db *db, const struct index_entry *object, uint64_t upload,
		     const struct index_part_ref *parts, size_t count, enum index_applied *how,
		     bool *here, bool *garbage);

#endif
