// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_row.c - rows of entries and of files. See index_row.h.
 *
 * Room: store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_row.h"

/* COLUMNS in index_db.c. */
enum index_column {
	COLUMN_KIND,
	COLUMN_BUCKET,
	COLUMN_KEY,
	COLUMN_UPLOAD,
	COLUMN_NUMBER,
	COLUMN_LSN,
	COLUMN_VERSION,
	COLUMN_GONE,
	COLUMN_AWAY,
	COLUMN_SIZE,
	COLUMN_MODIFIED,
	COLUMN_ETAG,
	COLUMN_META,
};

/* Parameters of SQL_ENTRY_PUT behind the five of the name. */
enum {
	PUT_VERSION = 6,
	PUT_GONE,
	PUT_AWAY,
	PUT_SIZE,
	PUT_MODIFIED,
	PUT_ETAG,
	PUT_META,
};

void index_row_bind_upload(sqlite3_stmt *statement, const struct index_name *name)
{
	sqlite3_bind_text(statement, 1, name->bucket, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 2, name->key, (int)strlen(name->key), SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)name->upload);
}

static void bind_name(sqlite3_stmt *statement, const struct index_name *name)
{
	sqlite3_bind_int(statement, 1, name->kind);
	sqlite3_bind_text(statement, 2, name->bucket, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 3, name->key, (int)strlen(name->key), SQLITE_STATIC);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)name->upload);
	sqlite3_bind_int64(statement, 5, name->number);
}

static void copy_text(char *to, size_t size, sqlite3_stmt *row, enum index_column column)
{
	const void *bytes = sqlite3_column_blob(row, column);
	size_t len = (size_t)sqlite3_column_bytes(row, column);

	if (len >= size)
		len = size - 1;
	if (len)
		memcpy(to, bytes, len);
	to[len] = '\0';
}

static void read_name(sqlite3_stmt *row, struct index_name *name)
{
	name->kind = (enum index_kind)sqlite3_column_int(row, COLUMN_KIND);
	copy_text(name->bucket, sizeof(name->bucket), row, COLUMN_BUCKET);
	copy_text(name->key, sizeof(name->key), row, COLUMN_KEY);
	name->upload = (uint64_t)sqlite3_column_int64(row, COLUMN_UPLOAD);
	name->number = (unsigned int)sqlite3_column_int(row, COLUMN_NUMBER);
}

static int read_meta(sqlite3_stmt *row, struct index_entry *entry)
{
	size_t bytes = (size_t)sqlite3_column_bytes(row, COLUMN_META);

	if (!bytes)
		return 0;
	entry->meta = malloc(bytes);
	if (!entry->meta)
		return -ENOMEM;
	memcpy(entry->meta, sqlite3_column_blob(row, COLUMN_META), bytes);
	entry->meta_bytes = bytes;
	return 0;
}

int index_row_read(sqlite3_stmt *row, bool meta, struct index_entry *entry)
{
	read_name(row, &entry->name);
	entry->lsn = (uint64_t)sqlite3_column_int64(row, COLUMN_LSN);
	entry->version = (uint64_t)sqlite3_column_int64(row, COLUMN_VERSION);
	entry->gone = sqlite3_column_int(row, COLUMN_GONE);
	entry->away = sqlite3_column_int(row, COLUMN_AWAY);
	entry->size_bytes = (uint64_t)sqlite3_column_int64(row, COLUMN_SIZE);
	entry->modified_ms = (uint64_t)sqlite3_column_int64(row, COLUMN_MODIFIED);
	copy_text(entry->etag, sizeof(entry->etag), row, COLUMN_ETAG);
	entry->meta = NULL;
	entry->meta_bytes = 0;
	return meta ? read_meta(row, entry) : 0;
}

static int find(struct index_db *db, const struct index_name *name, bool meta,
		struct index_entry *entry)
{
	sqlite3_stmt *statement = index_db_get(db, SQL_ENTRY_FIND);
	int got;

	bind_name(statement, name);
	got = index_db_step(db, statement);
	if (got != 1)
		return got ? got : -ENOENT;
	got = index_row_read(statement, meta, entry);
	sqlite3_reset(statement);
	return got;
}

int index_row_peek(struct index_db *db, const struct index_name *name, struct index_entry *entry)
{
	return find(db, name, false, entry);
}

int index_entry_find(struct index_db *db, const struct index_name *name, struct index_entry *entry)
{
	return find(db, name, true, entry);
}

int index_row_put(struct index_db *db, const struct index_entry *entry)
{
	sqlite3_stmt *put = index_db_get(db, SQL_ENTRY_PUT);

	bind_name(put, &entry->name);
	sqlite3_bind_int64(put, PUT_VERSION, (sqlite3_int64)entry->version);
	sqlite3_bind_int(put, PUT_GONE, entry->gone);
	sqlite3_bind_int(put, PUT_AWAY, entry->away);
	sqlite3_bind_int64(put, PUT_SIZE, (sqlite3_int64)entry->size_bytes);
	sqlite3_bind_int64(put, PUT_MODIFIED, (sqlite3_int64)entry->modified_ms);
	sqlite3_bind_text(put, PUT_ETAG, entry->etag, -1, SQLITE_STATIC);
	/* A NULL pointer would be NULL, not an empty one. */
	sqlite3_bind_blob(put, PUT_META, entry->meta_bytes ? entry->meta : "",
			  (int)entry->meta_bytes, SQLITE_STATIC);
	return index_db_step(db, put);
}

/* A statement about the parts of @upload. */
static int run_parts(struct index_db *db, enum index_sql sql, const struct index_name *upload)
{
	sqlite3_stmt *statement = index_db_get(db, sql);

	index_row_bind_upload(statement, upload);
	return index_db_step(db, statement);
}

int index_row_delete_parts(struct index_db *db, const struct index_name *upload, bool *garbage)
{
	int err = run_parts(db, SQL_FILE_RETIRE_PARTS, upload);

	if (err)
		return err;
	if (sqlite3_changes(db->handle) > 0) {
		*garbage = true;
		err = run_parts(db, SQL_FILE_DELETE_PARTS, upload);
	}
	return err ? err : run_parts(db, SQL_PART_DELETE_ALL, upload);
}

int index_file_insert(struct index_db *db, const struct index_file *file, uint64_t holder,
		      unsigned int seq)
{
	sqlite3_stmt *insert = index_db_get(db, SQL_FILE_INSERT);

	sqlite3_bind_int64(insert, 1, (sqlite3_int64)file->id);
	sqlite3_bind_int64(insert, 2, (sqlite3_int64)holder);
	sqlite3_bind_int64(insert, 3, seq);
	sqlite3_bind_int64(insert, 4, (sqlite3_int64)file->size_bytes);
	return index_db_step(db, insert);
}

int index_file_refuse(struct index_db *db, const struct index_file *file, bool *garbage)
{
	sqlite3_stmt *insert;

	if (!file->id)
		return 0;
	*garbage = true;
	insert = index_db_get(db, SQL_GARBAGE_INSERT);
	sqlite3_bind_int64(insert, 1, (sqlite3_int64)file->id);
	return index_db_step(db, insert);
}

int index_file_hand_over(struct index_db *db, uint64_t from, uint64_t to, unsigned int seq)
{
	sqlite3_stmt *update = index_db_get(db, SQL_FILE_HAND_OVER);

	sqlite3_bind_int64(update, 1, (sqlite3_int64)from);
	sqlite3_bind_int64(update, 2, (sqlite3_int64)to);
	sqlite3_bind_int64(update, 3, seq);
	return index_db_step(db, update);
}

int index_file_retire(struct index_db *db, uint64_t holder, bool *garbage)
{
	sqlite3_stmt *statement = index_db_get(db, SQL_FILE_RETIRE);
	int err;

	sqlite3_bind_int64(statement, 1, (sqlite3_int64)holder);
	err = index_db_step(db, statement);
	if (err || !sqlite3_changes(db->handle))
		return err;
	*garbage = true;
	statement = index_db_get(db, SQL_FILE_DELETE);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)holder);
	return index_db_step(db, statement);
}

int index_advance(struct index_db *db, uint64_t settled, uint64_t clock)
{
	sqlite3_stmt *advance = index_db_get(db, SQL_STATE_ADVANCE);

	sqlite3_bind_int64(advance, 1, (sqlite3_int64)settled);
	sqlite3_bind_int64(advance, 2, (sqlite3_int64)clock);
	return index_db_step(db, advance);
}
