/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_vfs.h - SQLite's way to the disk, but for one thing: what connections share is memory.
 *
 * Room: store. Calls SQLite. Called by index_db.c.
 */
#ifndef KNELL_STORE_INDEX_VFS_H
#define KNELL_STORE_INDEX_VFS_H

/**
 * index_vfs - the name to open a database with; where there is no memory, opening fails.
 *
 * All connections to one database must come from this process, as recover.h's lock on the drive
 * sees to; any other program that opens it meanwhile is turned away. For any thread.
 */
const char *index_vfs(void);

#endif
