// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_upload.c - rows of uploads in parts. See index_upload.h.
 *
 * Room: store. A part's file is held by the upload until the object takes it over.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_upload.h"

enum { MD5_BYTES = 16, MD5_HEX = 2 * MD5_BYTES };

static sqlite3_stmt *bind_upload(struct index_db *db, uint64_t id, int64_t bucket, const char *key)
{
	sqlite3_stmt *find = index_db_get(db, SQL_UPLOAD_FIND);

	sqlite3_bind_int64(find, 1, (sqlite3_int64)id);
	sqlite3_bind_int64(find, 2, bucket);
	sqlite3_bind_blob(find, 3, key, (int)strlen(key), SQLITE_STATIC);
	return find;
}

int index_upload_begin(struct index_db *db, const struct index_place *place, uint64_t id,
		       uint64_t began_ms, const struct store_meta *meta)
{
	int64_t bucket = index_bucket_id(db, place->bucket);
	sqlite3_stmt *insert;
	int err;

	if (bucket < 0)
		return (int)bucket;
	insert = index_db_get(db, SQL_UPLOAD_INSERT);
	sqlite3_bind_int64(insert, 1, (sqlite3_int64)id);
	sqlite3_bind_int64(insert, 2, bucket);
	sqlite3_bind_blob(insert, 3, place->key, (int)strlen(place->key), SQLITE_STATIC);
	sqlite3_bind_int64(insert, 4, (sqlite3_int64)began_ms);
	sqlite3_bind_blob(insert, 5, meta->bytes ? meta->pairs : "", (int)meta->bytes,
			  SQLITE_STATIC);
	err = index_db_step(db, insert);
	return err ? err : index_advance(db, 0, id);
}

int index_upload_find(struct index_db *db, const struct index_place *place, uint64_t id)
{
	int64_t bucket = index_bucket_id(db, place->bucket);
	sqlite3_stmt *find;
	int got;

	if (bucket < 0)
		return (int)bucket;
	find = bind_upload(db, id, bucket, place->key);
	got = index_db_step(db, find);
	sqlite3_reset(find);
	if (got == 1)
		return 0;
	return got ? got : -ENOENT;
}

static int retire_file(struct index_db *db, uint64_t file, bool *garbage)
{
	sqlite3_stmt *statement = index_db_get(db, SQL_FILE_RETIRE_ONE);
	int err;

	sqlite3_bind_int64(statement, 1, (sqlite3_int64)file);
	err = index_db_step(db, statement);
	if (err)
		return err;
	*garbage = true;
	statement = index_db_get(db, SQL_FILE_DELETE_ONE);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)file);
	return index_db_step(db, statement);
}

struct part {
	uint64_t file;
	uint64_t size_bytes;
	char etag[STORE_ETAG_BYTES];
};

/* 0, -ENOENT or another negative errno. */
static int find_part(struct index_db *db, uint64_t upload, unsigned int number, struct part *part)
{
	sqlite3_stmt *find = index_db_get(db, SQL_PART_FIND);
	int got;

	sqlite3_bind_int64(find, 1, (sqlite3_int64)upload);
	sqlite3_bind_int64(find, 2, number);
	got = index_db_step(db, find);
	if (got != 1)
		return got ? got : -ENOENT;
	part->file = (uint64_t)sqlite3_column_int64(find, 0);
	part->size_bytes = (uint64_t)sqlite3_column_int64(find, 1);
	snprintf(part->etag, sizeof(part->etag), "%s", (const char *)sqlite3_column_text(find, 2));
	sqlite3_reset(find);
	return 0;
}

int index_part_put(struct index_db *db, const struct index_place *place, uint64_t upload,
		   unsigned int number, const struct index_record *record, bool *garbage)
{
	int err = index_upload_find(db, place, upload);
	sqlite3_stmt *insert;
	struct part old;

	if (err)
		return err;
	err = find_part(db, upload, number, &old);
	if (!err && old.file)
		err = retire_file(db, old.file, garbage);
	if (err && err != -ENOENT)
		return err;
	insert = index_db_get(db, SQL_PART_INSERT);
	sqlite3_bind_int64(insert, 1, (sqlite3_int64)upload);
	sqlite3_bind_int64(insert, 2, number);
	sqlite3_bind_int64(insert, 3, (sqlite3_int64)record->file.id);
	sqlite3_bind_int64(insert, 4, (sqlite3_int64)record->size_bytes);
	sqlite3_bind_int64(insert, 5, (sqlite3_int64)record->modified_ms);
	sqlite3_bind_text(insert, 6, record->etag, -1, SQLITE_STATIC);
	err = index_db_step(db, insert);
	if (!err && record->file.id)
		err = index_file_insert(db, &record->file, upload, number);
	return err ? err : index_advance(db, record->settled, 0);
}

static int from_hex(const char *hex, unsigned char md5[MD5_BYTES])
{
	unsigned int byte;
	size_t i;

	for (i = 0; i < MD5_BYTES; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1) /* NOLINT(cert-err34-c): two digits */
			return -EBADMSG;
		md5[i] = (unsigned char)byte;
	}
	return 0;
}

static int hand_over(struct index_db *db, const struct part *part, uint64_t version,
		     unsigned int seq)
{
	sqlite3_stmt *update = index_db_get(db, SQL_FILE_HOLDER);

	if (!part->file)
		return 0;
	sqlite3_bind_int64(update, 1, (sqlite3_int64)part->file);
	sqlite3_bind_int64(update, 2, (sqlite3_int64)version);
	sqlite3_bind_int64(update, 3, seq);
	return index_db_step(db, update);
}

static int take_parts(struct index_db *db, uint64_t upload, const struct store_part *parts,
		      size_t part_count, struct index_record *record, EVP_MD_CTX *md5)
{
	unsigned char digest[MD5_BYTES];
	unsigned int last = 0;
	struct part part;
	size_t i;
	int err;

	for (i = 0; i < part_count; i++) {
		if (parts[i].number <= last)
			return -EINVAL;
		last = parts[i].number;
		err = find_part(db, upload, last, &part);
		if (err == -ENOENT || (!err && strcmp(part.etag, parts[i].etag)))
			return -EINVAL;
		if (!err)
			err = from_hex(part.etag, digest);
		if (!err)
			err = hand_over(db, &part, record->version, (unsigned int)i);
		if (err)
			return err;
		if (!EVP_DigestUpdate(md5, digest, sizeof(digest)))
			return -ENOMEM;
		record->size_bytes += part.size_bytes;
	}
	return 0;
}

/* As S3 has it: the MD5 of the parts' MD5s, and how many they are. */
static int join_parts(struct index_db *db, uint64_t upload, const struct store_part *parts,
		      size_t part_count, struct index_record *record)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	int err = -ENOMEM;
	size_t i;

	record->size_bytes = 0;
	if (md5 && EVP_DigestInit_ex(md5, EVP_md5(), NULL))
		err = take_parts(db, upload, parts, part_count, record, md5);
	if (!err && !EVP_DigestFinal_ex(md5, digest, NULL))
		err = -ENOMEM;
	EVP_MD_CTX_free(md5);
	if (err)
		return err;
	for (i = 0; i < MD5_BYTES; i++)
		snprintf(record->etag + 2 * i, 3, "%02x", digest[i]);
	snprintf(record->etag + MD5_HEX, sizeof(record->etag) - MD5_HEX, "-%zu", part_count);
	return 0;
}

/* Its parts and itself; what no object took becomes garbage. */
static int delete_upload(struct index_db *db, uint64_t upload, bool *garbage)
{
	int err = index_holder_retire(db, upload, garbage);
	sqlite3_stmt *statement;

	if (err)
		return err;
	statement = index_db_get(db, SQL_PART_DELETE_ALL);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)upload);
	err = index_db_step(db, statement);
	if (err)
		return err;
	statement = index_db_get(db, SQL_UPLOAD_DELETE);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)upload);
	return index_db_step(db, statement);
}

static int insert_object(struct index_db *db, const struct index_place *place, uint64_t upload,
			 int64_t bucket, const struct index_record *record)
{
	sqlite3_stmt *find = bind_upload(db, upload, bucket, place->key);
	struct store_meta meta;
	int got = index_db_step(db, find);

	if (got != 1)
		return got ? got : -ENOENT;
	meta.pairs = sqlite3_column_blob(find, 0);
	meta.bytes = (size_t)sqlite3_column_bytes(find, 0);
	/* The row stays where it is until `find` is reset. */
	got = index_object_insert(db, bucket, place->key, record, &meta);
	sqlite3_reset(find);
	return got;
}

int index_upload_complete(struct index_db *db, const struct index_place *place, uint64_t upload,
			  const struct store_part *parts, size_t part_count,
			  struct index_record *record, bool *garbage)
{
	int64_t bucket = index_bucket_id(db, place->bucket);
	int err;

	if (bucket < 0)
		return (int)bucket;
	err = index_upload_find(db, place, upload);
	if (!err)
		err = join_parts(db, upload, parts, part_count, record);
	if (err)
		return err;
	err = index_object_retire(db, bucket, place->key, garbage);
	if (err && err != -ENOENT)
		return err;
	err = insert_object(db, place, upload, bucket, record);
	if (!err)
		err = delete_upload(db, upload, garbage);
	return err ? err : index_advance(db, 0, record->version);
}

int index_upload_abort(struct index_db *db, const struct index_place *place, uint64_t upload,
		       bool *garbage)
{
	int err = index_upload_find(db, place, upload);

	return err ? err : delete_upload(db, upload, garbage);
}

int index_upload_delete_all(struct index_db *db, int64_t bucket, bool *garbage)
{
	sqlite3_stmt *next;
	uint64_t upload;
	int got;

	for (;;) {
		next = index_db_get(db, SQL_BUCKET_UPLOADS);
		sqlite3_bind_int64(next, 1, bucket);
		got = index_db_step(db, next);
		if (got != 1)
			return got;
		upload = (uint64_t)sqlite3_column_int64(next, 0);
		sqlite3_reset(next);
		got = delete_upload(db, upload, garbage);
		if (got)
			return got;
	}
}
