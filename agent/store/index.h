/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index.h - the index of a drive's objects: SQLite on threads of its own, calls and answers on the
 * loop.
 *
 * Room: store. Calls io/worker, index_db. Called by the engine (dir*.c).
 *
 * Two lanes, in each of which calls run one after the other, in order: changes, and questions. What
 * a change made is seen by every question that is asked after its `done`.
 */
#ifndef KNELL_STORE_INDEX_H
#define KNELL_STORE_INDEX_H

#include <stdbool.h>
#include <sys/queue.h>
#include "io/loop.h"
#include "store/index_db.h"
#include "store/recover.h"

struct index;

enum {
	INDEX_WAITING_MAX = 16384, /* calls of one lane */
	INDEX_ROUND_CALLS = 256,   /* that share one commit */
};

/*
 * One call, on the heap, zeroed but for what is asked. From index_submit() on it is the index's; it
 * comes back by `done` or is lost by `drop`, one of the two, once.
 */
struct index_call {
	/*
	 * On the thread, inside a transaction. Touches nothing but the call and @db. What it
	 * changed is undone when it returns a negative errno.
	 */
	int (*run)(struct index_call *call, struct index_db *db);
	/* On the loop: err is what run() returned, or why the whole round came to nothing. */
	void (*done)(struct index_call *call, int err);
	/* Frees it: the index was closed. Perhaps on the thread, perhaps much later. */
	void (*drop)(struct index_call *call);
	int err;
	bool changes; /* asked for: which lane */
	/* With an error: whether the change was made will be known after a restart only. */
	bool unsure;
	STAILQ_ENTRY(index_call) entry;
};

/* How opening went: 0, or a negative errno and one line; tried again every INDEX_RETRY_NS. */
typedef void (*index_opened)(void *ctx, int err, const char *why);

#define INDEX_RETRY_NS UINT64_C(5000000000)

/**
 * index_open - open the index of the drive at @path, made if it is missing, and recover.
 *
 * Returns at once; @opened tells. Calls wait until then, and end with its error while it fails. 0
 * or a negative errno.
 */
int index_open(struct index **index, struct loop *loop, const char *path, index_opened opened,
	       void *ctx);

/** index_submit - 0; or -EAGAIN when INDEX_WAITING_MAX wait, and the call is still the caller's. */
int index_submit(struct index *index, struct index_call *call);

/** index_drive - the directories of the drive; NULL until opened told 0. */
const struct index_drive *index_drive(const struct index *index);

/**
 * index_close - end what runs, drop what waits. NULL is allowed.
 *
 * A drive that hangs is waited for INDEX_CLOSE_NS at most.
 */
void index_close(struct index *index);

#define INDEX_CLOSE_NS UINT64_C(500000000)

#endif
