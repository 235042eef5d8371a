/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover.h - the directories of a drive, and what is left in them by whoever died.
 *
 * Room: store. Calls index_db and the file system; blocks, so only on the index's thread. Called by
 * index.c.
 *
 * On the drive: index.db, lock, tmp/NAME (being written) and data/SHELF/FILE (see shelf.h).
 */
#ifndef KNELL_STORE_RECOVER_H
#define KNELL_STORE_RECOVER_H

#include <stddef.h>
#include <stdint.h>
#include "store/index_db.h"

enum { INDEX_DRIVE_ID_BYTES = 33 };

struct index_drive {
	int lock_fd; /* held: one agent per drive */
	int root_fd, tmp_fd, data_fd;
	uint64_t shelf;		       /* files of this number and below may exist */
	uint64_t clock;		       /* the last version given out or heard of */
	char id[INDEX_DRIVE_ID_BYTES]; /* random, made with the index */
	/* What recovery removed: begun and never finished. */
	unsigned int removed_uploads, removed_files;
};

#define INDEX_DRIVE_CLOSED                                                \
	{                                                                 \
		.lock_fd = -1, .root_fd = -1, .tmp_fd = -1, .data_fd = -1 \
	}

/**
 * recover_open - open the drive's directories, make those that are missing, take the lock.
 *
 * 0, -EBUSY (another agent has it) or another negative errno.
 */
int recover_open(struct index_drive *drive, const char *path);
void recover_close(struct index_drive *drive);

/** recover - read the state, remove every file that no row names. 0 or a negative errno. */
int recover(struct index_drive *drive, struct index_db *db);

#endif
