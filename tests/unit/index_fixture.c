// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_fixture.c - an index of its own. See index_fixture.h.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index_fixture.h"

static void name_of(char name[128], const struct index_fixture *fixture, const char *suffix)
{
	snprintf(name, 128, "%s/%s%s", fixture->path, INDEX_FILE, suffix);
}

void index_fixture_open(struct index_fixture *fixture)
{
	char name[128];

	*fixture = (struct index_fixture){.path = "/tmp/knell-test-index-XXXXXX"};
	ck_assert_ptr_nonnull(mkdtemp(fixture->path));
	name_of(name, fixture, "");
	ck_assert_msg(!index_db_open(&fixture->db, name), "%s", fixture->db.why);
	/* What survives a loss of power is not asked here. */
	sqlite3_exec(fixture->db.handle, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
}

void index_fixture_close(struct index_fixture *fixture)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char name[128];
	size_t i;

	index_db_close(&fixture->db);
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		name_of(name, fixture, suffixes[i]);
		unlink(name);
	}
	rmdir(fixture->path);
}

static struct index_entry named(enum index_kind kind, const char *bucket, const char *key,
				uint64_t version)
{
	struct index_entry entry = {
		.name = {.kind = kind},
		.version = version,
		.modified_ms = 1000 + version,
	};

	snprintf(entry.name.bucket, sizeof(entry.name.bucket), "%s", bucket);
	snprintf(entry.name.key, sizeof(entry.name.key), "%s", key);
	return entry;
}

struct index_entry bucket_entry(const char *bucket, uint64_t version)
{
	return named(INDEX_BUCKET, bucket, "", version);
}

struct index_entry object_entry(const char *bucket, const char *key, uint64_t version,
				uint64_t size_bytes)
{
	struct index_entry entry = named(INDEX_OBJECT, bucket, key, version);

	entry.size_bytes = size_bytes;
	snprintf(entry.etag, sizeof(entry.etag), "%032llx", (unsigned long long)version);
	return entry;
}

struct index_entry upload_entry(const char *bucket, const char *key, uint64_t id)
{
	struct index_entry entry = named(INDEX_UPLOAD, bucket, key, id);

	entry.name.upload = id;
	return entry;
}

struct index_entry part_entry(const char *bucket, const char *key, uint64_t upload,
			      unsigned int number, uint64_t version, uint64_t size_bytes)
{
	struct index_entry entry = object_entry(bucket, key, version, size_bytes);

	entry.name.kind = INDEX_PART;
	entry.name.upload = upload;
	entry.name.number = number;
	return entry;
}

struct index_entry gone_entry(struct index_entry entry, uint64_t version)
{
	struct index_entry gone = {
		.name = entry.name,
		.version = version,
		.gone = true,
		.modified_ms = 1000 + version,
	};

	return gone;
}

struct index_file index_fixture_file(struct index_fixture *fixture, const struct index_entry *entry)
{
	return (struct index_file){.id = ++fixture->last_file, .size_bytes = entry->size_bytes};
}

enum index_applied index_fixture_apply(struct index_fixture *fixture,
				       const struct index_entry *entry, bool brings)
{
	struct index_file file = {0};
	enum index_applied how;

	if (brings)
		file = index_fixture_file(fixture, entry);
	fixture->garbage = false;
	ck_assert_int_eq(index_entry_apply(&fixture->db, entry, &file, &how, &fixture->garbage), 0);
	return how;
}

int index_fixture_refused(struct index_fixture *fixture, const struct index_entry *entry)
{
	enum index_applied how;
	int err;

	ck_assert_int_eq(index_db_run(&fixture->db, SQL_BEGIN_CHANGING), 0);
	err = index_entry_apply(&fixture->db, entry, NULL, &how, &fixture->garbage);
	ck_assert_int_eq(index_db_run(&fixture->db, SQL_ROLLBACK), 0);
	return err;
}

struct index_entry index_fixture_find(struct index_fixture *fixture,
				      const struct index_entry *named_so)
{
	struct index_entry found = {.version = 0};
	int err = index_entry_find(&fixture->db, &named_so->name, &found);

	if (!err)
		index_entry_free(&found);
	else
		ck_assert_int_eq(err, -ENOENT);
	return found;
}

uint64_t index_fixture_number(struct index_fixture *fixture, const char *sql)
{
	sqlite3_stmt *statement;
	uint64_t number;

	ck_assert_int_eq(sqlite3_prepare_v2(fixture->db.handle, sql, -1, &statement, NULL), 0);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	number = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

static bool stands_in(struct index_fixture *fixture, const char *condition, uint64_t file)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s = %llu", condition,
		 (unsigned long long)file);
	return index_fixture_number(fixture, sql);
}

bool index_fixture_needs(struct index_fixture *fixture, uint64_t file)
{
	return stands_in(fixture, "file WHERE id", file);
}

bool index_fixture_is_garbage(struct index_fixture *fixture, uint64_t file)
{
	return stands_in(fixture, "garbage WHERE file", file);
}

char *index_fixture_text(struct index_fixture *fixture)
{
	static const char sql[] = "SELECT group_concat(line, char(10)) FROM (SELECT printf('%d "
				  "%s/%s %d %d: %d%s %d %d"
				  " %s', kind, bucket, CAST(key AS TEXT), upload, number, version,"
				  " iif(gone, ' gone', ''), size_bytes, modified_ms, etag) AS line"
				  " FROM entry ORDER BY kind, bucket, key, upload, number)";
	sqlite3_stmt *statement;
	char *text;

	ck_assert_int_eq(sqlite3_prepare_v2(fixture->db.handle, sql, -1, &statement, NULL), 0);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	text = strdup((const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	ck_assert_ptr_nonnull(text);
	return text;
}

void index_fixture_check(struct index_fixture *fixture)
{
	/* Each file is in one of the two tables, once. */
	ck_assert_uint_eq(index_fixture_number(fixture, "SELECT count(*) FROM (SELECT id FROM file"
							" UNION ALL SELECT file FROM garbage)"),
			  fixture->last_file);
	ck_assert_uint_eq(index_fixture_number(fixture, "SELECT count(*) FROM (SELECT id FROM file"
							" UNION SELECT file FROM garbage)"),
			  fixture->last_file);
	/* Whose bytes are here has files for all of them, who is gone or away has none. */
	ck_assert_uint_eq(index_fixture_number(fixture,
					       "SELECT count(*) FROM entry WHERE kind IN (2, 4)"
					       " AND iif(away, 0, size_bytes) != (SELECT"
					       " coalesce(sum(file.size_bytes), 0) FROM file"
					       " WHERE holder = version)"),
			  0);
	ck_assert_uint_eq(index_fixture_number(fixture,
					       "SELECT count(*) FROM file WHERE holder NOT IN"
					       " (SELECT version FROM entry WHERE kind IN (2, 4))"),
			  0);
	/* What lives, lives in a bucket; a part in its upload. */
	ck_assert_uint_eq(
		index_fixture_number(fixture, "SELECT count(*) FROM entry WHERE gone = 0 AND bucket"
					      " NOT IN (SELECT bucket FROM entry WHERE kind = 1"
					      " AND gone = 0)"),
		0);
	ck_assert_uint_eq(
		index_fixture_number(fixture, "SELECT count(*) FROM entry WHERE kind = 4 AND upload"
					      " NOT IN (SELECT upload FROM entry WHERE kind = 3"
					      " AND gone = 0)"),
		0);
}
