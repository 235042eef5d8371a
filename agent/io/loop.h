/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. The one event loop of knelld: io_uring completions, timers, deferred tasks.
 * (loop_poll adds watched descriptors, loop_signal signals.)
 * May call: liburing, timer, pool. Called by: everything that waits for something.
 *
 * Single thread: every function here belongs to the thread that opened the loop, which must not
 * fork before it is closed. No callback may block.
 */
#ifndef KNELL_IO_LOOP_H
#define KNELL_IO_LOOP_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pool.h"
#include "timer.h"

struct loop;

/* The structure of `type` that has the object at `pointer` as its `member`. */
#define LOOP_OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/*
 * One kind of operation of an owner, embedded there. `done` runs once per completion, `res` as the
 * kernel gave it (-errno on failure); while cqe_flags has IORING_CQE_F_MORE, more follow. The
 * owner's memory must outlive the last completion.
 */
struct loop_op {
	void (*done)(struct loop_op *op, int res, uint32_t cqe_flags);
};

/*
 * Work put off, embedded in its owner; zero but for `run`. It may be put off again once it has
 * begun to run.
 */
struct loop_task {
	void (*run)(struct loop_task *task);
	STAILQ_ENTRY(loop_task) entry;
	bool queued;
};

struct loop_stats {
	uint64_t batches;    /* times the loop woke */
	uint64_t longest_ns; /* the longest batch: everyone else waited that long */
	uint64_t last_ns;
	uint64_t overflows; /* of the kernel's completion queue; nothing is lost by it */
};

/*
 * Opens a loop into *loop. 0, or -errno with *loop unchanged and one readable sentence in
 * why[0..why_size): -EPERM (io_uring is forbidden), -ENOSYS (the kernel lacks it or a part of it,
 * which is named), -ENOMEM.
 */
int loop_open(struct loop **loop, char *why, size_t why_size);

/*
 * Frees the loop. Its owners must have let go of everything before (tcp_abort, listen_close,
 * loop_poll_stop, ...); what is still on its way out is cancelled and waited for, one second at
 * most. NULL is allowed.
 */
void loop_close(struct loop *loop);

/*
 * Runs until loop_stop(); 0, or -errno when the kernel refuses to wait. May be run again
 * afterwards.
 */
int loop_run(struct loop *loop);

/* Ends loop_run() after the present batch. */
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC in ns, read once per batch. */
uint64_t loop_now_ns(const struct loop *loop);

const struct loop_stats *loop_stats(const struct loop *loop);

/*
 * An SQE to fill with an io_uring_prep_*() call; it goes to the kernel with this batch, its
 * completion to `op` (NULL: nobody wants to know). Never NULL. Fill it before the next call of any
 * loop function.
 */
struct io_uring_sqe *loop_sqe(struct loop *loop, struct loop_op *op);

/*
 * The next `count` (at most LOOP_CHAIN_MAX) calls of loop_sqe() go to the kernel together, as a
 * chain of linked operations must: one that is torn apart is no chain.
 */
void loop_chain(struct loop *loop, unsigned int count);

enum { LOOP_CHAIN_MAX = 16 };

/*
 * What the kernel cannot do at once it hands to workers of its own, this many at most: whoever has
 * operations that may block for long must not have more than a part of them under way.
 */
enum { LOOP_WORKERS_MAX = 64 };

/* Asks the kernel to end what `op` has in flight; op->done still runs, usually with -ECANCELED. */
void loop_cancel(struct loop *loop, struct loop_op *op);

/*
 * Arms or moves `timer`; see timer.h. An answer that is there already beats a timer that has
 * expired.
 */
void loop_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ns);
void loop_disarm(struct loop *loop, struct timer *timer);

/*
 * Runs `task` at the end of this batch, before it is submitted. For what many callbacks ask for
 * and should happen once: flushing. Does nothing when it is queued already. The owner must live
 * until it has run.
 */
void loop_defer(struct loop *loop, struct loop_task *task);

/*
 * Runs `task` when there is time: after the deferred tasks, for LOOP_REAP_NS of each batch, in
 * order. For freeing, and for slicing long work: thousands of teardowns must not hold up one
 * heartbeat.
 */
void loop_reap(struct loop *loop, struct loop_task *task);

enum { LOOP_REAP_NS = 500000 };

/* The shared receive buffers. For tcp. */
struct pool *loop_pool(struct loop *loop);

#endif
