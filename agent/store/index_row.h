/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_row.h - rows of entries and of files, one at a time and without judgement.
 *
 * Room: store. Calls index_db; blocks, so only inside index_call.run(). Called by index_*.c:
 * whether a row may be written is for index_entry to say.
 */
#ifndef KNELL_STORE_INDEX_ROW_H
#define KNELL_STORE_INDEX_ROW_H

#include "store/index_entry.h"

/** index_row_bind_upload - bucket, key and upload of @name are the first three parameters. */
void index_row_bind_upload(sqlite3_stmt *statement, const struct index_name *name);

/** index_row_peek - as index_entry_find(), but without metadata: nothing to be freed. */
int index_row_peek(struct index_db *db, const struct index_name *name, struct index_entry *entry);

/** index_row_read - a row of the statements SQL_ENTRY_*; without @meta nothing is to be freed. */
int index_row_read(sqlite3_stmt *row, bool meta, struct index_entry *entry);

/** index_row_put - @entry stands under its name from now on, with a new lsn. */
int index_row_put(struct index_db *db, const struct index_entry *entry);

/** index_row_delete_parts - of @upload; their files become garbage. */
int index_row_delete_parts(struct index_db *db, const struct index_name *upload, bool *garbage);

int index_file_insert(struct index_db *db, const struct index_file *file, uint64_t holder,
		      unsigned int seq);

/** index_file_refuse - it is not needed after all: garbage, if it is a file at all. */
int index_file_refuse(struct index_db *db, const struct index_file *file, bool *garbage);

/** index_file_hand_over - the file of the part @from is piece @seq of the object @to. */
int index_file_hand_over(struct index_db *db, uint64_t from, uint64_t to, unsigned int seq);

/** index_file_retire - all files of @holder become garbage. */
int index_file_retire(struct index_db *db, uint64_t holder, bool *garbage);

/** index_advance - note what is settled, and the last version given out or heard of. */
int index_advance(struct index_db *db, uint64_t settled, uint64_t clock);

#endif
