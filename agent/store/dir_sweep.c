// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_sweep.c - removes files that nothing needs any more.
 *
 * Room: store.
 *
 * Happy path: a while after files became garbage, a page of them is read from the index, each is
 * removed, and then their rows, in one commit; and so on until none is left.
 * Failure modes: a reader holds the object: its files are passed over until the pin is let go. A
 * file cannot be removed: its row stays, and the next sweep or the next start tries again. Died in
 * between: a file that is gone already is as good as removed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/dir_inner.h"

struct page {
	struct dir_call call; /* first */
	uint64_t after;
	uint64_t files[DIR_SWEEP_FILES], holders[DIR_SWEEP_FILES];
	size_t count;
	int data_fd;
	uint64_t shelves_below; /* nobody puts a file there any more */
};

static void read_page(struct dir *dir);
static void remove_next(struct dir *dir);

static void end_sweep(struct dir *dir)
{
	struct dir_sweep *sweep = &dir->sweep;

	sweep->busy = false;
	if (sweep->again)
		dir_sweep_soon(dir);
}

static struct page *page_of(struct index_call *base)
{
	return LOOP_OWNER(base, struct page, call.base);
}

static void drop_page(struct index_call *base)
{
	struct page *page = page_of(base);

	if (page->data_fd >= 0)
		close(page->data_fd);
	dir_call_free(&page->call);
}

static struct page *new_page(struct dir *dir, int (*run)(struct index_call *, struct index_db *),
			     void (*finish)(struct dir_call *, int))
{
	struct page *page = dir_call_new(dir, sizeof(*page), NULL, run, finish);

	if (!page)
		return NULL;
	page->call.base.drop = drop_page;
	page->call.local = true;
	page->data_fd = -1;
	return page;
}

/* ---- the rows go ---- */

static int run_forgetting(struct index_call *base, struct index_db *db)
{
	struct page *page = page_of(base);
	char name[SHELF_NAME_BYTES];
	sqlite3_stmt *forget;
	uint64_t shelf = 0;
	size_t i;
	int err = 0;

	for (i = 0; i < page->count && !err; i++) {
		forget = index_db_get(db, SQL_GARBAGE_DELETE);
		sqlite3_bind_int64(forget, 1, (sqlite3_int64)page->files[i]);
		err = index_db_step(db, forget);
		if (shelf_of(page->files[i]) == shelf)
			continue;
		shelf = shelf_of(page->files[i]);
		shelf_name(name, shelf);
		/* Only one that is empty goes. */
		if (shelf < page->shelves_below)
			(void)!unlinkat(page->data_fd, name, AT_REMOVEDIR);
	}
	return err;
}

static void finish_forgetting(struct dir_call *call, int err)
{
	struct dir *dir = call->dir;

	drop_page(&call->base);
	if (err || dir->sweep.count < DIR_SWEEP_FILES)
		end_sweep(dir);
	else
		read_page(dir);
}

static void forget_removed(struct dir *dir)
{
	struct dir_sweep *sweep = &dir->sweep;
	struct page *page = new_page(dir, run_forgetting, finish_forgetting);

	if (page) {
		page->call.base.changes = true;
		page->count = sweep->removed;
		memcpy(page->files, sweep->files, sweep->removed * sizeof(page->files[0]));
		page->data_fd = fcntl(dir->data_fd, F_DUPFD_CLOEXEC, 0);
		page->shelves_below = shelf_of(dir_shelf_settled(dir));
	}
	if (!page || dir_call_submit(&page->call))
		end_sweep(dir);
}

/* ---- the files go ---- */

static void on_removed(struct file_op *op, ssize_t res)
{
	struct dir_sweep *sweep = LOOP_OWNER(op, struct dir_sweep, op);
	struct dir *dir = LOOP_OWNER(sweep, struct dir, sweep);

	/* `removed` is behind `next`: the front of the array is free to take those that are gone.
	 */
	if (!res || res == -ENOENT)
		sweep->files[sweep->removed++] = sweep->files[sweep->next];
	sweep->next++;
	if (!dir->closed)
		remove_next(dir);
	dir_leave(dir);
}

static void remove_next(struct dir *dir)
{
	struct dir_sweep *sweep = &dir->sweep;

	while (sweep->next < sweep->count && dir_is_pinned(dir, sweep->holders[sweep->next])) {
		sweep->skipped = true;
		sweep->next++;
	}
	if (sweep->next < sweep->count) {
		shelf_path(sweep->path, sweep->files[sweep->next]);
		dir_enter(dir);
		file_unlink(dir->loop, &sweep->op, dir->data_fd, sweep->path);
	} else if (sweep->removed) {
		forget_removed(dir);
	} else if (sweep->count == DIR_SWEEP_FILES) {
		read_page(dir);
	} else {
		end_sweep(dir);
	}
}

/* ---- which ---- */

static int run_page(struct index_call *base, struct index_db *db)
{
	struct page *page = page_of(base);
	sqlite3_stmt *list = index_db_get(db, SQL_GARBAGE_LIST);
	int got = 0;

	sqlite3_bind_int64(list, 1, (sqlite3_int64)page->after);
	while (page->count < DIR_SWEEP_FILES && (got = index_db_step(db, list)) == 1) {
		page->files[page->count] = (uint64_t)sqlite3_column_int64(list, 0);
		page->holders[page->count++] = (uint64_t)sqlite3_column_int64(list, 1);
	}
	return got < 0 ? got : 0;
}

static void finish_page(struct dir_call *call, int err)
{
	struct page *page = page_of(&call->base);
	struct dir *dir = call->dir;
	struct dir_sweep *sweep = &dir->sweep;

	sweep->count = err ? 0 : page->count;
	sweep->next = 0;
	sweep->removed = 0;
	memcpy(sweep->files, page->files, sizeof(sweep->files));
	memcpy(sweep->holders, page->holders, sizeof(sweep->holders));
	if (sweep->count)
		sweep->after = sweep->files[sweep->count - 1];
	drop_page(&call->base);
	remove_next(dir);
}

static void read_page(struct dir *dir)
{
	struct page *page = new_page(dir, run_page, finish_page);

	if (page)
		page->after = dir->sweep.after;
	if (!page || dir_call_submit(&page->call))
		end_sweep(dir);
}

static void on_time(struct timer *timer)
{
	struct dir_sweep *sweep = LOOP_OWNER(timer, struct dir_sweep, timer);

	if (sweep->busy) {
		sweep->again = true;
		return;
	}
	sweep->busy = true;
	sweep->again = false;
	sweep->skipped = false;
	sweep->after = 0;
	read_page(LOOP_OWNER(sweep, struct dir, sweep));
}

void dir_sweep_soon(struct dir *dir)
{
	struct dir_sweep *sweep = &dir->sweep;

	if (!sweep->timer.armed && !dir->closed)
		loop_arm(dir->loop, &sweep->timer, loop_now_ns(dir->loop) + DIR_SWEEP_DELAY_NS);
}

void dir_sweep_init(struct dir *dir)
{
	dir->sweep.timer.fire = on_time;
	dir->sweep.op.done = on_removed;
}

void dir_sweep_close(struct dir *dir)
{
	loop_disarm(dir->loop, &dir->sweep.timer);
}
