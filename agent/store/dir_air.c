// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_air.c - how many files may be on their way to the disk at once. See dir_file_inner.h.
 *
 * Room: store. Called by dir_file.c and dir_file_undo.c.
 *
 * What blocks in the kernel holds one of its workers (loop.h, LOOP_WORKERS_MAX) for as long as it
 * does. On a drive that hangs while it is written to, or that somebody has frozen, a few writers
 * would hold them all, and reads, which go on there and elsewhere, would wait with them. So a file
 * has a turn while anything of it is under way, there are fewer turns than workers, and whoever has
 * none waits here, where it can be called back.
 */
#include "store/dir_file_inner.h"

/* Writes of one file go one after the other, beside them runs the start of their way back. */
enum { FILES_MAX = 24, WORKERS_OF_A_FILE = 2 };

_Static_assert(FILES_MAX *WORKERS_OF_A_FILE < LOOP_WORKERS_MAX, "none is left for reads");

bool dir_air_take(struct dir_file *file)
{
	struct dir *dir = file->dir;

	if (file->in_air)
		return true;
	if (file->wants_air)
		return false;
	if (dir->in_air == FILES_MAX) {
		file->wants_air = true;
		TAILQ_INSERT_TAIL(&dir->waiting_for_air, file, air);
		return false;
	}
	file->in_air = true;
	dir->in_air++;
	return true;
}

static void call_next(struct dir *dir)
{
	struct dir_file *next = TAILQ_FIRST(&dir->waiting_for_air);

	if (!next)
		return;
	TAILQ_REMOVE(&dir->waiting_for_air, next, air);
	next->wants_air = false;
	next->in_air = true;
	dir->in_air++;
	loop_defer(dir->loop, &next->advance);
}

void dir_air_leave(struct dir_file *file)
{
	if (!file->in_air || file->busy || file->writing)
		return;
	file->in_air = false;
	file->dir->in_air--;
	call_next(file->dir);
}
