// SPDX-License-Identifier: BSD-2-Clause
/*
 * drives.c - the drives of this node. See drives.h.
 *
 * Room: store.
 *
 * Happy path: every DRIVES_PERIOD_NS each drive's own worker calls statvfs(), and what it found
 * replaces what was known; then it tries to write.
 * Failure modes: statvfs() fails: offline when nothing is there, else faulty, with the reason. It
 * does not come back (a dead NFS server, a disk that hangs): faulty after DRIVES_TIMEOUT_NS, no
 * second look is begun meanwhile, and when it does come back the drive is what it found. The trial
 * fails or does not come back: faulty as well, until one comes through. Where files without a name
 * are unknown nothing is tried. Closed while one hangs: its look is left behind, see worker.h.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "io/worker.h"
#include "store/drives.h"

#define BY_UUID		  "/dev/disk/by-uuid"
#define CLOSE_PATIENCE_NS UINT64_C(20000000)
#define NS_PER_S	  UINT64_C(1000000000)

enum { TRIAL_BYTES = 4096, TRIAL_MODE = 0600 };

struct entry {
	struct drive drive;
	struct drives *drives;
	struct worker *worker;
	struct timer next; /* the next look, or the end of our patience with this one */
	bool looking;	   /* or trying */
	bool trying;
	bool known;
	int trial_err; /* of the last one */
};

struct drives {
	struct loop *loop;
	size_t count;
	struct entry entries[];
};

/* One look, or one trial; all that the thread touches. */
struct look {
	struct worker_job job;
	struct entry *entry; /* for the loop only: it is gone when the look is dropped */
	int err;
	struct statvfs found;
	char uuid[DRIVE_UUID_BYTES];
	char path[];
};

/* A file system's UUID is the name under which udev lists its device. */
static void find_uuid(struct look *look, dev_t device)
{
	DIR *dir = opendir(BY_UUID);
	struct dirent *item;
	struct stat info;

	while (dir && (item = readdir(dir))) {
		if (fstatat(dirfd(dir), item->d_name, &info, 0) || !S_ISBLK(info.st_mode) ||
		    info.st_rdev != device)
			continue;
		snprintf(look->uuid, sizeof(look->uuid), "%.39s", item->d_name);
		break;
	}
	if (dir)
		closedir(dir);
}

static void run_look(struct worker_job *job)
{
	struct look *look = LOOP_OWNER(job, struct look, job);
	struct stat info;

	if (statvfs(look->path, &look->found) || stat(look->path, &info))
		look->err = -errno;
	else if (!S_ISDIR(info.st_mode))
		look->err = -ENOTDIR;
	else
		find_uuid(look, info.st_dev);
}

/* Whoever cannot do so without a name is not tried; the errors are as old as the kernel. */
static bool is_unknown(int err)
{
	return err == EOPNOTSUPP || err == EISDIR || err == EINVAL || err == ENOSYS;
}

static int try_room(int fd)
{
	if (!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, DRIVES_ROOM_BYTES) || is_unknown(errno))
		return 0;
	return -errno;
}

static int try_to_write(int fd)
{
	static const char page[TRIAL_BYTES];
	int err = try_room(fd);

	if (err)
		return err;
	if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page) || fdatasync(fd))
		return -errno;
	return 0;
}

static void run_trial(struct worker_job *job)
{
	struct look *look = LOOP_OWNER(job, struct look, job);
	int fd = open(look->path, O_TMPFILE | O_WRONLY | O_CLOEXEC, TRIAL_MODE);

	if (fd < 0) {
		look->err = is_unknown(errno) ? 0 : -errno;
		return;
	}
	look->err = try_to_write(fd);
	close(fd);
}

static void drop_look(struct worker_job *job)
{
	free(LOOP_OWNER(job, struct look, job));
}

static void took_look(struct worker_job *job);
static void took_trial(struct worker_job *job);

static void schedule(struct entry *entry, uint64_t delay_ns)
{
	struct loop *loop = entry->drives->loop;

	loop_arm(loop, &entry->next, loop_now_ns(loop) + delay_ns);
}

static void begin(struct entry *entry, bool trial)
{
	size_t path_bytes = strlen(entry->drive.path) + 1;
	struct look *look = calloc(1, sizeof(*look) + path_bytes);

	entry->looking = false;
	entry->trying = trial;
	if (look) {
		look->job = (struct worker_job){
			.run = trial ? run_trial : run_look,
			.done = trial ? took_trial : took_look,
			.drop = drop_look,
		};
		look->entry = entry;
		memcpy(look->path, entry->drive.path, path_bytes);
		entry->looking = !worker_submit(entry->worker, &look->job);
	}
	if (!entry->looking)
		free(look);
	schedule(entry, !entry->looking ? DRIVES_PERIOD_NS
			: trial		? DRIVES_TRIAL_NS
					: DRIVES_TIMEOUT_NS);
}

static void on_next(struct timer *timer)
{
	struct entry *entry = LOOP_OWNER(timer, struct entry, next);

	uint64_t patience_ns = entry->trying ? DRIVES_TRIAL_NS : DRIVES_TIMEOUT_NS;

	if (!entry->looking) {
		begin(entry, false);
		return;
	}
	entry->known = true;
	entry->drive.state = DRIVE_FAULTY;
	snprintf(entry->drive.reason, sizeof(entry->drive.reason),
		 "does not %s within %u s, is asked no further until it does",
		 entry->trying ? "take a write" : "answer", (unsigned int)(patience_ns / NS_PER_S));
}

/* Nothing there is another matter than something broken. */
static enum drive_state state_of(int err)
{
	switch (-err) {
	case 0:
		return DRIVE_OK;
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
	case ENXIO:
	case ENOTCONN:
	case ESTALE:
		return DRIVE_OFFLINE;
	default:
		return DRIVE_FAULTY;
	}
}

static void fill(struct drive *drive, const struct look *look)
{
	const struct statvfs *found = &look->found;

	drive->state = state_of(look->err);
	snprintf(drive->reason, sizeof(drive->reason), "%s", look->err ? strerror(-look->err) : "");
	if (look->err)
		return;
	memcpy(drive->uuid, look->uuid, sizeof(drive->uuid));
	drive->total_bytes = found->f_blocks * found->f_frsize;
	drive->used_bytes = (found->f_blocks - found->f_bfree) * found->f_frsize;
	drive->available_bytes = found->f_bavail * found->f_frsize;
	drive->inodes = found->f_files;
	drive->inodes_used = found->f_files - found->f_ffree;
	drive->read_only = found->f_flag & ST_RDONLY;
}

static const char *trial_words(int err)
{
	switch (-err) {
	case ENOSPC:
	case EDQUOT:
		return "full";
	case EROFS:
		return "read-only";
	default:
		return strerror(-err);
	}
}

/* What the last trial said stands until the next one says something else. */
static void judge(struct entry *entry)
{
	struct drive *drive = &entry->drive;
	int err = drive->read_only ? -EROFS : entry->trial_err;

	if (drive->state != DRIVE_OK || !err)
		return;
	drive->state = DRIVE_FAULTY;
	drive->read_only = err == -EROFS;
	snprintf(drive->reason, sizeof(drive->reason), "cannot be written: %s", trial_words(err));
}

static void took_look(struct worker_job *job)
{
	struct look *look = LOOP_OWNER(job, struct look, job);
	struct entry *entry = look->entry;
	bool tries;

	fill(&entry->drive, look);
	tries = !look->err && !entry->drive.read_only;
	free(look);
	judge(entry);
	entry->looking = false;
	if (tries) {
		begin(entry, true);
		return;
	}
	entry->known = true;
	schedule(entry, DRIVES_PERIOD_NS);
}

static void took_trial(struct worker_job *job)
{
	struct look *look = LOOP_OWNER(job, struct look, job);
	struct entry *entry = look->entry;
	struct drive *drive = &entry->drive;

	entry->trial_err = look->err;
	free(look);
	drive->state = DRIVE_OK;
	drive->reason[0] = '\0';
	drive->read_only = false;
	judge(entry);
	entry->looking = false;
	entry->known = true;
	schedule(entry, DRIVES_PERIOD_NS);
}

int drives_open(struct drives **drives, struct loop *loop, char *const *paths, size_t count)
{
	struct drives *fresh = calloc(1, sizeof(*fresh) + count * sizeof(fresh->entries[0]));
	struct entry *entry;
	int err = 0;
	size_t i;

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	for (i = 0; i < count && !err; i++) {
		entry = &fresh->entries[i];
		fresh->count++;
		entry->drives = fresh;
		entry->next.fire = on_next;
		entry->drive.path = strdup(paths[i]);
		err = entry->drive.path ? worker_open(&entry->worker, loop) : -ENOMEM;
		if (!err)
			begin(entry, false);
	}
	if (err) {
		drives_close(fresh);
		return err;
	}
	*drives = fresh;
	return 0;
}

void drives_close(struct drives *drives)
{
	struct entry *entry;

	if (!drives)
		return;
	for (entry = drives->entries; entry < drives->entries + drives->count; entry++) {
		loop_disarm(drives->loop, &entry->next);
		worker_close(entry->worker, CLOSE_PATIENCE_NS);
		free(entry->drive.path);
	}
	free(drives);
}

size_t drives_count(const struct drives *drives)
{
	return drives ? drives->count : 0;
}

const struct drive *drives_get(const struct drives *drives, size_t index)
{
	return &drives->entries[index].drive;
}

bool drives_known(const struct drives *drives)
{
	size_t i;

	for (i = 0; i < drives_count(drives); i++)
		if (!drives->entries[i].known)
			return false;
	return true;
}
