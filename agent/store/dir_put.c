// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_put.c - an object, or a part of one, being written. See store.h.
 *
 * Room: store.
 *
 * Happy path: while the bytes go to a file (dir_file), and to the quorum's other nodes, the index
 * is asked whether the bucket, or the upload, exists at all; committed: the file is made durable,
 * here and on enough others; then it gets a version greater than any of theirs, and its row, here
 * and there at the same time; then `done`. Failure modes:
 * - Too few others are left: told by `failed` at once. A few less than all: nobody notices.
 * - There is no such bucket: told by `failed` long before a large body has come.
 * - The file or the row fails: the file is removed, what was there under the name stays.
 * - The commit of the row ends in doubt: the file stays for recovery to judge.
 * - Given up before the row: nothing stays. After: the row may come, and then nobody is told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/dir_inner.h"

struct check;
struct row;
struct dir_put;

static void begin_row_if_all(struct dir_put *put);

struct dir_put {
	LIST_ENTRY(dir_put) entry;
	struct dir *dir;
	struct store_put *owner;
	struct dir_file *file;
	struct quorum_copy *copy; /* on the other nodes; NULL: there are none */
	struct check *check;	  /* under way */
	struct row *row;	  /* under way */
	int err;		  /* that it cannot go on with, told by `failed` */
	bool committing;
	bool kept, copy_kept;	    /* durable here; on enough others */
	bool settled, copy_applied; /* has its row here; on enough others */
	uint64_t id;
	uint64_t began_ns;
	uint64_t bytes;		/* taken so far */
	struct index_name name; /* an object or a part */
	size_t meta_bytes;
	char meta[];
};

/* Asks whether what it is written to exists. */
struct check {
	struct dir_call call; /* first */
	struct dir_put *put;  /* on the loop only; NULL: given up */
};

/* Makes the row. Has its file until it is settled, so that the put may be given up meanwhile. */
struct row {
	struct dir_call call; /* first */
	struct dir_put *put;  /* on the loop only; NULL: given up */
	struct dir_file *file;
	struct index_file result;
	bool mirrored;
};

static void free_put(struct dir_put *put)
{
	LIST_REMOVE(put, entry);
	if (put->check)
		put->check->put = NULL;
	if (put->row)
		put->row->put = NULL;
	if (put->owner)
		put->owner->request.engine = NULL;
	/* Without a quorum its copies have gone with it. */
	if (put->copy && put->dir->quorum)
		put->dir->quorum->ops->copy_drop(put->copy);
	dir_file_drop(put->file);
	free(put);
}

static void finish(struct dir_put *put, int err)
{
	struct store_put *owner = put->owner;

	free_put(put);
	owner->request.done(&owner->request, err);
}

static void fail(struct dir_put *put, int err)
{
	if (put->err)
		return;
	put->err = err;
	if (put->committing)
		finish(put, err);
	else if (put->owner->failed)
		put->owner->failed(put->owner, err);
}

/* ---- is there a place for it? ---- */

static int run_check(struct index_call *base, struct index_db *db)
{
	struct check *check = LOOP_OWNER(base, struct check, call.base);
	const struct index_name *name = &check->call.applied.entry.name;

	return name->kind == INDEX_PART ? index_upload_live(db, name)
					: index_bucket_live(db, name->bucket);
}

static void took_check(struct dir_call *call, int err)
{
	struct check *check = LOOP_OWNER(call, struct check, call);
	struct dir_put *put = check->put;

	dir_call_free(call);
	if (!put)
		return;
	put->check = NULL;
	if (!err) {
		/* A small one may be on its way to its row already. */
		if (put->file)
			dir_file_open(put->file);
		begin_row_if_all(put);
		return;
	}
	dir_file_drop(put->file);
	put->file = NULL;
	if (put->committing)
		finish(put, err);
	else
		fail(put, err);
}

static int begin_check(struct dir_put *put)
{
	struct check *check = dir_call_new(put->dir, sizeof(*check), NULL, run_check, took_check);
	int err;

	if (!check)
		return -ENOMEM;
	check->call.applied.entry.name = put->name;
	check->put = put;
	err = dir_call_submit(&check->call);
	if (!err)
		put->check = check;
	return err;
}

/* ---- the row ---- */

/*
 * What a peer has put there a moment later may have come first: then that stands, and ours has been
 * acknowledged and overwritten.
 */
static int take_own(struct row *row, struct index_db *db)
{
	const struct index_entry *entry = &row->call.applied.entry;
	enum index_applied how;
	int err = index_entry_apply(db, entry, &row->result, &how, &row->call.garbage);

	if (!err && how == INDEX_STALE && entry->name.kind == INDEX_PART)
		err = index_upload_live(db, &entry->name);
	return err;
}

static int run_row(struct index_call *base, struct index_db *db)
{
	struct row *row = LOOP_OWNER(base, struct row, call.base);
	struct index_change *change = &row->call.applied;

	if (row->mirrored)
		return take_own(row, db);
	if (change->entry.name.kind == INDEX_PART)
		return index_part_put(db, change, &row->result, &row->call.garbage);
	return index_object_put(db, change, &row->result, &row->call.garbage);
}

static void finish_if_all(struct dir_put *put)
{
	if (put->settled && (!put->copy || put->copy_applied))
		finish(put, 0);
}

static void took_row(struct dir_call *call, int err)
{
	struct row *row = LOOP_OWNER(call, struct row, call);
	const struct index_entry *entry = &call->applied.entry;
	struct dir_put *put = row->put;

	dir_row_settle(call, row->file, err);
	if (put) {
		put->row = NULL;
		memcpy(put->owner->etag, entry->etag, sizeof(put->owner->etag));
		put->owner->modified_ms = entry->modified_ms;
	}
	dir_call_free(call);
	if (put && err)
		finish(put, err);
	if (!put || err)
		return;
	put->settled = true;
	finish_if_all(put);
}

/* What will stand in the row. */
static int fill_row(struct row *row, const struct dir_put *put)
{
	const struct store_meta meta = {.pairs = put->meta, .bytes = put->meta_bytes};
	struct index_entry *entry = &row->call.applied.entry;
	int err = dir_call_meta(&row->call, &meta);

	row->result = dir_file_result(put->file);
	entry->name = put->name;
	entry->size_bytes = row->result.size_bytes;
	dir_call_decide(&row->call);
	dir_call_stamp(&row->call);
	/* The check has caught up; the others are told by the copy. */
	row->call.local = true;
	row->mirrored = put->copy != NULL;
	return err ? err : dir_file_etag(put->file, entry->etag);
}

static int begin_row(struct dir_put *put)
{
	struct row *row = dir_call_new(put->dir, sizeof(*row), NULL, run_row, took_row);
	int err;

	if (!row)
		return -ENOMEM;
	row->put = put;
	row->file = put->file;
	err = fill_row(row, put);
	if (!err && put->copy)
		err = put->dir->quorum->ops->copy_commit(put->copy, &row->call.applied.entry);
	if (err) {
		dir_call_free(&row->call);
		return err;
	}
	err = dir_call_submit(&row->call);
	if (err)
		return err;
	put->row = row;
	put->file = NULL; /* the row's now */
	return 0;
}

/* ---- the bytes ---- */

static void begin_row_if_all(struct dir_put *put)
{
	int err;

	if (!put->kept || put->row || (put->copy && (!put->copy_kept || put->check)))
		return;
	err = begin_row(put);
	if (err)
		finish(put, err);
}

static void on_room(void *ctx)
{
	struct dir_put *put = ctx;

	if (put->owner->writable)
		put->owner->writable(put->owner);
}

static void on_failed(void *ctx, int err)
{
	fail(ctx, err);
}

static void on_kept(void *ctx, int err)
{
	struct dir_put *put = ctx;

	if (err) {
		finish(put, err);
		return;
	}
	put->kept = true;
	begin_row_if_all(put);
}

static void on_copy_kept(void *ctx)
{
	struct dir_put *put = ctx;

	put->copy_kept = true;
	begin_row_if_all(put);
}

static void on_copy_applied(void *ctx)
{
	struct dir_put *put = ctx;

	put->copy_applied = true;
	finish_if_all(put);
}

static const struct quorum_copy_events copy_events = {
	.room = on_room,
	.failed = on_failed,
	.kept = on_copy_kept,
	.applied = on_copy_applied,
};

static const struct dir_file_events file_events = {
	.room = on_room,
	.failed = on_failed,
	.kept = on_kept,
};

static struct dir_put *new_put(struct dir *dir, const char *bucket, const char *key,
			       const struct store_meta *meta, struct store_put *owner)
{
	size_t meta_bytes = meta ? meta->bytes : 0;
	struct dir_put *put = calloc(1, sizeof(*put) + meta_bytes);

	if (!put)
		return NULL;
	put->dir = dir;
	put->owner = owner;
	put->id = ++dir->put_ids;
	put->began_ns = loop_now_ns(dir->loop);
	put->name.kind = INDEX_OBJECT;
	/* store.c has looked at their lengths. */
	(void)!dir_copy(put->name.bucket, sizeof(put->name.bucket), bucket);
	(void)!dir_copy(put->name.key, sizeof(put->name.key), key);
	put->meta_bytes = meta_bytes;
	if (meta_bytes)
		memcpy(put->meta, meta->pairs, meta_bytes);
	LIST_INSERT_HEAD(&dir->puts, put, entry);
	owner->request.engine = put;
	return put;
}

static int start(struct dir_put *put)
{
	uint64_t expected_bytes = put->owner->expected_bytes;
	struct quorum *quorum = put->dir->quorum;
	int err = dir_file_begin(put->dir, &file_events, put, expected_bytes, &put->file);

	if (!err && quorum)
		err = quorum->ops->copy(quorum, &put->name, expected_bytes, &copy_events, put,
					&put->copy);
	if (!err)
		err = begin_check(put);
	if (err)
		free_put(put);
	return err;
}

int dir_put_begin(struct store *store, const char *bucket, const char *key,
		  const struct store_meta *meta, struct store_put *owner)
{
	struct dir_put *put = new_put(dir_of(store), bucket, key, meta, owner);

	return put ? start(put) : -ENOMEM;
}

int dir_part_begin(struct store *store, const char *bucket, const char *key, const char *upload,
		   unsigned int number, struct store_put *owner)
{
	uint64_t id = shelf_parse(upload);
	struct dir_put *put;

	if (!id)
		return -ENOENT;
	put = new_put(dir_of(store), bucket, key, NULL, owner);
	if (!put)
		return -ENOMEM;
	put->name.kind = INDEX_PART;
	put->name.upload = id;
	put->name.number = number;
	return start(put);
}

static uint64_t written_bytes(const struct dir_put *put)
{
	return dir_file_result(put->file).size_bytes;
}

int dir_put_write(struct store *store, struct store_put *owner, const void *data, size_t len)
{
	struct dir_put *put = owner->request.engine;
	int err = 0;

	(void)store;
	if (!put || put->committing)
		return -EINVAL;
	if (put->err)
		return put->err;
	if (owner->expected_bytes && len > owner->expected_bytes - written_bytes(put))
		return -EINVAL;
	if (put->copy && dir_file_has_room(put->file, len))
		err = put->dir->quorum->ops->copy_write(put->copy, data, len);
	if (!err)
		err = dir_file_write(put->file, data, len);
	if (!err)
		put->bytes += len;
	return err;
}

int dir_put_commit(struct store *store, struct store_put *owner)
{
	struct dir_put *put = owner->request.engine;
	int err;

	(void)store;
	if (!put || put->committing)
		return -EINVAL;
	err = put->err;
	if (!err && owner->expected_bytes && written_bytes(put) != owner->expected_bytes)
		err = -EINVAL;
	if (err) {
		free_put(put);
		return err;
	}
	put->committing = true;
	dir_file_keep(put->file);
	if (put->copy)
		put->dir->quorum->ops->copy_keep(put->copy);
	return 0;
}

void dir_put_abort(struct store *store, struct store_put *owner)
{
	(void)store;
	if (owner->request.engine)
		free_put(owner->request.engine);
}

void dir_put_close_all(struct dir *dir)
{
	struct dir_put *put, *next;

	for (put = LIST_FIRST(&dir->puts); put; put = next) {
		next = LIST_NEXT(put, entry);
		/* The index is closed: its calls are gone. A row's file is dir_file's to end. */
		put->check = NULL;
		put->row = NULL;
		/* And the quorum, with its copies. */
		put->copy = NULL;
		free_put(put);
	}
}

/* ---- for people ---- */

static void describe(const struct dir_put *put, struct dir_upload *upload)
{
	*upload = (struct dir_upload){
		.id = put->id,
		.bucket = put->name.bucket,
		.key = put->name.key,
		.part = put->name.number,
		.expected_bytes = put->owner->expected_bytes,
		.began_ns = put->began_ns,
		.committing = put->committing,
		.bytes = put->bytes,
	};
	if (put->copy && put->dir->quorum)
		upload->replica_count = put->dir->quorum->ops->copy_replicas(
			put->copy, upload->replicas, QUORUM_OTHERS_MAX);
}

void dir_upload_each(struct store *store, void (*visit)(void *ctx, const struct dir_upload *upload),
		     void *ctx)
{
	const struct dir_put *put;
	struct dir_upload upload;

	LIST_FOREACH(put, &dir_of(store)->puts, entry) {
		describe(put, &upload);
		visit(ctx, &upload);
	}
}

int dir_upload_cancel(struct store *store, uint64_t id)
{
	struct dir_put *put;

	LIST_FOREACH(put, &dir_of(store)->puts, entry) {
		if (put->id != id)
			continue;
		fail(put, -ECANCELED);
		return 0;
	}
	return -ENOENT;
}
