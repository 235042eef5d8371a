/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir_file_inner.h - a file being written, for dir_file.c, dir_file_undo.c and dir_shelf.c.
 *
 * Room: store.
 */
#ifndef KNELL_STORE_DIR_FILE_INNER_H
#define KNELL_STORE_DIR_FILE_INNER_H

#include "store/dir_inner.h"
#include "store/shelf.h"

struct buffer {
	struct file_op op;
	struct dir_file *file;
	STAILQ_ENTRY(buffer) entry;
	size_t used;
	uint8_t data[STORE_CHUNK_BYTES];
};

struct dir_file {
	LIST_ENTRY(dir_file) entry;
	struct dir *dir;
	const struct dir_file_events *events;
	void *ctx;
	struct loop_task advance; /* looks at what is to be done next */
	struct loop_task free_task;
	struct file_op op; /* opens, removes */
	struct file_publish publish;
	struct buffer *filling;
	STAILQ_HEAD(, buffer) full; /* wait for the file to be open */
	size_t flying;		    /* buffers that are full: waiting or being written */
	int fd;
	int err;
	uint64_t expected_bytes;
	uint64_t size_bytes;
	uint64_t offset; /* where the next buffer goes */
	uint64_t written_back;
	uint64_t number; /* 0: none yet */
	struct dir_shelf *shelf;
	TAILQ_ENTRY(dir_file) numbered; /* waiting for a number, or unsettled */
	bool busy;			/* `op`, `publish` or the number is awaited */
	bool opening;			/* or open */
	bool numbering;			/* waits for a number */
	bool keeping, published;
	bool told; /* of the error, or that it is kept */
	bool wants_room;
	bool gone;    /* the owner has let go */
	bool undoing; /* names are to be removed */
	unsigned int undone;
	char tmp_name[SHELF_NAME_BYTES];
	char name[SHELF_NAME_BYTES];
	char path[SHELF_PATH_BYTES];
};

void dir_file_init_undo(struct dir_file *file);

/** dir_file_undo - the next step of letting go. */
void dir_file_undo(struct dir_file *file);

/** dir_file_free_full - what waits for a file that will never be open. */
void dir_file_free_full(struct dir_file *file);

#endif
