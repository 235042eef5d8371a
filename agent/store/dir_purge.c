// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_purge.c - forgets what was removed, once everybody has heard of it.
 *
 * Room: store.
 *
 * Happy path: every so often, tombstones that every other node has read in our journal, and that
 * are older than any write still under way, are deleted; alone, all of them. Failure modes: a node
 * stays away: they wait for it. The index fails: next time.
 */
#include <stdlib.h>
#include "store/dir_inner.h"
#include "store/index_feed.h"

/* In one commit. */
enum { PURGE_ENTRIES = 1000 };

#define PURGE_NS UINT64_C(60000000000)
/* A write that was begun before the removal must not come after the tombstone is gone. */
#define PURGE_AGE_MS UINT64_C(3600000)

struct purging {
	struct dir_call call; /* first */
	uint64_t up_to_lsn;
	uint64_t before_version;
	int count;
};

static int run(struct index_call *base, struct index_db *db)
{
	struct purging *purging = LOOP_OWNER(base, struct purging, call.base);

	purging->count =
		index_purge(db, purging->up_to_lsn, purging->before_version, PURGE_ENTRIES);
	return purging->count < 0 ? purging->count : 0;
}

static void arm(struct dir *dir, uint64_t delay_ns)
{
	if (!dir->closed)
		loop_arm(dir->loop, &dir->purge_timer, loop_now_ns(dir->loop) + delay_ns);
}

static void finish(struct dir_call *call, int err)
{
	struct purging *purging = LOOP_OWNER(call, struct purging, call);
	bool more = !err && purging->count == PURGE_ENTRIES;
	struct dir *dir = call->dir;

	dir_call_free(call);
	arm(dir, more ? 0 : PURGE_NS);
}

static void on_time(struct timer *timer)
{
	struct dir *dir = LOOP_OWNER(timer, struct dir, purge_timer);
	struct purging *purging = dir_call_new(dir, sizeof(*purging), NULL, run, finish);
	uint64_t now_ms = dir_now_ms();

	if (purging) {
		purging->call.base.changes = true;
		purging->call.local = true;
		/* Not one that is given out: its own version is never looked at. */
		purging->call.applied.entry.version = 1;
		purging->up_to_lsn = INT64_MAX;
		purging->before_version = INT64_MAX;
		if (dir->quorum) {
			purging->up_to_lsn = dir->quorum->ops->known_lsn(dir->quorum);
			purging->before_version = dir_version_at(now_ms - PURGE_AGE_MS);
		}
	}
	if (!purging || dir_call_submit(&purging->call))
		arm(dir, PURGE_NS);
}

void dir_purge_open(struct dir *dir)
{
	dir->purge_timer.fire = on_time;
	arm(dir, PURGE_NS);
}

void dir_purge_close(struct dir *dir)
{
	loop_disarm(dir->loop, &dir->purge_timer);
}
