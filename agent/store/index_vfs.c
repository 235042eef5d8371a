// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_vfs.c - SQLite's way to the disk, but for one thing. See index_vfs.h.
 *
 * Room: store.
 *
 * With a write-ahead log the connections to a database share a table of what is in the log. SQLite
 * maps it from a file beside the database, and a reader writes to it, too. On a drive that is
 * frozen, or hangs, that is a page fault which does not end: questions that the page cache could
 * answer would wait for the drive. Here both connections are threads of one process, so plain
 * memory does, under SQLite's own rules (os.h: xShmMap, xShmLock, xShmBarrier, xShmUnmap), and the
 * log is read again whenever the database is opened, as after a crash.
 *
 * Failure modes: another program opens the database, to look at it: it would not see the table, and
 * could reuse a log that is needed. So the locks that it would ask for first are held.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>
#include <sqlite3.h>
#include "store/index_vfs.h"

#define VFS_NAME "knell"

enum {
	LOCKS = SQLITE_SHM_NLOCK,
	/* Where SQLite locks the file that it would share: 8 locks, and one for whoever is alive.
	 */
	FILE_LOCK_FIRST = 120,
	FILE_LOCKS = LOCKS + 1,
	FILE_MODE = 0600,
};

/* What the connections to one database share. */
struct shared {
	LIST_ENTRY(shared) entry;
	unsigned int users;
	char **regions;
	int region_count;
	unsigned int readers[LOCKS];
	bool writer[LOCKS];
	int fd; /* holds the locks of the file */
	char path[];
};

LIST_HEAD(shared_list, shared);

/* Found through the VFS that SQLite has registered. */
struct registry {
	sqlite3_vfs vfs;
	sqlite3_vfs *below; /* SQLite's own */
	sqlite3_mutex *mutex;
	struct shared_list all;
};

/* Behind SQLite's own structure of an open file. */
struct extra {
	sqlite3_io_methods methods; /* first: the open file points at them */
	struct registry *registry;
	const char *path; /* SQLite's, as long as it is open */
	struct shared *shared;
	uint16_t reads, writes; /* locks that it has, a bit for each */
};

static struct extra *extra_of(sqlite3_file *file)
{
	return (struct extra *)file->pMethods;
}

/* ---- joining and leaving ---- */

static void free_shared(struct shared *shared)
{
	int i;

	LIST_REMOVE(shared, entry);
	for (i = 0; i < shared->region_count; i++)
		free(shared->regions[i]);
	free(shared->regions);
	if (shared->fd >= 0)
		close(shared->fd);
	free(shared);
}

static int lock_file(const char *database)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = FILE_LOCK_FIRST, .l_len = FILE_LOCKS};
	char *path = NULL;
	int fd;

	if (asprintf(&path, "%s-shm", database) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	free(path);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

static struct shared *new_shared(struct registry *registry, const char *path)
{
	struct shared *shared = calloc(1, sizeof(*shared) + strlen(path) + 1);

	if (!shared)
		return NULL;
	memcpy(shared->path, path, strlen(path) + 1);
	LIST_INSERT_HEAD(&registry->all, shared, entry);
	shared->fd = lock_file(path);
	if (shared->fd < 0) {
		int err = errno;

		free_shared(shared);
		errno = err;
		return NULL;
	}
	return shared;
}

static int join(struct extra *extra)
{
	struct shared *shared;

	if (extra->shared)
		return SQLITE_OK;
	LIST_FOREACH(shared, &extra->registry->all, entry)
		if (!strcmp(shared->path, extra->path))
			break;
	if (!shared)
		shared = new_shared(extra->registry, extra->path);
	if (!shared)
		return errno == EAGAIN || errno == EACCES ? SQLITE_BUSY : SQLITE_IOERR_SHMOPEN;
	shared->users++;
	extra->shared = shared;
	return SQLITE_OK;
}

static int grow(struct shared *shared, int count, size_t region_bytes)
{
	char **grown = realloc(shared->regions, (size_t)count * sizeof(*grown));

	if (!grown)
		return SQLITE_IOERR_NOMEM;
	shared->regions = grown;
	while (shared->region_count < count) {
		grown[shared->region_count] = calloc(1, region_bytes);
		if (!grown[shared->region_count])
			return SQLITE_IOERR_NOMEM;
		shared->region_count++;
	}
	return SQLITE_OK;
}

static int map(sqlite3_file *file, int region, int region_bytes, int extend, void volatile **memory)
{
	struct extra *extra = extra_of(file);
	struct shared *shared;
	int rc;

	*memory = NULL;
	sqlite3_mutex_enter(extra->registry->mutex);
	rc = join(extra);
	shared = extra->shared;
	if (!rc && extend && region >= shared->region_count)
		rc = grow(shared, region + 1, (size_t)region_bytes);
	if (!rc && shared->regions && region < shared->region_count)
		*memory = shared->regions[region];
	sqlite3_mutex_leave(extra->registry->mutex);
	return rc;
}

/* ---- locks ---- */

static void unlock(struct extra *extra, int first, int count)
{
	int i;

	for (i = first; i < first + count; i++) {
		uint16_t bit = (uint16_t)(1U << (unsigned int)i);

		if (extra->reads & bit)
			extra->shared->readers[i]--;
		if (extra->writes & bit)
			extra->shared->writer[i] = false;
		extra->reads = (uint16_t)(extra->reads & ~bit);
		extra->writes = (uint16_t)(extra->writes & ~bit);
	}
}

static int read_lock(struct extra *extra, int i)
{
	uint16_t bit = (uint16_t)(1U << (unsigned int)i);

	if (extra->reads & bit)
		return SQLITE_OK;
	if (extra->shared->writer[i])
		return SQLITE_BUSY;
	extra->shared->readers[i]++;
	extra->reads |= bit;
	return SQLITE_OK;
}

static int write_lock(struct extra *extra, int first, int count)
{
	struct shared *shared = extra->shared;
	int i;

	for (i = first; i < first + count; i++)
		if (shared->readers[i] ||
		    (shared->writer[i] && !(extra->writes & (1U << (unsigned int)i))))
			return SQLITE_BUSY;
	for (i = first; i < first + count; i++) {
		shared->writer[i] = true;
		extra->writes = (uint16_t)(extra->writes | 1U << (unsigned int)i);
	}
	return SQLITE_OK;
}

static int lock(sqlite3_file *file, int first, int count, int flags)
{
	struct extra *extra = extra_of(file);
	int rc = SQLITE_OK;

	if (!extra->shared)
		return SQLITE_IOERR_SHMLOCK;
	sqlite3_mutex_enter(extra->registry->mutex);
	if (flags & SQLITE_SHM_UNLOCK)
		unlock(extra, first, count);
	else if (flags & SQLITE_SHM_SHARED)
		rc = read_lock(extra, first);
	else
		rc = write_lock(extra, first, count);
	sqlite3_mutex_leave(extra->registry->mutex);
	return rc;
}

static void barrier(sqlite3_file *file)
{
	struct extra *extra = extra_of(file);

	/* Whatever the compiler and the processor had in mind, it is done before this. */
	sqlite3_mutex_enter(extra->registry->mutex);
	sqlite3_mutex_leave(extra->registry->mutex);
	__sync_synchronize();
}

static int unmap(sqlite3_file *file, int remove_it)
{
	struct extra *extra = extra_of(file);

	(void)remove_it;
	if (!extra->shared)
		return SQLITE_OK;
	sqlite3_mutex_enter(extra->registry->mutex);
	unlock(extra, 0, LOCKS);
	if (!--extra->shared->users)
		free_shared(extra->shared);
	extra->shared = NULL;
	sqlite3_mutex_leave(extra->registry->mutex);
	return SQLITE_OK;
}

/* ---- files ---- */

static size_t extra_offset(const struct registry *registry)
{
	size_t align = _Alignof(max_align_t);

	return ((size_t)registry->below->szOsFile + align - 1) / align * align;
}

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
		     int *flags_out)
{
	struct registry *registry = vfs->pAppData;
	struct extra *extra = (struct extra *)((char *)file + extra_offset(registry));
	int rc = registry->below->xOpen(registry->below, path, file, flags, flags_out);

	/* Only of the database itself are there things to share. */
	if (rc || !(flags & SQLITE_OPEN_MAIN_DB) || file->pMethods->iVersion < 2)
		return rc;
	*extra = (struct extra){.methods = *file->pMethods, .registry = registry, .path = path};
	extra->methods.xShmMap = map;
	extra->methods.xShmLock = lock;
	extra->methods.xShmBarrier = barrier;
	extra->methods.xShmUnmap = unmap;
	file->pMethods = &extra->methods;
	return SQLITE_OK;
}

/* SQLite keeps it for as long as the process lives. */
static void register_vfs(sqlite3_mutex *mutex)
{
	sqlite3_vfs *below = sqlite3_vfs_find(NULL);
	struct registry *registry = below ? calloc(1, sizeof(*registry)) : NULL;

	if (!registry)
		return;
	registry->below = below;
	registry->mutex = mutex;
	LIST_INIT(&registry->all);
	registry->vfs = *below;
	registry->vfs.pNext = NULL;
	registry->vfs.zName = VFS_NAME;
	registry->vfs.pAppData = registry;
	registry->vfs.xOpen = open_file;
	registry->vfs.szOsFile = (int)(extra_offset(registry) + sizeof(struct extra));
	if (sqlite3_vfs_register(&registry->vfs, 0))
		free(registry);
}

const char *index_vfs(void)
{
	sqlite3_mutex *mutex;

	if (sqlite3_initialize())
		return VFS_NAME;
	mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);
	sqlite3_mutex_enter(mutex);
	if (!sqlite3_vfs_find(VFS_NAME))
		register_vfs(mutex);
	sqlite3_mutex_leave(mutex);
	return VFS_NAME;
}
