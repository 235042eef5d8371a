// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_entry.c - registers that the last writer wins. See index_entry.h.
 *
 * Room: store.
 *
 * A version is given out once, so two entries of one name and version are the same write, and the
 * higher one is what all nodes end with, in whatever order they hear. What a write entails for
 * others (a bucket for its uploads, an upload for its parts) is done here again on each node, so
 * that it need not be told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_entry.h"
#include "store/index_row.h"

static const struct index_file no_file;

void index_entry_free(struct index_entry *entry)
{
	free(entry->meta);
	entry->meta = NULL;
	entry->meta_bytes = 0;
}

void index_change_free(struct index_change *change)
{
	index_entry_free(&change->entry);
	free(change->parts);
	change->parts = NULL;
	change->part_count = 0;
}

static bool is_number(uint64_t value)
{
	return value && value < INT64_MAX;
}

static bool is_name(const struct index_name *name)
{
	if (!name->bucket[0] || (name->kind != INDEX_BUCKET) != !!name->key[0])
		return false;
	switch (name->kind) {
	case INDEX_BUCKET:
	case INDEX_OBJECT:
		return !name->upload && !name->number;
	case INDEX_UPLOAD:
		return is_number(name->upload) && !name->number;
	case INDEX_PART:
		return is_number(name->upload) && name->number && name->number <= STORE_PARTS_MAX;
	}
	return false;
}

static bool has_bytes(const struct index_entry *entry)
{
	return !entry->gone && entry->size_bytes &&
	       (entry->name.kind == INDEX_OBJECT || entry->name.kind == INDEX_PART);
}

static bool is_entry(const struct index_entry *entry, const struct index_file *file)
{
	if (!is_name(&entry->name) || !is_number(entry->version) ||
	    entry->size_bytes > STORE_OBJECT_BYTES_MAX || entry->meta_bytes > STORE_META_BYTES_MAX)
		return false;
	if (entry->name.kind == INDEX_PART && entry->gone)
		return false;
	if (entry->name.kind == INDEX_UPLOAD && !entry->gone &&
	    entry->version != entry->name.upload)
		return false;
	return !file->id || (has_bytes(entry) && file->size_bytes == entry->size_bytes);
}

/* 0: @ours is what is here; its version is 0 when nothing is. */
static int peek(struct index_db *db, const struct index_name *name, struct index_entry *ours)
{
	int err = index_row_peek(db, name, ours);

	if (err == -ENOENT)
		*ours = (struct index_entry){.name = *name};
	return err == -ENOENT ? 0 : err;
}

static struct index_name bucket_of(const struct index_name *name)
{
	struct index_name bucket = {.kind = INDEX_BUCKET};

	memcpy(bucket.bucket, name->bucket, sizeof(bucket.bucket));
	return bucket;
}

static struct index_name upload_of(const struct index_name *name, uint64_t upload)
{
	struct index_name found = *name;

	found.kind = INDEX_UPLOAD;
	found.upload = upload;
	found.number = 0;
	return found;
}

static int put_tombstone(struct index_db *db, const struct index_name *name, uint64_t version,
			 uint64_t modified_ms)
{
	const struct index_entry tombstone = {
		.name = *name,
		.version = version,
		.gone = true,
		.modified_ms = modified_ms,
	};

	return index_row_put(db, &tombstone);
}

/* ---- what a write entails ---- */

/* The bucket is alive in spite of @tombstone: the same row on every node that comes to say so. */
static int outlive(struct index_db *db, const struct index_entry *tombstone)
{
	const struct index_entry bucket = {
		.name = tombstone->name,
		.version = tombstone->version + 1,
		.modified_ms = tombstone->modified_ms,
	};

	return index_row_put(db, &bucket);
}

/* A live object or upload: its bucket lives. */
static int enliven(struct index_db *db, const struct index_entry *cause)
{
	struct index_entry bucket;
	struct index_name name = bucket_of(&cause->name);
	int err = peek(db, &name, &bucket);

	if (err || (bucket.version && !bucket.gone))
		return err;
	if (bucket.gone)
		return outlive(db, &bucket);
	/* How it was made is news to us: whatever we shall hear of it is newer. */
	bucket.version = 1;
	bucket.modified_ms = cause->modified_ms;
	return index_row_put(db, &bucket);
}

/* The upload ends at @version, unless it has ended later; its parts go. */
static int end_upload(struct index_db *db, const struct index_name *name, uint64_t version,
		      uint64_t modified_ms, bool *garbage)
{
	struct index_entry ours;
	int err = peek(db, name, &ours);

	if (err)
		return err;
	if (ours.version < version)
		err = put_tombstone(db, name, version, modified_ms);
	else if (!ours.gone)
		return 0;
	return err ? err : index_row_delete_parts(db, name, garbage);
}

/* The next live upload to the bucket of *name behind *name. 1, 0: there is none, negative errno. */
static int next_upload(struct index_db *db, struct index_name *name)
{
	sqlite3_stmt *list = index_db_get(db, SQL_UPLOAD_LIST);
	size_t key_bytes;
	int got;

	index_row_bind_upload(list, name);
	got = index_db_step(db, list);
	if (got != 1)
		return got;
	key_bytes = (size_t)sqlite3_column_bytes(list, 0);
	memcpy(name->key, sqlite3_column_blob(list, 0), key_bytes);
	name->key[key_bytes] = '\0';
	name->upload = (uint64_t)sqlite3_column_int64(list, 1);
	sqlite3_reset(list);
	return 1;
}

static int end_uploads(struct index_db *db, const struct index_entry *bucket, bool *garbage)
{
	struct index_name name = upload_of(&bucket->name, 0);
	int got, err;

	for (;;) {
		got = next_upload(db, &name);
		if (got != 1)
			return got;
		err = end_upload(db, &name, bucket->version, bucket->modified_ms, garbage);
		if (err)
			return err;
	}
}

/*
 * An upload that has become an object whose bytes are away: whoever tells of the parts that it was
 * made of, in which order, will find them. 1: so it is, 0, or negative errno.
 */
static int is_awaited(struct index_db *db, const struct index_entry *upload)
{
	struct index_entry object;
	struct index_name name = upload->name;
	int err;

	name.kind = INDEX_OBJECT;
	name.upload = 0;
	err = peek(db, &name, &object);
	if (err)
		return err;
	return object.version == upload->version && !object.gone && object.away;
}

static int end_parts(struct index_db *db, const struct index_entry *upload, bool *garbage)
{
	int awaited = is_awaited(db, upload);

	if (awaited)
		return awaited < 0 ? awaited : 0;
	return index_row_delete_parts(db, &upload->name, garbage);
}

/* @object, which was away, is here, or no more: nobody needs the parts that it was made of. */
static int drop_parts_of(struct index_db *db, const struct index_entry *object, bool *garbage)
{
	struct index_name name = object->name;
	sqlite3_stmt *find;
	int got;

	if (object->name.kind != INDEX_OBJECT || !object->away)
		return 0;
	name.kind = INDEX_UPLOAD;
	find = index_db_get(db, SQL_UPLOAD_ENDED);
	sqlite3_bind_text(find, 1, name.bucket, -1, SQLITE_STATIC);
	sqlite3_bind_blob(find, 2, name.key, (int)strlen(name.key), SQLITE_STATIC);
	sqlite3_bind_int64(find, 3, (sqlite3_int64)object->version);
	got = index_db_step(db, find);
	if (got != 1)
		return got;
	name.upload = (uint64_t)sqlite3_column_int64(find, 0);
	sqlite3_reset(find);
	return index_row_delete_parts(db, &name, garbage);
}

static int follow_up(struct index_db *db, const struct index_entry *entry, bool *garbage)
{
	switch (entry->name.kind) {
	case INDEX_BUCKET:
		return entry->gone ? end_uploads(db, entry, garbage) : 0;
	case INDEX_OBJECT:
		return entry->gone ? 0 : enliven(db, entry);
	case INDEX_UPLOAD:
		return entry->gone ? end_parts(db, entry, garbage) : enliven(db, entry);
	case INDEX_PART:
		return 0;
	}
	return 0;
}

/* ---- whether it may be ---- */

/* 0, or -ENOTEMPTY: something in it lives on, and so does the bucket. */
static int judge_bucket(struct index_db *db, const struct index_entry *bucket)
{
	sqlite3_stmt *held;
	int got, err;

	if (!bucket->gone)
		return 0;
	held = index_db_get(db, SQL_BUCKET_HELD);
	sqlite3_bind_text(held, 1, bucket->name.bucket, -1, SQLITE_STATIC);
	sqlite3_bind_int64(held, 2, (sqlite3_int64)bucket->version);
	got = index_db_step(db, held);
	sqlite3_reset(held);
	if (got <= 0)
		return got;
	err = outlive(db, bucket);
	return err ? err : -ENOTEMPTY;
}

/* *how is INDEX_STALE when it ended with its bucket; it must be known all the same, for its parts.
 */
static int judge_upload(struct index_db *db, const struct index_entry *upload,
			enum index_applied *how)
{
	struct index_name name = bucket_of(&upload->name);
	struct index_entry bucket;
	int err = upload->gone ? 0 : peek(db, &name, &bucket);

	if (err || upload->gone || !bucket.gone || bucket.version < upload->version)
		return err;
	*how = INDEX_STALE;
	return put_tombstone(db, &upload->name, bucket.version, bucket.modified_ms);
}

static int judge_part(struct index_db *db, const struct index_entry *part, enum index_applied *how)
{
	struct index_name name = upload_of(&part->name, part->name.upload);
	struct index_entry upload;
	int err = index_row_peek(db, &name, &upload);

	if (!err && upload.gone)
		*how = INDEX_STALE;
	return err;
}

/* *how is INDEX_NEWER, or becomes INDEX_STALE. */
static int judge(struct index_db *db, const struct index_entry *entry, enum index_applied *how)
{
	switch (entry->name.kind) {
	case INDEX_BUCKET:
		return judge_bucket(db, entry);
	case INDEX_OBJECT:
		return 0;
	case INDEX_UPLOAD:
		return judge_upload(db, entry, how);
	case INDEX_PART:
		return judge_part(db, entry, how);
	}
	return -EINVAL;
}

/* ---- the merge rule ---- */

static int take(struct index_db *db, const struct index_entry *ours,
		const struct index_entry *entry, const struct index_file *file, bool *garbage)
{
	struct index_entry fresh = *entry;
	int err = 0;

	fresh.away = has_bytes(entry) && !file->id;
	if (entry->gone) {
		fresh.size_bytes = 0;
		fresh.etag[0] = '\0';
		fresh.meta = NULL;
		fresh.meta_bytes = 0;
	}
	if (has_bytes(ours) && !ours->away)
		err = index_file_retire(db, ours->version, garbage);
	if (!err)
		err = drop_parts_of(db, ours, garbage);
	if (!err)
		err = index_row_put(db, &fresh);
	if (!err && file->id)
		err = index_file_insert(db, file, entry->version, 0);
	return err ? err : follow_up(db, entry, garbage);
}

static int mark_here(struct index_db *db, const struct index_entry *ours)
{
	sqlite3_stmt *here = index_db_get(db, SQL_ENTRY_HERE);

	sqlite3_bind_int64(here, 1, (sqlite3_int64)ours->lsn);
	return index_db_step(db, here);
}

/* The same version: @file is what is missing, or not needed. */
static int fill_in(struct index_db *db, const struct index_entry *ours,
		   const struct index_file *file, bool *garbage)
{
	int err;

	if (!file->id || !ours->away)
		return index_file_refuse(db, file, garbage);
	if (file->size_bytes != ours->size_bytes)
		return -EINVAL;
	err = index_file_insert(db, file, ours->version, 0);
	if (!err)
		err = drop_parts_of(db, ours, garbage);
	return err ? err : mark_here(db, ours);
}

static enum index_applied compare(const struct index_entry *entry, const struct index_entry *ours)
{
	if (entry->version == ours->version)
		return INDEX_SAME;
	return entry->version > ours->version ? INDEX_NEWER : INDEX_STALE;
}

int index_entry_apply(struct index_db *db, const struct index_entry *entry,
		      const struct index_file *file, enum index_applied *how, bool *garbage)
{
	struct index_entry ours;
	int err;

	if (!file)
		file = &no_file;
	if (!is_entry(entry, file))
		return -EINVAL;
	err = peek(db, &entry->name, &ours);
	if (err)
		return err;
	*how = compare(entry, &ours);
	if (*how == INDEX_NEWER)
		err = judge(db, entry, how);
	if (err)
		return err;
	if (*how == INDEX_NEWER)
		err = take(db, &ours, entry, file, garbage);
	else if (*how == INDEX_SAME)
		err = fill_in(db, &ours, file, garbage);
	else
		err = index_file_refuse(db, file, garbage);
	return err ? err : index_advance(db, file->settled, entry->version);
}

/* ---- an object made of parts ---- */

static bool is_joint(const struct index_entry *object, uint64_t upload,
		     const struct index_part_ref *parts, size_t count)
{
	uint64_t bytes = 0;
	unsigned int last = 0;
	size_t i;

	if (!is_entry(object, &no_file) || object->name.kind != INDEX_OBJECT || object->gone ||
	    !is_number(upload) || upload >= object->version || count > STORE_PARTS_MAX)
		return false;
	for (i = 0; i < count; i++) {
		if (parts[i].number <= last || parts[i].size_bytes > STORE_OBJECT_BYTES_MAX)
			return false;
		last = parts[i].number;
		bytes += parts[i].size_bytes;
	}
	return !count || bytes == object->size_bytes;
}

/* 1: the part's file is the object's now, 0: it is not here in that version; negative errno. */
static int take_part(struct index_db *db, const struct index_name *name,
		     const struct index_part_ref *ref, uint64_t object, unsigned int seq)
{
	struct index_entry part;
	int err = peek(db, name, &part);

	if (err)
		return err;
	if (part.version != ref->version || part.size_bytes != ref->size_bytes || part.away)
		return 0;
	err = index_file_hand_over(db, ref->version, object, seq);
	return err ? err : 1;
}

/* 1: all of the object is here, 0: it is not, and no part is its; negative errno. */
static int take_parts(struct index_db *db, const struct index_entry *object, uint64_t upload,
		      const struct index_part_ref *parts, size_t count, bool *garbage)
{
	struct index_name name = object->name;
	size_t i;
	int got = 1;

	if (!object->size_bytes)
		return 1;
	if (!count)
		return 0;
	name.kind = INDEX_PART;
	name.upload = upload;
	for (i = 0; i < count && got == 1; i++) {
		name.number = parts[i].number;
		got = take_part(db, &name, &parts[i], object->version, (unsigned int)i);
	}
	return got ? got : index_file_retire(db, object->version, garbage);
}

static int join_newer(struct index_db *db, const struct index_entry *ours,
		      const struct index_entry *object, bool whole, bool *garbage)
{
	struct index_entry fresh = *object;
	int err = 0;

	fresh.away = !whole;
	if (has_bytes(ours) && !ours->away)
		err = index_file_retire(db, ours->version, garbage);
	if (!err)
		err = drop_parts_of(db, ours, garbage);
	if (!err)
		err = index_row_put(db, &fresh);
	return err ? err : enliven(db, object);
}

int index_entry_join(struct index_db *db, const struct index_entry *object, uint64_t upload,
		     const struct index_part_ref *parts, size_t count, enum index_applied *how,
		     bool *here, bool *garbage)
{
	struct index_name name = upload_of(&object->name, upload);
	struct index_entry ours;
	int err, got = 0;

	if (!is_joint(object, upload, parts, count))
		return -EINVAL;
	err = peek(db, &object->name, &ours);
	if (err)
		return err;
	*how = compare(object, &ours);
	*here = *how == INDEX_SAME && !ours.away;
	if ((count || !object->size_bytes) &&
	    (*how == INDEX_NEWER || (*how == INDEX_SAME && ours.away))) {
		got = take_parts(db, object, upload, parts, count, garbage);
		if (got < 0)
			return got;
		*here = got;
	}
	if (*how == INDEX_NEWER)
		err = join_newer(db, &ours, object, *here, garbage);
	else if (got)
		err = mark_here(db, &ours);
	/* Who does not know the parts must not be the end of them: they may be all that there is.
	 */
	if (!err && (count || *here))
		err = end_upload(db, &name, object->version, object->modified_ms, garbage);
	return err ? err : index_advance(db, 0, object->version);
}
