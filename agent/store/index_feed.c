// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_feed.c - the journal of a drive. See index_feed.h.
 *
 * Room: store.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_feed.h"
#include "store/index_row.h"

enum {
	ENTRIES_AT_FIRST = 16,
	ENTRY_BYTES = 128, /* what an entry counts beside its names and metadata */
};

void index_feed_free(struct index_feed_page *page)
{
	size_t i;

	for (i = 0; i < page->count; i++)
		index_entry_free(&page->entries[i]);
	free(page->entries);
	*page = (struct index_feed_page){0};
}

/* Room for one more; NULL: no memory. Grows at powers of two. */
static struct index_entry *next_entry(struct index_feed_page *page)
{
	size_t room = ENTRIES_AT_FIRST;
	struct index_entry *grown;

	if (page->entries && (page->count < room || page->count & (page->count - 1)))
		return &page->entries[page->count];
	while (room <= page->count)
		room *= 2;
	grown = realloc(page->entries, room * sizeof(*grown));
	if (!grown)
		return NULL;
	page->entries = grown;
	return &grown[page->count];
}

static size_t bytes_of(const struct index_entry *entry)
{
	return ENTRY_BYTES + strlen(entry->name.bucket) + strlen(entry->name.key) +
	       entry->meta_bytes;
}

/* SQLite's numbers have a sign. */
static sqlite3_int64 signed_of(uint64_t number)
{
	return (sqlite3_int64)(number < INT64_MAX ? number : INT64_MAX);
}

struct limits {
	uint64_t after;
	size_t entries;
	size_t bytes;
	bool meta;
};

static int read_page(struct index_db *db, enum index_sql sql, const struct limits *limits,
		     struct index_feed_page *page)
{
	sqlite3_stmt *list = index_db_get(db, sql);
	struct index_entry *entry;
	size_t bytes = 0;
	int got, err;

	sqlite3_bind_int64(list, 1, signed_of(limits->after));
	while ((got = index_db_step(db, list)) == 1) {
		page->more =
			page->count && (page->count >= limits->entries || bytes >= limits->bytes);
		if (page->more)
			break;
		entry = next_entry(page);
		err = entry ? index_row_read(list, limits->meta, entry) : -ENOMEM;
		if (err)
			return err;
		page->count++;
		bytes += bytes_of(entry);
	}
	sqlite3_reset(list);
	return got < 0 ? got : 0;
}

static int read_last(struct index_db *db, uint64_t *lsn)
{
	sqlite3_stmt *last = index_db_get(db, SQL_ENTRY_LAST);
	int got = index_db_step(db, last);

	*lsn = 0;
	if (got != 1)
		return got;
	*lsn = (uint64_t)sqlite3_column_int64(last, 0);
	sqlite3_reset(last);
	return 0;
}

int index_feed(struct index_db *db, uint64_t after_lsn, size_t max_entries, size_t max_bytes,
	       struct index_feed_page *page)
{
	const struct limits limits = {
		.after = after_lsn,
		.entries = max_entries,
		.bytes = max_bytes,
		.meta = true,
	};
	int err;

	*page = (struct index_feed_page){0};
	err = read_last(db, &page->last_lsn);
	return err ? err : read_page(db, SQL_ENTRY_FEED, &limits, page);
}

int index_away(struct index_db *db, uint64_t after_lsn, size_t max, struct index_feed_page *page)
{
	const struct limits limits = {.after = after_lsn, .entries = max, .bytes = SIZE_MAX};
	int err;

	*page = (struct index_feed_page){0};
	err = read_last(db, &page->last_lsn);
	return err ? err : read_page(db, SQL_ENTRY_AWAY, &limits, page);
}

int index_away_count(struct index_db *db, uint64_t *count, uint64_t *bytes)
{
	sqlite3_stmt *ask = index_db_get(db, SQL_ENTRY_AWAY_COUNT);
	int got = index_db_step(db, ask);

	if (got != 1)
		return got ? got : -EBADMSG;
	*count = (uint64_t)sqlite3_column_int64(ask, 0);
	*bytes = (uint64_t)sqlite3_column_int64(ask, 1);
	sqlite3_reset(ask);
	return 0;
}

int index_seen_get(struct index_db *db, const char *peer, const char *drive, uint64_t *lsn)
{
	sqlite3_stmt *get = index_db_get(db, SQL_SEEN_GET);
	int got;

	*lsn = 0;
	sqlite3_bind_text(get, 1, peer, -1, SQLITE_STATIC);
	sqlite3_bind_text(get, 2, drive, -1, SQLITE_STATIC);
	got = index_db_step(db, get);
	if (got != 1)
		return got;
	*lsn = (uint64_t)sqlite3_column_int64(get, 0);
	sqlite3_reset(get);
	return 0;
}

int index_seen_set(struct index_db *db, const char *peer, const char *drive, uint64_t lsn)
{
	sqlite3_stmt *set = index_db_get(db, SQL_SEEN_SET);

	if (lsn > INT64_MAX)
		return -EINVAL;
	sqlite3_bind_text(set, 1, peer, -1, SQLITE_STATIC);
	sqlite3_bind_text(set, 2, drive, -1, SQLITE_STATIC);
	sqlite3_bind_int64(set, 3, (sqlite3_int64)lsn);
	return index_db_step(db, set);
}

int index_fill(struct index_db *db, const struct index_name *name, uint64_t version,
	       const struct index_file *file, bool *garbage)
{
	enum index_applied how;
	struct index_entry ours;
	int err = index_row_peek(db, name, &ours);

	if (err && err != -ENOENT)
		return err;
	if (!err && !ours.gone && ours.version == version)
		return index_entry_apply(db, &ours, file, &how, garbage);
	err = index_file_refuse(db, file, garbage);
	if (!err)
		err = index_advance(db, file->settled, 0);
	return err ? err : -ESTALE;
}

int index_purge(struct index_db *db, uint64_t up_to_lsn, uint64_t before_version, unsigned int max)
{
	sqlite3_stmt *purge = index_db_get(db, SQL_ENTRY_PURGE);
	int err;

	sqlite3_bind_int64(purge, 1, signed_of(up_to_lsn));
	sqlite3_bind_int64(purge, 2, signed_of(before_version));
	sqlite3_bind_int64(purge, 3, max);
	err = index_db_step(db, purge);
	return err ? err : sqlite3_changes(db->handle);
}
