/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One thread beside the loop, for what blocks: file systems, databases.
 * May call: loop, loop_poll. Called by: whoever has such work; each owner opens a worker of its
 * own, so that one disk that hangs holds up nobody else.
 */
#ifndef KNELL_IO_WORKER_H
#define KNELL_IO_WORKER_H

#include <stdint.h>
#include <sys/queue.h>

#include "loop.h"

struct worker;

enum { WORKER_QUEUE_MAX = 64 }; /* jobs that have not begun */

/*
 * One piece of work, on the heap, zeroed but for its functions. From worker_submit() on it is the
 * worker's; the owner gets it back by `done` or loses it by `drop`, one of the two, once.
 */
struct worker_job {
	/* On the thread. Must touch nothing but the job: the owner may be gone by then. */
	void (*run)(struct worker_job *job);
	/* On the loop. */
	void (*done)(struct worker_job *job);
	/* Frees it: the worker was closed before `done`. Perhaps on the thread, perhaps much later.
	 */
	void (*drop)(struct worker_job *job);
	STAILQ_ENTRY(worker_job) entry;
};

/* Starts the thread. 0 and *worker, or -errno. */
int worker_open(struct worker **worker, struct loop *loop);

/* Jobs run one after the other, in order. 0, or -ENOBUFS when WORKER_QUEUE_MAX wait. */
int worker_submit(struct worker *worker, struct worker_job *job);

/*
 * No `done` after this. Waits for the job that runs, `patience_ns` at most: one that hangs longer
 * is left behind with its thread, and frees itself when it comes back. NULL is allowed.
 */
void worker_close(struct worker *worker, uint64_t patience_ns);

#endif
