// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_object.c - decisions about buckets and objects. See index_object.h.
 *
 * Room: store. A decision is a question whether it may be, then what a peer's would be:
 * index_entry_apply().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_object.h"
#include "store/index_row.h"

void index_found_free(struct index_found *found)
{
	free(found->meta);
	free(found->files);
	found->meta = NULL;
	found->files = NULL;
}

/*
 * *ours: what is known of what @change names; its version is 0 when nothing is. -ESTALE: it is not
 * older.
 */
static int look(struct index_db *db, const struct index_change *change, struct index_entry *ours)
{
	int err = index_row_peek(db, &change->entry.name, ours);

	if (err)
		*ours = (struct index_entry){.gone = true};
	if (err)
		return err == -ENOENT ? 0 : err;
	return ours->version < change->entry.version ? 0 : -ESTALE;
}

/* It was as it is asked for already. */
static int stand(struct index_change *change, const struct index_entry *ours, int err)
{
	if (ours->version) {
		index_entry_free(&change->entry);
		change->entry = *ours;
		change->stands = true;
	}
	return err;
}

static int decide(struct index_db *db, struct index_change *change, const struct index_file *file,
		  bool *garbage)
{
	enum index_applied how;

	return index_entry_apply(db, &change->entry, file, &how, garbage);
}

int index_bucket_live(struct index_db *db, const char *bucket)
{
	struct index_name name = {.kind = INDEX_BUCKET};
	struct index_entry ours;
	int err;

	memccpy(name.bucket, bucket, 0, sizeof(name.bucket) - 1);
	err = index_row_peek(db, &name, &ours);
	return !err && ours.gone ? -ENOENT : err;
}

int index_bucket_create(struct index_db *db, struct index_change *change)
{
	struct index_entry ours;
	bool garbage;
	int err = look(db, change, &ours);

	if (!ours.gone)
		return stand(change, &ours, -EEXIST);
	return err ? err : decide(db, change, NULL, &garbage);
}

/* Of what is there a tombstone, with what it entails. */
static int end(struct index_db *db, struct index_change *change, bool *garbage)
{
	struct index_entry ours;
	int err = look(db, change, &ours);

	if (ours.gone && (!err || err == -ESTALE))
		return stand(change, &ours, -ENOENT);
	change->entry.gone = true;
	return err ? err : decide(db, change, NULL, garbage);
}

int index_bucket_delete(struct index_db *db, struct index_change *change, bool *garbage)
{
	return end(db, change, garbage);
}

int index_object_remove(struct index_db *db, struct index_change *change, bool *garbage)
{
	return end(db, change, garbage);
}

int index_object_put(struct index_db *db, struct index_change *change,
		     const struct index_file *file, bool *garbage)
{
	int err = index_bucket_live(db, change->entry.name.bucket);
	struct index_entry ours;

	if (!err)
		err = look(db, change, &ours);
	return err ? err : decide(db, change, file, garbage);
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
	struct index_file file = {0};
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

/* Takes the metadata of @entry. */
static int fill_found(struct index_db *db, struct index_entry *entry, struct index_found *found)
{
	int err;

	*found = (struct index_found){
		.version = entry->version,
		.size_bytes = entry->size_bytes,
		.modified_ms = entry->modified_ms,
		.away = entry->away,
		.meta = entry->meta,
		.meta_bytes = entry->meta_bytes,
	};
	memcpy(found->etag, entry->etag, sizeof(found->etag));
	err = entry->away ? 0 : find_files(db, found);
	if (err)
		index_found_free(found);
	return err;
}

int index_object_find(struct index_db *db, const struct index_name *name, struct index_found *found)
{
	struct index_entry entry;
	int err = index_entry_find(db, name, &entry);

	if (err)
		return err;
	return entry.gone ? -ENOENT : fill_found(db, &entry, found);
}

int index_object_find_version(struct index_db *db, const struct index_name *name, uint64_t version,
			      struct index_found *found)
{
	int err = index_object_find(db, name, found);

	if (!err && (found->version != version || found->away)) {
		index_found_free(found);
		err = -ENOENT;
	}
	return err;
}
