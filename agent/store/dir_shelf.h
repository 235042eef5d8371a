/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir_shelf.h - numbers for files, and the directories that they go to. See shelf.h.
 *
 * Room: store. Calls the index. Called by dir_file.
 */
#ifndef KNELL_STORE_DIR_SHELF_H
#define KNELL_STORE_DIR_SHELF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "io/loop.h"

struct dir;
struct dir_file;

/* A directory that exists, durably; open while a file may still be put there. */
struct dir_shelf {
	uint64_t number;
	uint64_t next_file;
	int fd;
	unsigned int users;
};

TAILQ_HEAD(dir_file_list, dir_file);

struct dir_shelves {
	struct dir_shelf *current;
	struct dir_shelf *spare; /* for when the current one is full */
	uint64_t last;		 /* the highest number that was asked for */
	bool asking;
	struct dir_file_list waiting; /* for a number */
	/* Have a number, and no row yet: in order of their numbers. */
	struct dir_file_list unsettled;
	uint64_t unsure; /* the least number whose row nobody knows of; 0: none */
	struct loop_task give_task;
};

void dir_shelves_init(struct dir *dir);

/** dir_shelves_open - the drive is open: shelves up to @last have been used before. */
void dir_shelves_open(struct dir *dir, uint64_t last);

/** dir_shelves_close - let go of the directories. Nobody waits any more. */
void dir_shelves_close(struct dir *dir);

/**
 * dir_shelf_take - ask for a number; dir_file_numbered() tells, never from inside the call.
 *
 * dir_shelf_forget() takes it back as long as that has not come.
 */
void dir_shelf_take(struct dir *dir, struct dir_file *file);
void dir_shelf_forget(struct dir *dir, struct dir_file *file);

/** dir_shelf_settle - the file has a row, or is gone from the disk. */
void dir_shelf_settle(struct dir *dir, struct dir_file *file);

/** dir_shelf_doubt - the file may have a row: to be found out at the next start. */
void dir_shelf_doubt(struct dir *dir, struct dir_file *file);

/** dir_shelf_settled - every file below this number is settled. */
uint64_t dir_shelf_settled(const struct dir *dir);

void dir_shelf_leave(struct dir *dir, struct dir_shelf *shelf);

#endif
