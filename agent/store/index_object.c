// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_object.c - rows of buckets and objects. See index_object.h.
 *
 * Room: store. Every function is a part of its caller's transaction: what it did before it failed
 * is rolled back there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_object.h"
#include "store/index_upload.h"

void index_found_free(struct index_found *found)
{
	free(found->meta);
	free(found->files);
	found->meta = NULL;
	found->files = NULL;
}

int64_t index_bucket_id(struct index_db *db, const char *bucket)
{
	sqlite3_stmt *find = index_db_get(db, SQL_BUCKET_ID);
	int64_t id;
	int got;

	sqlite3_bind_text(find, 1, bucket, -1, SQLITE_STATIC);
	got = index_db_step(db, find);
	if (got != 1)
		return got ? got : -ENOENT;
	id = sqlite3_column_int64(find, 0);
	sqlite3_reset(find);
	return id;
}

int index_bucket_create(struct index_db *db, const char *bucket, uint64_t created_ms)
{
	sqlite3_stmt *insert = index_db_get(db, SQL_BUCKET_INSERT);

	sqlite3_bind_text(insert, 1, bucket, -1, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 2, (sqlite3_int64)created_ms);
	return index_db_step(db, insert);
}

int index_bucket_delete(struct index_db *db, const char *bucket, bool *garbage)
{
	int64_t id = index_bucket_id(db, bucket);
	sqlite3_stmt *statement;
	int got;

	if (id < 0)
		return (int)id;
	statement = index_db_get(db, SQL_BUCKET_USED);
	sqlite3_bind_int64(statement, 1, id);
	got = index_db_step(db, statement);
	sqlite3_reset(statement);
	if (got)
		return got < 0 ? got : -ENOTEMPTY;
	got = index_upload_delete_all(db, id, garbage);
	if (got)
		return got;
	statement = index_db_get(db, SQL_BUCKET_DELETE);
	sqlite3_bind_int64(statement, 1, id);
	return index_db_step(db, statement);
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

int index_advance(struct index_db *db, uint64_t settled, uint64_t clock)
{
	sqlite3_stmt *advance = index_db_get(db, SQL_STATE_ADVANCE);

	sqlite3_bind_int64(advance, 1, (sqlite3_int64)settled);
	sqlite3_bind_int64(advance, 2, (sqlite3_int64)clock);
	return index_db_step(db, advance);
}

int index_holder_retire(struct index_db *db, uint64_t holder, bool *garbage)
{
	sqlite3_stmt *retire = index_db_get(db, SQL_FILE_RETIRE);
	sqlite3_stmt *forget;
	int err;

	sqlite3_bind_int64(retire, 1, (sqlite3_int64)holder);
	err = index_db_step(db, retire);
	if (err)
		return err;
	*garbage = *garbage || sqlite3_changes(db->handle) > 0;
	forget = index_db_get(db, SQL_FILE_DELETE);
	sqlite3_bind_int64(forget, 1, (sqlite3_int64)holder);
	return index_db_step(db, forget);
}

static sqlite3_stmt *bind_place(struct index_db *db, enum index_sql sql, int64_t bucket,
				const char *key)
{
	sqlite3_stmt *statement = index_db_get(db, sql);

	sqlite3_bind_int64(statement, 1, bucket);
	sqlite3_bind_blob(statement, 2, key, (int)strlen(key), SQLITE_STATIC);
	return statement;
}

int index_object_retire(struct index_db *db, int64_t bucket, const char *key, bool *garbage)
{
	sqlite3_stmt *find = bind_place(db, SQL_OBJECT_FIND, bucket, key);
	sqlite3_stmt *delete;
	uint64_t version;
	int got = index_db_step(db, find);

	if (got != 1)
		return got ? got : -ENOENT;
	version = (uint64_t)sqlite3_column_int64(find, 0);
	sqlite3_reset(find);
	got = index_holder_retire(db, version, garbage);
	if (got)
		return got;
	delete = index_db_get(db, SQL_OBJECT_DELETE);
	sqlite3_bind_int64(delete, 1, (sqlite3_int64)version);
	return index_db_step(db, delete);
}

int index_object_insert(struct index_db *db, int64_t bucket, const char *key,
			const struct index_record *record, const struct store_meta *meta)
{
	sqlite3_stmt *insert = index_db_get(db, SQL_OBJECT_INSERT);

	sqlite3_bind_int64(insert, 1, (sqlite3_int64)record->version);
	sqlite3_bind_int64(insert, 2, bucket);
	sqlite3_bind_blob(insert, 3, key, (int)strlen(key), SQLITE_STATIC);
	sqlite3_bind_int64(insert, 4, (sqlite3_int64)record->size_bytes);
	sqlite3_bind_int64(insert, 5, (sqlite3_int64)record->modified_ms);
	sqlite3_bind_text(insert, 6, record->etag, -1, SQLITE_STATIC);
	/* A NULL pointer would be NULL, not an empty one. */
	sqlite3_bind_blob(insert, 7, meta->bytes ? meta->pairs : "", (int)meta->bytes,
			  SQLITE_STATIC);
	return index_db_step(db, insert);
}

int index_object_put(struct index_db *db, const struct index_place *place,
		     const struct index_record *record, const struct store_meta *meta,
		     bool *garbage)
{
	int64_t bucket = index_bucket_id(db, place->bucket);
	int err;

	if (bucket < 0)
		return (int)bucket;
	err = index_object_retire(db, bucket, place->key, garbage);
	if (err && err != -ENOENT)
		return err;
	err = index_object_insert(db, bucket, place->key, record, meta);
	if (!err && record->file.id)
		err = index_file_insert(db, &record->file, record->version, 0);
	return err ? err : index_advance(db, record->settled, record->version);
}

static int copy_meta(struct index_found *found, sqlite3_stmt *row, int column)
{
	found->meta_bytes = (size_t)sqlite3_column_bytes(row, column);
	if (!found->meta_bytes)
		return 0;
	found->meta = malloc(found->meta_bytes);
	if (!found->meta)
		return -ENOMEM;
	memcpy(found->meta, sqlite3_column_blob(row, column), found->meta_bytes);
	return 0;
}

static int add_file(struct index_found *found, const struct index_file *file)
{
	struct index_file *grown = found->files;

	/* Room for 1, 2, 4 ... */
	if (!(found->file_count & (found->file_count - 1)) || !grown)
		grown = realloc(grown,
				(found->file_count ? 2 * found->file_count : 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	found->files = grown;
	grown[found->file_count++] = *file;
	return 0;
}

static int find_files(struct index_db *db, struct index_found *found)
{
	sqlite3_stmt *list = index_db_get(db, SQL_FILE_LIST);
	struct index_file file;
	int got, err;

	sqlite3_bind_int64(list, 1, (sqlite3_int64)found->version);
	while ((got = index_db_step(db, list)) == 1) {
		file.id = (uint64_t)sqlite3_column_int64(list, 0);
		file.size_bytes = (uint64_t)sqlite3_column_int64(list, 1);
		err = add_file(found, &file);
		if (err)
			return err;
	}
	return got;
}

int index_object_find(struct index_db *db, const struct index_place *place,
		      struct index_found *found)
{
	int64_t bucket = index_bucket_id(db, place->bucket);
	sqlite3_stmt *find;
	int err;

	if (bucket < 0)
		return (int)bucket;
	find = bind_place(db, SQL_OBJECT_FIND, bucket, place->key);
	err = index_db_step(db, find);
	if (err != 1)
		return err ? err : -ENOENT;
	*found = (struct index_found){
		.version = (uint64_t)sqlite3_column_int64(find, 0),
		.size_bytes = (uint64_t)sqlite3_column_int64(find, 1),
		.modified_ms = (uint64_t)sqlite3_column_int64(find, 2),
	};
	snprintf(found->etag, sizeof(found->etag), "%s",
		 (const char *)sqlite3_column_text(find, 3));
	err = copy_meta(found, find, 4);
	sqlite3_reset(find);
	if (!err)
		err = find_files(db, found);
	if (err)
		index_found_free(found);
	return err;
}
