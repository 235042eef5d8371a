// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir.c - the embedded engine: opened, closed, and its table of functions. See dir.h.
 *
 * Room: store.
 *
 * On the drive: see recover.h; what the rows mean: index_db.c; how a file gets there: dir_file.c.
 *
 * Happy path: the index opens and recovers on its thread, then calls that waited go on.
 * Failure modes: the drive cannot be opened: calls end with the reason until it can. Closed while
 * operations are in flight: nobody is told any more, they end by themselves, and the last one frees
 * us; what they leave on the drive is recovery's to remove.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "store/dir_inner.h"

/* A version is the time in ms, then a count within it, then who gave it out: 44, 12 and 8 bits. */
#define VERSION_MS_SHIFT 20
#define VERSION_STEP	 (UINT64_C(1) << 8)

/*
 * A clock that is so far ahead is none: its versions would leave no room for later ones. Far enough
 * that a host which has lost its time altogether does not think so of all others.
 */
#define AHEAD_MS_MAX (UINT64_C(100) * 365 * 24 * 3600 * MS_PER_S)

#define MS_PER_S  UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)

struct dir *dir_of(struct store *store)
{
	return LOOP_OWNER(store, struct dir, store);
}

uint64_t dir_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

uint64_t dir_version_at(uint64_t unix_ms)
{
	return unix_ms << VERSION_MS_SHIFT;
}

uint64_t dir_tick(struct dir *dir)
{
	uint64_t by_time = dir_version_at(dir_now_ms());

	/* A clock that was set back does not make an old version out of a new one. */
	if (by_time <= dir->clock)
		by_time = (dir->clock & ~(VERSION_STEP - 1)) + VERSION_STEP;
	dir->clock = by_time | dir->node;
	return dir->clock;
}

int dir_observe(struct dir *dir, uint64_t version)
{
	if (version > dir_version_at(dir_now_ms() + AHEAD_MS_MAX))
		return -EINVAL;
	if (version > dir->clock)
		dir->clock = version;
	return 0;
}

uint64_t dir_clock(const struct dir *dir)
{
	return dir->clock;
}

const char *dir_drive_id(const struct dir *dir)
{
	const struct index_drive *drive = index_drive(dir->index);

	return drive ? drive->id : "";
}

void dir_join(struct dir *dir, struct quorum *quorum, unsigned int node)
{
	dir->quorum = quorum;
	dir->node = (uint8_t)node;
}

void dir_part(struct dir *dir)
{
	dir->quorum = NULL;
}

static void free_dir(struct loop_task *task)
{
	struct dir *dir = LOOP_OWNER(task, struct dir, free_task);

	if (dir->users || dir->shelves.give_task.queued) {
		loop_reap(dir->loop, task);
		return;
	}
	file_close(dir->loop, dir->tmp_fd);
	file_close(dir->loop, dir->data_fd);
	free(dir);
}

void dir_enter(struct dir *dir)
{
	dir->users++;
}

void dir_leave(struct dir *dir)
{
	dir->users--;
	if (!dir->users && dir->closed)
		loop_reap(dir->loop, &dir->free_task);
}

static int open_drive(struct dir *dir)
{
	const struct index_drive *drive = index_drive(dir->index);

	dir->tmp_fd = fcntl(drive->tmp_fd, F_DUPFD_CLOEXEC, 0);
	dir->data_fd = fcntl(drive->data_fd, F_DUPFD_CLOEXEC, 0);
	if (dir->tmp_fd < 0 || dir->data_fd < 0)
		return -errno;
	/* Whatever it is: what stands there has no greater version. */
	if (drive->clock > dir->clock)
		dir->clock = drive->clock;
	dir_shelves_open(dir, drive->shelf);
	dir_sweep_soon(dir);
	return 0;
}

static void on_opened(void *ctx, int err, const char *why)
{
	struct dir *dir = ctx;

	if (!err)
		err = open_drive(dir);
	if (dir->tell)
		dir->tell(dir->ctx, err, err && !why[0] ? strerror(-err) : why);
}

static void close_dir(struct store *store)
{
	struct dir *dir = dir_of(store);

	if (dir->closed)
		return;
	dir->closed = true;
	dir_enter(dir);
	dir_call_close_all(dir);
	index_close(dir->index);
	hash_close(dir->hashes);
	dir_put_close_all(dir);
	dir_file_close_all(dir);
	dir_get_close_all(dir);
	dir_sweep_close(dir);
	dir_purge_close(dir);
	dir_shelves_close(dir);
	dir_leave(dir);
}

static const struct store_engine engine = {
	.name = "dir",
	.bucket_create = dir_bucket_create,
	.bucket_delete = dir_bucket_delete,
	.bucket_head = dir_bucket_head,
	.bucket_list = dir_bucket_list,
	.get = dir_get_begin,
	.get_read = dir_get_read,
	.get_close = dir_get_close,
	.put = dir_put_begin,
	.part_put = dir_part_begin,
	.put_write = dir_put_write,
	.put_commit = dir_put_commit,
	.put_abort = dir_put_abort,
	.remove = dir_remove,
	.list = dir_list,
	.upload_begin = dir_upload_begin,
	.upload_complete = dir_upload_complete,
	.upload_abort = dir_upload_abort,
	.part_list = dir_part_list,
	.upload_list = dir_upload_list,
	.forget = dir_forget,
	.close = close_dir,
};

int dir_open(struct store **store, struct loop *loop, const char *path, dir_opened opened,
	     void *ctx)
{
	struct dir *dir = calloc(1, sizeof(*dir));
	int err;

	if (!dir)
		return -ENOMEM;
	dir->store.engine = &engine;
	dir->loop = loop;
	dir->tell = opened;
	dir->ctx = ctx;
	dir->tmp_fd = -1;
	dir->data_fd = -1;
	dir->free_task.run = free_dir;
	LIST_INIT(&dir->files);
	TAILQ_INIT(&dir->waiting_for_air);
	LIST_INIT(&dir->puts);
	LIST_INIT(&dir->gets);
	LIST_INIT(&dir->waiting);
	dir_shelves_init(dir);
	dir_sweep_init(dir);
	dir_purge_open(dir);
	err = hash_open(&dir->hashes, loop);
	if (!err)
		err = index_open(&dir->index, loop, path, on_opened, dir);
	if (err) {
		hash_close(dir->hashes);
		free(dir);
		return err;
	}
	*store = &dir->store;
	return 0;
}
