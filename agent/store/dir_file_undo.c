// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_file_undo.c - how a file being written is let go of. See dir_file.h.
 *
 * Room: store. In this order: what is in flight ends, names are removed, the number is settled, the
 * descriptor closed, the memory freed.
 */
#include <errno.h>
#include <stdlib.h>
#include "store/dir_file_inner.h"

enum { UNDO_TMP, UNDO_NAME, UNDONE };

void dir_file_used(struct buffer *buffer)
{
	if (--buffer->uses)
		return;
	buffer->file->flying--;
	buffer->file->dir->buffers--;
	free(buffer);
}

void dir_file_free_full(struct dir_file *file)
{
	struct buffer *buffer;

	while ((buffer = STAILQ_FIRST(&file->full))) {
		STAILQ_REMOVE_HEAD(&file->full, entry);
		dir_file_used(buffer);
	}
}

static void free_file(struct loop_task *task)
{
	struct dir_file *file = LOOP_OWNER(task, struct dir_file, free_task);

	if (file->advance.queued) {
		loop_reap(file->dir->loop, task);
		return;
	}
	LIST_REMOVE(file, entry);
	file->dir->buffers -= file->filling ? 1 : 0;
	dir_leave(file->dir);
	EVP_MD_CTX_free(file->md5);
	free(file->filling);
	free(file);
}

static void end(struct dir_file *file)
{
	if (file->wants_air)
		TAILQ_REMOVE(&file->dir->waiting_for_air, file, air);
	file->wants_air = false;
	dir_air_leave(file);
	file_close(file->dir->loop, file->fd);
	file->fd = -1;
	loop_reap(file->dir->loop, &file->free_task);
}

static void on_removed(struct file_op *op, ssize_t res)
{
	struct dir_file *file = LOOP_OWNER(op, struct dir_file, op);

	file->busy = false;
	/* What cannot be removed now is removed at the next start, so it must stay in doubt. */
	if (res < 0 && res != -ENOENT && file->number) {
		dir_shelf_doubt(file->dir, file);
		file->number = 0;
	}
	file->undone++;
	dir_file_undo(file);
}

void dir_file_undo(struct dir_file *file)
{
	struct dir *dir = file->dir;

	dir_file_free_full(file);
	if (file->busy || file->flying || file->free_task.queued)
		return;
	if (file->undone == UNDO_NAME && !file->number)
		file->undone++;
	if (!file->undoing || file->undone == UNDONE || file->fd < 0) {
		if (file->number)
			dir_shelf_settle(dir, file);
		file->number = 0;
		end(file);
		return;
	}
	if (!dir_air_take(file))
		return;
	file->busy = true;
	file->op.done = on_removed;
	if (file->undone == UNDO_TMP) {
		file_unlink(dir->loop, &file->op, dir->tmp_fd, file->tmp_name);
		return;
	}
	shelf_path(file->path, file->number);
	file_unlink(dir->loop, &file->op, dir->data_fd, file->path);
}

void dir_file_init_undo(struct dir_file *file)
{
	file->free_task.run = free_file;
}

void dir_file_settle(struct dir_file *file)
{
	/* An empty one has a temporary file and no other. */
	file->undoing = !file->number;
	file->gone = true;
	dir_file_undo(file);
}

void dir_file_leave(struct dir_file *file)
{
	if (file->number)
		dir_shelf_doubt(file->dir, file);
	file->number = 0;
	dir_file_settle(file);
}

void dir_file_drop(struct dir_file *file)
{
	if (!file)
		return;
	file->undoing = true;
	file->gone = true;
	/* Waiting for a number is all that can be called back. */
	if (file->numbering) {
		dir_shelf_forget(file->dir, file);
		file->numbering = false;
		file->busy = false;
	}
	dir_file_undo(file);
}

void dir_file_close_all(struct dir *dir)
{
	struct dir_file *file;

	LIST_FOREACH(file, &dir->files, entry)
		if (!file->gone)
			dir_file_leave(file);
}
