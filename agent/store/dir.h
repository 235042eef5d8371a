/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir.h - the embedded engine: objects in a directory of this node, behind store.h.
 *
 * Room: store. Calls io/file and the index. Opened by the agent, used through store.h only.
 *
 * `done` of a write means: on this drive, durable.
 */
#ifndef KNELL_STORE_DIR_H
#define KNELL_STORE_DIR_H

#include "io/loop.h"
#include "store/quorum.h"
#include "store/store.h"

/* What opening came to: 0, or a negative errno and one line; tried again every few seconds. */
typedef void (*dir_opened)(void *ctx, int err, const char *why);

/**
 * dir_open - open the drive at @path, recover what is left in it, and keep objects there.
 *
 * Returns at once, a drive that hangs holds up nobody: @opened (may be NULL) tells how it went.
 * Until then calls wait; while it fails they end with that error. 0 or a negative errno.
 */
int dir_open(struct store **store, struct loop *loop, const char *path, dir_opened opened,
	     void *ctx);

/* ---- for people ---- */

/* An object, or a part of one, that is being written. */
struct dir_upload {
	uint64_t id; /* never given twice while the agent runs */
	const char *bucket, *key;
	unsigned int part;		/* 0: an object as a whole */
	uint64_t bytes, expected_bytes; /* expected: 0, not known */
	uint64_t began_ns;
	bool committing; /* all is there, and being made durable */
	struct quorum_replica replicas[QUORUM_OTHERS_MAX];
	size_t replica_count;
};

/** dir_upload_each - visit all that are under way. The visitor must not change them. */
void dir_upload_each(struct store *store, void (*visit)(void *ctx, const struct dir_upload *upload),
		     void *ctx);

/** dir_upload_cancel - end it with -ECANCELED; nothing of it stays. 0 or -ENOENT. */
int dir_upload_cancel(struct store *store, uint64_t id);

#endif
