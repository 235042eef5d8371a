// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_db.c - one connection to the index. See index_db.h.
 *
 * Room: store.
 *
 * The rows say what there is: a file that no row names is not there, whatever the directory says.
 *
 *   entry     what is known of a bucket, an object, an upload, a part, or that it is gone; see
 *             index_entry.h. A change makes a new row of it, so lsn is the order of changes
 *   file      a file that is needed; its holder is the version of an object or a part
 *   garbage   files that nothing needs any more and that may still be on disk
 *   seen      up to which lsn the journal of a peer's drive was taken
 *   state     one row: `shelf`, up to which directories of files may exist; `settled`, below which
 *             every file either has a row or is gone; `clock`, the last version given out or heard
 *             of; `drive`, a name of this drive that no other has
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include "store/index_db.h"
#include "store/index_vfs.h"

#define BUSY_MS 5000

/* On a drive that is full a removal, too, is written down before it makes room. */
enum {
	GROWTH_BYTES = 1 << 20, /* the database grows by so much at once: slack for a checkpoint */
	SPARE_BYTES = 4 << 20,	/* with less to spare, the log does not grow any more */
};

#define TEXT_OF(number) #number
#define TEXT(number)	TEXT_OF(number)

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE entry("
	" lsn INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, bucket TEXT NOT NULL,"
	" key BLOB NOT NULL, upload INTEGER NOT NULL, number INTEGER NOT NULL,"
	" version INTEGER NOT NULL, gone INTEGER NOT NULL, away INTEGER NOT NULL,"
	" size_bytes INTEGER NOT NULL, modified_ms INTEGER NOT NULL, etag TEXT NOT NULL,"
	" meta BLOB NOT NULL, UNIQUE(kind, bucket, key, upload, number));"
	"CREATE INDEX entry_gone ON entry(lsn, version) WHERE gone = 1;"
	"CREATE INDEX entry_away ON entry(lsn, size_bytes) WHERE away = 1;"
	"CREATE TABLE file("
	" id INTEGER PRIMARY KEY, holder INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" size_bytes INTEGER NOT NULL, UNIQUE(holder, seq));"
	"CREATE TABLE garbage(file INTEGER PRIMARY KEY, holder INTEGER NOT NULL);"
	"CREATE TABLE seen("
	" peer TEXT PRIMARY KEY, drive TEXT NOT NULL, lsn INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE state("
	" id INTEGER PRIMARY KEY CHECK(id = 1), shelf INTEGER NOT NULL, settled INTEGER NOT NULL,"
	" clock INTEGER NOT NULL, drive TEXT NOT NULL);"
	"INSERT INTO state VALUES(1, 0, 0, 0, lower(hex(randomblob(16))));"
	"PRAGMA user_version = " TEXT(INDEX_SCHEMA) ";"
						    "COMMIT;";

/* enum index_kind */
#define BUCKET "1"
#define OBJECT "2"
#define UPLOAD "3"
#define PART   "4"

/* In the order of enum index_column. */
#define COLUMNS                                                                                 \
	"kind, bucket, key, upload, number, lsn, version, gone, away, size_bytes, modified_ms," \
	" etag, meta"
#define NAMED "kind = ?1 AND bucket = ?2 AND key = ?3 AND upload = ?4 AND number = ?5"
#define PARTS "kind = " PART " AND bucket = ?1 AND key = ?2 AND upload = ?3"

static const char *const texts[SQL_COUNT] = {
	[SQL_BEGIN_ASKING] = "BEGIN",
	[SQL_BEGIN_CHANGING] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_SAVE] = "SAVEPOINT call",
	[SQL_RELEASE] = "RELEASE call",
	[SQL_UNDO] = "ROLLBACK TO call",
	[SQL_STATE_READ] = "SELECT shelf, settled, clock, drive FROM state",
	[SQL_STATE_SHELF] = "UPDATE state SET shelf = max(shelf, ?1)",
	[SQL_STATE_ADVANCE] = "UPDATE state SET settled = max(settled, ?1),"
			      " clock = max(clock, ?2)",
	[SQL_ENTRY_FIND] = "SELECT " COLUMNS " FROM entry WHERE " NAMED,
	[SQL_ENTRY_PUT] = "INSERT OR REPLACE INTO entry(kind, bucket, key, upload, number, version,"
			  " gone, away, size_bytes, modified_ms, etag, meta)"
			  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[SQL_ENTRY_HERE] = "UPDATE entry SET away = 0 WHERE lsn = ?1",
	[SQL_ENTRY_FEED] = "SELECT " COLUMNS " FROM entry WHERE lsn > ?1 ORDER BY lsn",
	[SQL_ENTRY_LAST] = "SELECT seq FROM sqlite_sequence WHERE name = 'entry'",
	[SQL_ENTRY_AWAY] = "SELECT " COLUMNS " FROM entry INDEXED BY entry_away"
			   " WHERE away = 1 AND lsn > ?1 ORDER BY lsn",
	[SQL_ENTRY_AWAY_COUNT] = "SELECT count(*), coalesce(sum(size_bytes), 0)"
				 " FROM entry INDEXED BY entry_away WHERE away = 1",
	[SQL_ENTRY_PURGE] = "DELETE FROM entry WHERE lsn IN"
			    " (SELECT lsn FROM entry INDEXED BY entry_gone"
			    " WHERE gone = 1 AND lsn <= ?1 AND version < ?2 ORDER BY lsn LIMIT ?3)",
	[SQL_BUCKET_LIST] = "SELECT bucket, modified_ms FROM entry"
			    " WHERE kind = " BUCKET " AND gone = 0 ORDER BY bucket",
	[SQL_BUCKET_HELD] = "SELECT 1 FROM entry"
			    " WHERE kind = " OBJECT " AND bucket = ?1 AND gone = 0"
			    " UNION ALL SELECT 1 FROM entry WHERE kind = " UPLOAD
			    " AND bucket = ?1 AND gone = 0 AND version > ?2 LIMIT 1",
	[SQL_OBJECT_LIST] = "SELECT key, size_bytes, modified_ms, etag FROM entry"
			    " WHERE kind = " OBJECT " AND bucket = ?1 AND key >= ?2 AND gone = 0"
			    " ORDER BY key",
	[SQL_UPLOAD_LIST] = "SELECT key, upload, modified_ms FROM entry"
			    " WHERE kind = " UPLOAD " AND bucket = ?1 AND (key, upload) > (?2, ?3)"
			    " AND gone = 0 ORDER BY key, upload",
	[SQL_UPLOAD_ENDED] = "SELECT upload FROM entry"
			     " WHERE kind = " UPLOAD " AND bucket = ?1 AND key = ?2"
			     " AND version = ?3 AND gone = 1",
	[SQL_PART_LIST] = "SELECT number, size_bytes, modified_ms, etag FROM entry WHERE " PARTS
			  " AND number > ?4 ORDER BY number",
	[SQL_PART_DELETE_ALL] = "DELETE FROM entry WHERE " PARTS,
	[SQL_FILE_INSERT] = "INSERT INTO file(id, holder, seq, size_bytes) VALUES(?1, ?2, ?3, ?4)",
	[SQL_FILE_LIST] = "SELECT id, size_bytes FROM file WHERE holder = ?1 ORDER BY seq",
	[SQL_FILE_KNOWN] = "SELECT 1 FROM file WHERE id = ?1"
			   " UNION ALL SELECT 1 FROM garbage WHERE file = ?1",
	[SQL_FILE_RETIRE] = "INSERT OR REPLACE INTO garbage SELECT id, holder FROM file"
			    " WHERE holder = ?1",
	[SQL_FILE_DELETE] = "DELETE FROM file WHERE holder = ?1",
	[SQL_FILE_RETIRE_PARTS] = "INSERT OR REPLACE INTO garbage SELECT id, holder FROM file"
				  " WHERE holder IN (SELECT version FROM entry WHERE " PARTS ")",
	[SQL_FILE_DELETE_PARTS] = "DELETE FROM file"
				  " WHERE holder IN (SELECT version FROM entry WHERE " PARTS ")",
	[SQL_FILE_HAND_OVER] = "UPDATE file SET holder = ?2, seq = ?3 WHERE holder = ?1",
	[SQL_GARBAGE_INSERT] = "INSERT OR REPLACE INTO garbage(file, holder) VALUES(?1, 0)",
	[SQL_GARBAGE_LIST] = "SELECT file, holder FROM garbage WHERE file > ?1 ORDER BY file",
	[SQL_GARBAGE_DELETE] = "DELETE FROM garbage WHERE file = ?1",
	[SQL_SEEN_GET] = "SELECT lsn FROM seen WHERE peer = ?1 AND drive = ?2",
	[SQL_SEEN_SET] = "INSERT OR REPLACE INTO seen(peer, drive, lsn) VALUES(?1, ?2, ?3)",
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

int index_db_begin_changing(struct index_db *db)
{
	struct statvfs room;

	/* What is in the database itself leaves the log to be written from its beginning. */
	if (!statvfs(sqlite3_db_filename(db->handle, "main"), &room) &&
	    (uint64_t)room.f_bavail * room.f_frsize < SPARE_BYTES)
		sqlite3_wal_checkpoint_v2(db->handle, "main", SQLITE_CHECKPOINT_PASSIVE, NULL,
					  NULL);
	return index_db_run(db, SQL_BEGIN_CHANGING);
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
			 "the index has schema %d, this knelld knows %d only: run the knelld that"
			 " made it, or move the drive's directory away to begin an empty one",
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
	int growth_bytes = GROWTH_BYTES;
	int err = explain(db, sqlite3_open_v2(path, &db->handle,
					      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
						      SQLITE_OPEN_NOMUTEX,
					      index_vfs()));

	if (err)
		return err;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &growth_bytes);
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
