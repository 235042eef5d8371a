/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir_file_inner.h - a file being written, for dir_file.c, dir_file_undo.c, dir_air.c and
 * dir_shelf.c.
 *
 * Room: store.
 */
#ifndef KNELL_STORE_DIR_FILE_INNER_H
#define KNELL_STORE_DIR_FILE_INNER_H

#include "store/dir_inner.h"
#include "store/shelf.h"

struct buffer {
	struct file_op op;
	struct hash_job hash;
	struct dir_file *file;
	STAILQ_ENTRY(buffer) entry;
	unsigned int uses; /* to be written, to be hashed */
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
	size_t flying;		    /* buffers that are full: still to be written or hashed */
	size_t hashing;		    /* of these, those that a thread has */
	EVP_MD_CTX *md5;
	int fd;
	int err;
	uint64_t lane; /* of hashing */
	uint64_t expected_bytes;
	uint64_t size_bytes;
	uint64_t offset; /* where the next buffer goes */
	uint64_t written_back;
	uint64_t number; /* 0: none yet */
	struct dir_shelf *shelf;
	TAILQ_ENTRY(dir_file) numbered; /* waiting for a number, or unsettled */
	TAILQ_ENTRY(dir_file) air;
	size_t writing; /* buffers on their way to the disk */
	bool in_air, wants_air;
	bool wants_open;
	bool busy;	/* `op`, `publish` or the number is awaited */
	bool opening;	/* or open */
	bool numbering; /* waits for a number */
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

/**
 * dir_air_take - may it ask the disk for something? Else `advance` is run when it may.
 *
 * dir_air_leave - after anything has ended: if nothing is under way, another one's turn has come.
 */
bool dir_air_take(struct dir_file *file);
void dir_air_leave(struct dir_file *file);

/** dir_file_undo - the next step of letting go. */
void dir_file_undo(struct dir_file *file);

/** dir_file_used - a full buffer was written, or hashed, or never will be. */
void dir_file_used(struct buffer *buffer);

/** dir_file_free_full - what waits for a file that will never be open. */
void dir_file_free_full(struct dir_file *file);

#endif
