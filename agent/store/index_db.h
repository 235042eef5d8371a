/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_db.h - one connection to the index: schema, statements, transactions.
 *
 * Room: store. Calls SQLite. Called by index.c and by whatever runs on its threads (index_*.c,
 * recover.c); blocks, so never on the loop. One thread at a time.
 */
#ifndef KNELL_STORE_INDEX_DB_H
#define KNELL_STORE_INDEX_DB_H

#include <stddef.h>
#include <stdint.h>
#include <sqlite3.h>

#define INDEX_FILE   "index.db"
#define INDEX_SCHEMA 2 /* PRAGMA user_version; any other is refused */

/* The prepared statements; their text stands in index_db.c. */
enum index_sql {
	SQL_BEGIN_ASKING,
	SQL_BEGIN_CHANGING,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_SAVE,
	SQL_RELEASE,
	SQL_UNDO,
	SQL_STATE_READ,
	SQL_STATE_SHELF,
	SQL_STATE_ADVANCE,
	SQL_ENTRY_FIND,
	SQL_ENTRY_PUT,
	SQL_ENTRY_HERE,
	SQL_ENTRY_FEED,
	SQL_ENTRY_LAST,
	SQL_ENTRY_AWAY,
	SQL_ENTRY_AWAY_COUNT,
	SQL_ENTRY_PURGE,
	SQL_BUCKET_LIST,
	SQL_BUCKET_HELD,
	SQL_OBJECT_LIST,
	SQL_UPLOAD_LIST,
	SQL_UPLOAD_ENDED,
	SQL_PART_LIST,
	SQL_PART_DELETE_ALL,
	SQL_FILE_INSERT,
	SQL_FILE_LIST,
	SQL_FILE_KNOWN,
	SQL_FILE_RETIRE,
	SQL_FILE_DELETE,
	SQL_FILE_RETIRE_PARTS,
	SQL_FILE_DELETE_PARTS,
	SQL_FILE_HAND_OVER,
	SQL_GARBAGE_INSERT,
	SQL_GARBAGE_LIST,
	SQL_GARBAGE_DELETE,
	SQL_SEEN_GET,
	SQL_SEEN_SET,
	SQL_COUNT
};

struct index_db {
	sqlite3 *handle;
	sqlite3_stmt *statements[SQL_COUNT];
	char why[256]; /* of the last failure to open */
};

/**
 * index_db_open - open the database at @path, make or check its schema, prepare all statements.
 *
 * 0 or a negative errno with db->why; index_db_close() in either case.
 */
int index_db_open(struct index_db *db, const char *path);
void index_db_close(struct index_db *db);

/** index_db_errno - a result of SQLite as a negative errno, 0 for SQLITE_OK, _ROW and _DONE. */
int index_db_errno(const struct index_db *db, int rc);

/*
 * A statement, reset and ready to bind; what it holds is given back by the next one of the same
 * name, at the latest by index_db_rest().
 */
sqlite3_stmt *index_db_get(struct index_db *db, enum index_sql sql);

/** index_db_step - 1: a row; 0: done; negative errno. A done or failed statement is reset. */
int index_db_step(struct index_db *db, sqlite3_stmt *statement);

/** index_db_run - the statement without parameters. 0 or a negative errno. */
int index_db_run(struct index_db *db, enum index_sql sql);

/** index_db_begin_changing - begin a transaction that writes. 0 or a negative errno. */
int index_db_begin_changing(struct index_db *db);

/** index_db_rest - reset every statement, so that none holds a snapshot or someone's memory. */
void index_db_rest(struct index_db *db);

#endif
