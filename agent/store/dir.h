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

#endif
