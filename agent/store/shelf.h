/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shelf.h - files are numbered, and a directory ("shelf") has SHELF_FILES of them in a row.
 *
 * Room: store. Pure. Called by whoever names a file.
 *
 * In a row, and not scattered by hash: files that are written at the same time share a directory,
 * so one flush of it serves them all, and recovery looks at the last shelves only. No key ever
 * becomes a file's name.
 */
#ifndef KNELL_STORE_SHELF_H
#define KNELL_STORE_SHELF_H

#include <inttypes.h>
#include <stdint.h>

enum {
	SHELF_FILES = 1024,
	SHELF_NAME_BYTES = 24,
	SHELF_PATH_BYTES = 48,
};

/** shelf_of - the shelf on which file @id stands. The first file is number SHELF_FILES. */
uint64_t shelf_of(uint64_t file);

/** shelf_name - the directory's name in data/. */
void shelf_name(char name[SHELF_NAME_BYTES], uint64_t shelf);

/** shelf_file_name - the file's name in its directory. */
void shelf_file_name(char name[SHELF_NAME_BYTES], uint64_t file);

/** shelf_path - both, from data/. */
void shelf_path(char path[SHELF_PATH_BYTES], uint64_t file);

/** shelf_parse - the reverse of the two names; 0: it is none. */
uint64_t shelf_parse(const char *name);

#endif
