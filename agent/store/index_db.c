// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_db.c - one connection to the index. See index_db.h.
 *
 * Room: store.
 *
 * The rows say what there is: a file that no row names is not there, whatever the directory says.
 *
 *   bucket    names
 *   object    (bucket, key) -> version, size, etag ...; a version is never used twice
 *   file      a file that is needed; its holder is an object's version, or an upload's id
 *   upload    begun in parts; the id is drawn from the same clock as versions
 *   part      of an upload: number -> file
 *   garbage   files that nothing needs any more and that may still be on disk
 *   state     one row: `shelf`, up to which directories of files may exist; `settled`, below which
 *             every file either has a row or is gone; `clock`, the last version given out
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/index_db.h"
#include "store/index_vfs.h"

#define BUSY_MS 5000

#define TEXT_OF(number) #number
#define TEXT(number)	TEXT_OF(number)

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE bucket("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL);"
	"CREATE TABLE object("
	" version INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
	" size_bytes INTEGER NOT NULL, modified_ms INTEGER NOT NULL, etag TEXT NOT NULL,"
	" meta BLOB NOT NULL, UNIQUE(bucket, key));"
	"CREATE TABLE file("
	" id INTEGER PRIMARY KEY, holder INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" size_bytes INTEGER NOT NULL, UNIQUE(holder, seq));"
	"CREATE TABLE upload("
	" id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
	" began_ms INTEGER NOT NULL, meta BLOB NOT NULL, UNIQUE(bucket, key, id));"
	"CREATE TABLE part("
	" upload INTEGER NOT NULL, number INTEGER NOT NULL, file INTEGER NOT NULL,"
	" size_bytes INTEGER NOT NULL, modified_ms INTEGER NOT NULL, etag TEXT NOT NULL,"
	" PRIMARY KEY(upload, number)) WITHOUT ROWID;"
	"CREATE TABLE garbage(file INTEGER PRIMARY KEY, holder INTEGER NOT NULL);"
	"CREATE TABLE state("
	" id INTEGER PRIMARY KEY CHECK(id = 1), shelf INTEGER NOT NULL, settled INTEGER NOT NULL,"
	" clock INTEGER NOT NULL);"
	"INSERT INTO state VALUES(1, 0, 0, 0);"
	"PRAGMA user_version = " TEXT(INDEX_SCHEMA) ";"
						    "COMMIT;";

static const char *const texts[SQL_COUNT] = {
	[SQL_BEGIN_ASKING] = "BEGIN",
	[SQL_BEGIN_CHANGING] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_SAVE] = "SAVEPOINT call",
	[SQL_RELEASE] = "RELEASE call",
	[SQL_UNDO] = "ROLLBACK TO call",
	[SQL_STATE_READ] = "SELECT shelf, settled, clock FROM state",
	[SQL_STATE_SHELF] = "UPDATE state SET shelf = max(shelf, ?1)",
	[SQL_STATE_ADVANCE] = "UPDATE state SET settled = max(settled, ?1),"
			      " clock = max(clock, ?2)",
	[SQL_BUCKET_ID] = "SELECT id FROM bucket WHERE name = ?1",
	[SQL_BUCKET_INSERT] = "INSERT INTO bucket(name, created_ms) VALUES(?1, ?2)",
	[SQL_BUCKET_DELETE] = "DELETE FROM bucket WHERE id = ?1",
	[SQL_BUCKET_LIST] = "SELECT name, created_ms FROM bucket ORDER BY name",
	[SQL_BUCKET_USED] = "SELECT 1 FROM object WHERE bucket = ?1 LIMIT 1",
	[SQL_BUCKET_UPLOADS] = "SELECT id FROM upload WHERE bucket = ?1 LIMIT 1",
	[SQL_OBJECT_FIND] = "SELECT version, size_bytes, modified_ms, etag, meta FROM object"
			    " WHERE bucket = ?1 AND key = ?2",
	[SQL_OBJECT_INSERT] = "INSERT INTO object(version, bucket, key, size_bytes, modified_ms,"
			      " etag, meta) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_OBJECT_DELETE] = "DELETE FROM object WHERE version = ?1",
	[SQL_OBJECT_LIST] = "SELECT key, size_bytes, modified_ms, etag FROM object"
			    " WHERE bucket = ?1 AND key >= ?2 ORDER BY key",
	[SQL_FILE_INSERT] = "INSERT INTO file(id, holder, seq, size_bytes) VALUES(?1, ?2, ?3, ?4)",
	[SQL_FILE_LIST] = "SELECT id, size_bytes FROM file WHERE holder = ?1 ORDER BY seq",
	[SQL_FILE_KNOWN] = "SELECT 1 FROM file WHERE id = ?1"
			   " UNION ALL SELECT 1 FROM garbage WHERE file = ?1",
	[SQL_FILE_RETIRE] = "INSERT OR REPLACE INTO garbage SELECT id, holder FROM file"
			    " WHERE holder = ?1",
	[SQL_FILE_DELETE] = "DELETE FROM file WHERE holder = ?1",
	[SQL_FILE_HOLDER] = "UPDATE file SET holder = ?2, seq = ?3 WHERE id = ?1",
	[SQL_FILE_RETIRE_ONE] = "INSERT OR REPLACE INTO garbage SELECT id, holder FROM file"
				" WHERE id = ?1",
	[SQL_FILE_DELETE_ONE] = "DELETE FROM file WHERE id = ?1",
	[SQL_UPLOAD_INSERT] = "INSERT INTO upload(id, bucket, key, began_ms, meta)"
			      " VALUES(?1, ?2, ?3, ?4, ?5)",
	[SQL_UPLOAD_FIND] = "SELECT meta FROM upload WHERE id = ?1 AND bucket = ?2 AND key = ?3",
	[SQL_UPLOAD_DELETE] = "DELETE FROM upload WHERE id = ?1",
	[SQL_UPLOAD_LIST] = "SELECT key, id, began_ms FROM upload"
			    " WHERE bucket = ?1 AND (key, id) > (?2, ?3) ORDER BY key, id",
	[SQL_PART_FIND] = "SELECT file, size_bytes, etag FROM part"
			  " WHERE upload = ?1 AND number = ?2",
	[SQL_PART_INSERT] = "INSERT OR REPLACE INTO part(upload, number, file, size_bytes,"
			    " modified_ms, etag) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_PART_DELETE_ALL] = "DELETE FROM part WHERE upload = ?1",
	[SQL_PART_LIST] = "SELECT number, size_bytes, modified_ms, etag FROM part"
			  " WHERE upload = ?1 AND number > ?2 ORDER BY number",
	[SQL_GARBAGE_LIST] = "SELECT file, holder FROM garbage WHERE file > ?1 ORDER BY file",
	[SQL_GARBAGE_DELETE] = "DELETE FROM garbage WHERE file = ?1",
};

/* What the file system said, where it said more than SQLite tells. */
static int io_errno(const struct index_db *db)
{
	switch (sqlite3_system_errno(db->handle)) {
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case EROFS:
		return -EROFS;
	default:
		return -EIO;
	}
}

int index_db_errno(const struct index_db *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return io_errno(db);
	default:
		return -EIO;
	}
}

sqlite3_stmt *index_db_get(struct index_db *db, enum index_sql sql)
{
	sqlite3_stmt *statement = db->statements[sql];

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return statement;
}

int index_db_step(struct index_db *db, sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);
	int err = index_db_errno(db, rc);

	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(statement);
	return err;
}

int index_db_run(struct index_db *db, enum index_sql sql)
{
	return index_db_step(db, index_db_get(db, sql));
}

void index_db_rest(struct index_db *db)
{
	size_t i;

	for (i = 0; i < SQL_COUNT; i++) {
		sqlite3_reset(db->statements[i]);
		sqlite3_clear_bindings(db->statements[i]);
	}
}

static int explain(struct index_db *db, int rc)
{
	int err = index_db_errno(db, rc);

	if (err)
		snprintf(db->why, sizeof(db->why), "%s", sqlite3_errmsg(db->handle));
	return err;
}

static int exec(struct index_db *db, const char *sql)
{
	return explain(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static int read_schema_version(struct index_db *db, int *version)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*version = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return explain(db, rc);
}

static int settle_schema(struct index_db *db)
{
	int version = 0;
	int err = read_schema_version(db, &version);

	if (!err && !version)
		return exec(db, schema);
	if (!err && version != INDEX_SCHEMA) {
		snprintf(db->why, sizeof(db->why),
			 "the index has schema %d, this knelld knows %d: run the newer one",
			 version, INDEX_SCHEMA);
		return -EPROTO;
	}
	return err;
}

static int prepare_all(struct index_db *db)
{
	size_t i;
	int err = 0;

	for (i = 0; i < SQL_COUNT && !err; i++)
		err = explain(db, sqlite3_prepare_v3(db->handle, texts[i], -1,
						     SQLITE_PREPARE_PERSISTENT, &db->statements[i],
						     NULL));
	return err;
}

int index_db_open(struct index_db *db, const char *path)
{
	int err = explain(db, sqlite3_open_v2(path, &db->handle,
					      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
						      SQLITE_OPEN_NOMUTEX,
					      index_vfs()));

	if (err)
		return err;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	err = exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		       "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;");
	if (!err)
		err = settle_schema(db);
	return err ? err : prepare_all(db);
}

void index_db_close(struct index_db *db)
{
	size_t i;

	for (i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(db->statements[i]);
		db->statements[i] = NULL;
	}
	sqlite3_close(db->handle);
	db->handle = NULL;
}
