// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_list.c - pages of buckets, objects, uploads and parts. See index_list.h.
 *
 * Room: store.
 *
 * Keys are blobs: SQLite compares them with memcmp(), which is the order that S3 promises. At a
 * common prefix the statement is begun anew behind the last key that could have it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_list.h"
#include "store/index_object.h"
#include "store/index_row.h"
#include "store/index_upload.h"

enum { ROWS_AT_FIRST = 16 };

/* Where to go on: at this key or behind it. One byte more than a key, see seek_behind(). */
struct seek {
	unsigned char key[STORE_KEY_BYTES_MAX + 1];
	size_t bytes;
	bool over; /* nothing can be behind it */
};

void index_page_free(struct index_page *page)
{
	size_t i;

	for (i = 0; i < page->bucket_count; i++)
		free((char *)page->buckets[i].name);
	for (i = 0; i < page->object_count; i++)
		free((char *)page->objects[i].key);
	for (i = 0; i < page->prefix_count; i++)
		free(page->prefixes[i]);
	for (i = 0; i < page->upload_count; i++) {
		free((char *)page->uploads[i].key);
		free((char *)page->uploads[i].id);
	}
	free(page->buckets);
	free(page->objects);
	free(page->prefixes);
	free(page->uploads);
	free(page->parts);
	memset(page, 0, sizeof(*page));
}

/* Room for one more after @count; NULL: no memory. Grows at powers of two. */
static void *room_for(void *rows, size_t count, size_t size)
{
	size_t room = ROWS_AT_FIRST;

	if (rows && (count < ROWS_AT_FIRST || count & (count - 1)))
		return rows;
	while (room <= count)
		room *= 2;
	return realloc(rows, room * size);
}

static char *column_copy(sqlite3_stmt *row, int column)
{
	size_t bytes = (size_t)sqlite3_column_bytes(row, column);
	char *copy = malloc(bytes + 1);

	if (!copy)
		return NULL;
	if (bytes)
		memcpy(copy, sqlite3_column_blob(row, column), bytes);
	copy[bytes] = '\0';
	return copy;
}

static void column_etag(char etag[STORE_ETAG_BYTES], sqlite3_stmt *row, int column)
{
	snprintf(etag, STORE_ETAG_BYTES, "%s", (const char *)sqlite3_column_text(row, column));
}

static void seek_at(struct seek *seek, const char *key)
{
	seek->bytes = strlen(key);
	memcpy(seek->key, key, seek->bytes);
	seek->over = false;
}

/* No key has a NUL, so this is the least that is greater. */
static void seek_behind(struct seek *seek, const char *key)
{
	seek_at(seek, key);
	seek->key[seek->bytes++] = 0;
}

/* Behind everything that begins with @prefix. */
static void seek_behind_all(struct seek *seek, const char *prefix)
{
	seek_at(seek, prefix);
	while (seek->bytes && seek->key[seek->bytes - 1] == 0xff)
		seek->bytes--;
	if (seek->bytes)
		seek->key[seek->bytes - 1]++;
	else
		seek->over = true;
}

static bool begins_with(const char *key, const char *prefix)
{
	return !strncmp(key, prefix, strlen(prefix));
}

/* The length of the common prefix that @key is a part of; 0: of none. */
static size_t common_bytes(const struct index_objects_query *query, const char *key)
{
	const char *found;

	if (!query->delimiter[0] || !begins_with(key, query->prefix))
		return 0;
	found = strstr(key + strlen(query->prefix), query->delimiter);
	return found ? (size_t)(found - key) + strlen(query->delimiter) : 0;
}

static void seek_first(struct seek *seek, const struct index_objects_query *query)
{
	const char *after = query->after;

	if (!after[0] || strcmp(after, query->prefix) < 0)
		seek_at(seek, query->prefix);
	else if (common_bytes(query, after) == strlen(after))
		seek_behind_all(seek, after);
	else
		seek_behind(seek, after);
}

static int add_object(struct index_page *page, sqlite3_stmt *row, const char *key)
{
	struct store_object *grown =
		room_for(page->objects, page->object_count, sizeof(*page->objects));
	struct store_object *object;

	if (!grown)
		return -ENOMEM;
	page->objects = grown;
	object = &grown[page->object_count++];
	*object = (struct store_object){
		.key = key,
		.size_bytes = (uint64_t)sqlite3_column_int64(row, 1),
		.modified_ms = (uint64_t)sqlite3_column_int64(row, 2),
	};
	column_etag(object->etag, row, 3);
	page->next = key;
	return 0;
}

static int add_prefix(struct index_page *page, char *prefix)
{
	char **grown = room_for(page->prefixes, page->prefix_count, sizeof(*page->prefixes));

	if (!grown)
		return -ENOMEM;
	page->prefixes = grown;
	grown[page->prefix_count++] = prefix;
	page->next = prefix;
	return 0;
}

/* 1: the page goes on with the next row, 2: at @seek, 0: it is complete. Takes @key. */
static int take_key(const struct index_objects_query *query, struct index_page *page,
		    sqlite3_stmt *row, char *key, struct seek *seek)
{
	size_t common = common_bytes(query, key);
	int err;

	if (!begins_with(key, query->prefix) ||
	    page->object_count + page->prefix_count == query->max) {
		page->truncated = begins_with(key, query->prefix);
		free(key);
		return 0;
	}
	if (common) {
		key[common] = '\0';
		seek_behind_all(seek, key);
		err = add_prefix(page, key);
	} else {
		err = add_object(page, row, key);
	}
	if (err) {
		free(key);
		return err;
	}
	return common ? 2 : 1;
}

/* Reads on from @seek. 2: from where it stands now, 0: the page is complete. */
static int read_from(struct index_db *db, const struct index_objects_query *query,
		     struct index_page *page, struct seek *seek)
{
	sqlite3_stmt *list = index_db_get(db, SQL_OBJECT_LIST);
	int got, next = 0;
	char *key;

	sqlite3_bind_text(list, 1, query->bucket, -1, SQLITE_STATIC);
	sqlite3_bind_blob(list, 2, seek->bytes ? (const void *)seek->key : "", (int)seek->bytes,
			  SQLITE_TRANSIENT);
	while ((got = index_db_step(db, list)) == 1) {
		key = column_copy(list, 0);
		next = key ? take_key(query, page, list, key, seek) : -ENOMEM;
		if (next != 1)
			break;
	}
	sqlite3_reset(list);
	return got == 1 ? next : got;
}

int index_list_objects(struct index_db *db, const struct index_objects_query *query,
		       struct index_page *page)
{
	int err = index_bucket_live(db, query->bucket);
	struct seek seek;
	int next = 2;

	if (err)
		return err;
	if (!query->max)
		return 0;
	seek_first(&seek, query);
	while (next == 2 && !seek.over)
		next = read_from(db, query, page, &seek);
	return next < 0 ? next : 0;
}

int index_list_buckets(struct index_db *db, struct index_page *page)
{
	sqlite3_stmt *list = index_db_get(db, SQL_BUCKET_LIST);
	struct store_bucket *grown;
	char *name;
	int got;

	while ((got = index_db_step(db, list)) == 1) {
		grown = room_for(page->buckets, page->bucket_count, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		page->buckets = grown;
		name = column_copy(list, 0);
		if (!name)
			return -ENOMEM;
		grown[page->bucket_count++] = (struct store_bucket){
			.name = name,
			.created_ms = (uint64_t)sqlite3_column_int64(list, 1),
		};
	}
	return got;
}

static int add_upload(struct index_page *page, sqlite3_stmt *row)
{
	struct store_upload *grown =
		room_for(page->uploads, page->upload_count, sizeof(*page->uploads));
	char *key = column_copy(row, 0);
	char *id = malloc(STORE_UPLOAD_ID_BYTES);

	if (grown)
		page->uploads = grown;
	if (!grown || !key || !id) {
		free(key);
		free(id);
		return -ENOMEM;
	}
	snprintf(id, STORE_UPLOAD_ID_BYTES, "%016" PRIx64, (uint64_t)sqlite3_column_int64(row, 1));
	grown[page->upload_count++] = (struct store_upload){
		.key = key,
		.id = id,
		.began_ms = (uint64_t)sqlite3_column_int64(row, 2),
	};
	return 0;
}

static sqlite3_stmt *first_upload(struct index_db *db, const struct index_uploads_query *query)
{
	bool from_after = query->key_after[0] && strcmp(query->key_after, query->prefix) >= 0;
	const char *key = from_after ? query->key_after : query->prefix;
	sqlite3_int64 id = from_after ? (sqlite3_int64)query->id_after : 0;
	sqlite3_stmt *list = index_db_get(db, SQL_UPLOAD_LIST);

	if (from_after && !query->id_after)
		id = INT64_MAX;
	sqlite3_bind_text(list, 1, query->bucket, -1, SQLITE_STATIC);
	sqlite3_bind_blob(list, 2, key, (int)strlen(key), SQLITE_STATIC);
	sqlite3_bind_int64(list, 3, id);
	return list;
}

int index_list_uploads(struct index_db *db, const struct index_uploads_query *query,
		       struct index_page *page)
{
	int got = index_bucket_live(db, query->bucket);
	size_t prefix_bytes = strlen(query->prefix);
	sqlite3_stmt *list;

	if (got)
		return got;
	list = first_upload(db, query);
	while (query->max && (got = index_db_step(db, list)) != 0) {
		if (got < 0)
			return got;
		if ((size_t)sqlite3_column_bytes(list, 0) < prefix_bytes ||
		    (prefix_bytes &&
		     memcmp(sqlite3_column_blob(list, 0), query->prefix, prefix_bytes) != 0))
			break;
		page->truncated = page->upload_count == query->max;
		if (page->truncated)
			break;
		got = add_upload(page, list);
		if (got)
			return got;
	}
	return 0;
}

int index_list_parts(struct index_db *db, const struct index_name *name, unsigned int after,
		     size_t max, struct index_page *page)
{
	int got = index_upload_live(db, name);
	sqlite3_stmt *list;
	struct store_part *grown;

	if (got)
		return got;
	list = index_db_get(db, SQL_PART_LIST);
	index_row_bind_upload(list, name);
	sqlite3_bind_int64(list, 4, after);
	while (max && (got = index_db_step(db, list)) == 1) {
		page->truncated = page->part_count == max;
		if (page->truncated)
			return 0;
		grown = room_for(page->parts, page->part_count, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		page->parts = grown;
		grown = &grown[page->part_count++];
		grown->number = (unsigned int)sqlite3_column_int(list, 0);
		grown->size_bytes = (uint64_t)sqlite3_column_int64(list, 1);
		grown->modified_ms = (uint64_t)sqlite3_column_int64(list, 2);
		column_etag(grown->etag, list, 3);
	}
	return got;
}
