// SPDX-License-Identifier: BSD-2-Clause
/*
 * recover.c - the directories of a drive, and what is left in them. See recover.h.
 *
 * Room: store.
 *
 * Happy path: tmp/ is empty, and no shelf since the last settled file has a file without a row.
 * What may be there after a death, and what becomes of it:
 * - a file in tmp/: nobody was told that it is kept: removed.
 * - a file in data/ that neither `file` nor `garbage` names: it got its name, but the commit of its
 *   row did not come: removed. Such a file is never below `settled`, so older shelves need no look.
 * - a row in `garbage`: its file may or may not be gone; dir_sweep sees to it at leisure.
 * Died in here: done again from the start, nothing depends on the order.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/recover.h"
#include "store/shelf.h"

#define DIR_MODE  0700
#define FILE_MODE 0600

static int open_dir(int parent_fd, const char *name)
{
	int fd;

	if (mkdirat(parent_fd, name, DIR_MODE) && errno != EEXIST)
		return -errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int recover_open(struct index_drive *drive, const char *path)
{
	drive->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (drive->root_fd < 0)
		return -errno;
	drive->lock_fd = openat(drive->root_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
	if (drive->lock_fd < 0)
		return -errno;
	if (flock(drive->lock_fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	drive->tmp_fd = open_dir(drive->root_fd, "tmp");
	if (drive->tmp_fd < 0)
		return drive->tmp_fd;
	drive->data_fd = open_dir(drive->root_fd, "data");
	if (drive->data_fd < 0)
		return drive->data_fd;
	return fsync(drive->root_fd) ? -errno : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void recover_close(struct index_drive *drive)
{
	close_fd(&drive->data_fd);
	close_fd(&drive->tmp_fd);
	close_fd(&drive->root_fd);
	close_fd(&drive->lock_fd);
}

/* Negative errno; 1: it stays, 0: it is to go. */
typedef int (*judge)(struct index_db *db, const char *name);

static int remove_from(DIR *dir, struct index_db *db, judge stays, unsigned int *removed)
{
	struct dirent *item;
	int verdict;

	while (errno = 0, (item = readdir(dir))) {
		if (item->d_name[0] == '.')
			continue;
		verdict = stays(db, item->d_name);
		if (verdict < 0)
			return verdict;
		if (verdict)
			continue;
		if (unlinkat(dirfd(dir), item->d_name, 0))
			return -errno;
		++*removed;
	}
	return -errno;
}

static int sweep_dir(int parent_fd, const char *name, struct index_db *db, judge stays,
		     unsigned int *removed)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	err = remove_from(dir, db, stays, removed);
	closedir(dir);
	return err;
}

static int never_stays(struct index_db *db, const char *name)
{
	(void)db;
	(void)name;
	return 0;
}

static int stays_if_known(struct index_db *db, const char *name)
{
	uint64_t file = shelf_parse(name);
	sqlite3_stmt *known;

	/* Not ours. */
	if (!file)
		return 1;
	known = index_db_get(db, SQL_FILE_KNOWN);
	sqlite3_bind_int64(known, 1, (sqlite3_int64)file);
	return index_db_step(db, known);
}

static int read_state(struct index_drive *drive, struct index_db *db, uint64_t *settled)
{
	sqlite3_stmt *state = index_db_get(db, SQL_STATE_READ);
	int got = index_db_step(db, state);

	if (got != 1)
		return got ? got : -EBADMSG;
	drive->shelf = (uint64_t)sqlite3_column_int64(state, 0);
	*settled = (uint64_t)sqlite3_column_int64(state, 1);
	drive->clock = (uint64_t)sqlite3_column_int64(state, 2);
	snprintf(drive->id, sizeof(drive->id), "%s", (const char *)sqlite3_column_text(state, 3));
	sqlite3_reset(state);
	return 0;
}

int recover(struct index_drive *drive, struct index_db *db)
{
	char name[SHELF_NAME_BYTES];
	uint64_t shelf, settled = 0;
	int err = read_state(drive, db, &settled);

	if (!err)
		err = sweep_dir(drive->root_fd, "tmp", db, never_stays, &drive->removed_uploads);
	for (shelf = shelf_of(settled); !err && shelf <= drive->shelf; shelf++) {
		shelf_name(name, shelf);
		err = sweep_dir(drive->data_fd, name, db, stays_if_known, &drive->removed_files);
		/* Only one that is empty goes. */
		if (!err)
			(void)!unlinkat(drive->data_fd, name, AT_REMOVEDIR);
	}
	return err;
}
