// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_shelf.c - numbers for files, and their directories. See dir_shelf.h.
 *
 * Room: store.
 *
 * Happy path: numbers are handed out one after the other; half way through a shelf the next one is
 * made, so that nobody waits for it.
 * Failure modes: it cannot be made (a full disk): those who wait for a number are told why, and the
 * next to ask makes it be tried again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/dir_file_inner.h"

#define DIR_MODE 0700

/* Makes a shelf; for the thread, which has descriptors of its own. */
struct making {
	struct index_call base;
	struct dir *dir; /* on the loop only */
	uint64_t number;
	int data_fd;
	int fd;
};

static void free_making(struct making *making)
{
	if (making->data_fd >= 0)
		close(making->data_fd);
	if (making->fd >= 0)
		close(making->fd);
	free(making);
}

static void drop_making(struct index_call *base)
{
	free_making(LOOP_OWNER(base, struct making, base));
}

static int make_shelf(struct index_call *base, struct index_db *db)
{
	struct making *making = LOOP_OWNER(base, struct making, base);
	sqlite3_stmt *update = index_db_get(db, SQL_STATE_SHELF);
	char name[SHELF_NAME_BYTES];

	shelf_name(name, making->number);
	if (mkdirat(making->data_fd, name, DIR_MODE) && errno != EEXIST)
		return -errno;
	making->fd = openat(making->data_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (making->fd < 0 || fsync(making->data_fd))
		return -errno;
	sqlite3_bind_int64(update, 1, (sqlite3_int64)making->number);
	return index_db_step(db, update);
}

static void close_shelf(struct dir *dir, struct dir_shelf *shelf)
{
	file_close(dir->loop, shelf->fd);
	free(shelf);
}

void dir_shelf_leave(struct dir *dir, struct dir_shelf *shelf)
{
	if (!--shelf->users)
		close_shelf(dir, shelf);
}

static bool is_full(const struct dir_shelf *shelf)
{
	return shelf->next_file == (shelf->number + 1) * SHELF_FILES;
}

static bool is_half_full(const struct dir_shelf *shelf)
{
	return shelf->next_file - shelf->number * SHELF_FILES >= SHELF_FILES / 2;
}

static void fail_waiting(struct dir *dir, int err)
{
	struct dir_file_list list = TAILQ_HEAD_INITIALIZER(list);
	struct dir_file *file;

	TAILQ_CONCAT(&list, &dir->shelves.waiting, numbered);
	while ((file = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, file, numbered);
		dir_file_numbered(file, NULL, 0, err);
	}
}

static void took_shelf(struct index_call *base, int err)
{
	struct making *making = LOOP_OWNER(base, struct making, base);
	struct dir *dir = making->dir;
	struct dir_shelves *shelves = &dir->shelves;
	struct dir_shelf *shelf = err ? NULL : calloc(1, sizeof(*shelf));

	shelves->asking = false;
	if (shelf) {
		shelf->number = making->number;
		shelf->next_file = making->number * SHELF_FILES;
		shelf->users = 1;
		shelf->fd = making->fd;
		making->fd = -1;
		shelves->spare = shelf;
		shelves->last = shelf->number;
		loop_defer(dir->loop, &shelves->give_task);
	} else if (!shelves->current || is_full(shelves->current)) {
		fail_waiting(dir, err ? err : -ENOMEM);
	}
	free_making(making);
}

static int ask(struct dir *dir)
{
	struct making *making = calloc(1, sizeof(*making));
	int err = -EMFILE;

	if (!making)
		return -ENOMEM;
	making->base = (struct index_call){
		.run = make_shelf, .done = took_shelf, .drop = drop_making, .changes = true};
	making->dir = dir;
	making->number = dir->shelves.last + 1;
	making->fd = -1;
	making->data_fd = fcntl(dir->data_fd, F_DUPFD_CLOEXEC, 0);
	if (making->data_fd >= 0)
		err = index_submit(dir->index, &making->base);
	if (err)
		free_making(making);
	else
		dir->shelves.asking = true;
	return err;
}

static void see_to_spare(struct dir *dir)
{
	struct dir_shelves *shelves = &dir->shelves;
	int err;

	if (shelves->asking || shelves->spare ||
	    (shelves->current && !is_half_full(shelves->current)))
		return;
	err = ask(dir);
	if (err && (!shelves->current || is_full(shelves->current)))
		fail_waiting(dir, err);
}

static void give(struct loop_task *task)
{
	struct dir_shelves *shelves = LOOP_OWNER(task, struct dir_shelves, give_task);
	struct dir *dir = LOOP_OWNER(shelves, struct dir, shelves);
	struct dir_shelf *shelf;
	struct dir_file *file;

	if (dir->closed)
		return;
	while ((file = TAILQ_FIRST(&shelves->waiting))) {
		if (shelves->spare && (!shelves->current || is_full(shelves->current))) {
			if (shelves->current)
				dir_shelf_leave(dir, shelves->current);
			shelves->current = shelves->spare;
			shelves->spare = NULL;
		}
		shelf = shelves->current;
		if (!shelf || is_full(shelf))
			break;
		shelf->users++;
		TAILQ_REMOVE(&shelves->waiting, file, numbered);
		TAILQ_INSERT_TAIL(&shelves->unsettled, file, numbered);
		dir_file_numbered(file, shelf, shelf->next_file++, 0);
	}
	see_to_spare(dir);
}

void dir_shelf_take(struct dir *dir, struct dir_file *file)
{
	TAILQ_INSERT_TAIL(&dir->shelves.waiting, file, numbered);
	loop_defer(dir->loop, &dir->shelves.give_task);
}

void dir_shelf_forget(struct dir *dir, struct dir_file *file)
{
	TAILQ_REMOVE(&dir->shelves.waiting, file, numbered);
}

void dir_shelf_settle(struct dir *dir, struct dir_file *file)
{
	TAILQ_REMOVE(&dir->shelves.unsettled, file, numbered);
}

void dir_shelf_doubt(struct dir *dir, struct dir_file *file)
{
	if (!dir->shelves.unsure || file->number < dir->shelves.unsure)
		dir->shelves.unsure = file->number;
	dir_shelf_settle(dir, file);
}

uint64_t dir_shelf_settled(const struct dir *dir)
{
	const struct dir_shelves *shelves = &dir->shelves;
	const struct dir_file *first = TAILQ_FIRST(&shelves->unsettled);
	uint64_t settled = first ? first->number : 0;

	if (!first && shelves->current)
		settled = shelves->current->next_file;
	if (shelves->unsure && shelves->unsure < settled)
		settled = shelves->unsure;
	return settled;
}

void dir_shelves_init(struct dir *dir)
{
	TAILQ_INIT(&dir->shelves.waiting);
	TAILQ_INIT(&dir->shelves.unsettled);
	dir->shelves.give_task.run = give;
}

void dir_shelves_open(struct dir *dir, uint64_t last)
{
	dir->shelves.last = last;
	see_to_spare(dir);
}

void dir_shelves_close(struct dir *dir)
{
	struct dir_shelves *shelves = &dir->shelves;

	if (shelves->current)
		dir_shelf_leave(dir, shelves->current);
	if (shelves->spare)
		dir_shelf_leave(dir, shelves->spare);
	shelves->current = NULL;
	shelves->spare = NULL;
}
