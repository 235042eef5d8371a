// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. The one event loop of knelld.
 * May call: liburing, timer, pool. Called by: everything that waits for something.
 *
 * Happy path of one batch: wait for a completion or the nearest deadline; handle every completion;
 * fire the timers that have expired; run what was deferred; reap for a while; submit what all of
 * these prepared with the next wait.
 *
 * The order matters. A loop that did not run for a while (a starved or stopped process) wakes to
 * find a timeout expired and the answer that it timed waiting in the socket. The answer must win.
 * So, when a timer has expired by the time `now`, the loop goes back to the kernel until that has
 * nothing more to give that came before `now`, and fires the timer only then.
 *
 * Failure modes:
 * - The completion queue overflows: the kernel keeps the rest (NODROP) and hands it over on the
 *   next visit.
 * - The submission queue is full: submit early. The kernel has no room for that because
 *   completions wait: they are set aside, undelivered since we are inside somebody's callback, and
 *   the loop takes them first.
 * - EINTR: a signal outside of loop_signal(); wait again.
 */
#include "loop.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

enum {
	SQ_ENTRIES = 512,
	CQ_ENTRIES = 4096,
	HANDLE_AT_ONCE = 64,
	/*
	 * How often one batch may go back to the kernel, or to the deferred tasks, before others
	 * get their turn.
	 */
	SETTLE_ROUNDS = 8,
	CLOSE_WAIT_MS = 1000,
	/* Of the heap: what may lie idle at its end, and what is too large for it. */
	HEAP_SPARE_BYTES = 16 << 20,
	HEAP_MMAP_BYTES = 1 << 20,
};

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

STAILQ_HEAD(task_list, loop_task);

/* A completion taken off the ring before its turn. */
struct set_aside {
	uint64_t user_data;
	int res;
	uint32_t flags;
};

struct loop {
	struct io_uring uring;
	struct pool pool;
	struct timer_heap timers;
	struct task_list deferred;
	struct task_list reaping;
	struct set_aside *aside;
	size_t aside_count, aside_room;
	uint64_t now_ns;
	uint64_t in_flight; /* operations whose last completion has not been handled */
	struct loop_stats stats;
	bool stopping;
};

/* The best set of flags that the kernel takes: 6.1, then 5.19, then any. */
static int open_ring(struct io_uring *uring)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && err == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = CQ_ENTRIES,
		};

		err = io_uring_queue_init_params(SQ_ENTRIES, uring, &params);
	}
	return err;
}

static int check_opcodes(struct io_uring *uring, char *why, size_t why_size)
{
	static const struct {
		int opcode;
		const char *name;
	} needed[] = {
		{IORING_OP_POLL_ADD, "POLL_ADD"},	  {IORING_OP_ACCEPT, "ACCEPT"},
		{IORING_OP_CONNECT, "CONNECT"},		  {IORING_OP_SEND, "SEND"},
		{IORING_OP_SENDMSG, "SENDMSG"},		  {IORING_OP_RECV, "RECV"},
		{IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
	};
	struct io_uring_probe *probe;

	if (!(uring->features & IORING_FEAT_NODROP) || !(uring->features & IORING_FEAT_EXT_ARG)) {
		snprintf(why, why_size, "io_uring lacks NODROP or EXT_ARG (Linux 5.11)");
		return -ENOSYS;
	}
	probe = io_uring_get_probe_ring(uring);
	if (!probe)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (io_uring_opcode_supported(probe, needed[i].opcode))
			continue;
		snprintf(why, why_size, "io_uring lacks the operation %s", needed[i].name);
		io_uring_free_probe(probe);
		return -ENOSYS;
	}
	io_uring_free_probe(probe);
	return 0;
}

/*
 * The buffers of one turn are free before the next: a heap that gives its end back to the kernel
 * each time has every page of them cleared and mapped anew, a fifth of all that an answer costs.
 */
static void keep_heap(void)
{
	mallopt(M_TRIM_THRESHOLD, HEAP_SPARE_BYTES);
	mallopt(M_MMAP_THRESHOLD, HEAP_MMAP_BYTES);
}

int loop_open(struct loop **loop, char *why, size_t why_size)
{
	/* For files; those for sockets and the like stay as they are. */
	unsigned int workers[] = {LOOP_WORKERS_MAX, 0};
	struct loop *fresh = calloc(1, sizeof(*fresh));
	int err = -ENOMEM;

	snprintf(why, why_size, "out of memory");
	if (!fresh)
		return err;
	err = open_ring(&fresh->uring);
	if (err < 0) {
		snprintf(why, why_size, "cannot set up io_uring: %s%s", strerror(-err),
			 err == -EPERM || err == -ENOSYS
				 ? " (see sysctl kernel.io_uring_disabled and seccomp filters)"
				 : "");
		goto free_loop;
	}
	err = check_opcodes(&fresh->uring, why, why_size);
	if (err < 0)
		goto exit_ring;
	err = pool_open(&fresh->pool, &fresh->uring);
	if (err < 0) {
		snprintf(why, why_size, "cannot register io_uring receive buffers (Linux 5.19): %s",
			 strerror(-err));
		if (err == -EINVAL)
			err = -ENOSYS;
		goto exit_ring;
	}
	/* Linux 5.15; without it the kernel's own limit stays, four times the CPUs. */
	(void)!io_uring_register_iowq_max_workers(&fresh->uring, workers);
	keep_heap();
	STAILQ_INIT(&fresh->deferred);
	STAILQ_INIT(&fresh->reaping);
	fresh->now_ns = clock_ns(CLOCK_MONOTONIC);
	snprintf(why, why_size, "%s", "");
	*loop = fresh;
	return 0;
exit_ring:
	io_uring_queue_exit(&fresh->uring);
free_loop:
	free(fresh);
	return err;
}

static void deliver(struct loop *loop, const struct set_aside *completion)
{
	struct loop_op *op = (struct loop_op *)(uintptr_t)completion->user_data;

	if (!(completion->flags & IORING_CQE_F_MORE))
		loop->in_flight--;
	if (op)
		op->done(op, completion->res, completion->flags);
}

/* Takes up to `room` completions off the ring, oldest first. */
static unsigned take(struct loop *loop, struct set_aside *taken, unsigned room)
{
	struct io_uring_cqe *cqes[HANDLE_AT_ONCE];
	unsigned count = io_uring_peek_batch_cqe(&loop->uring, cqes, room);

	for (unsigned i = 0; i < count; i++)
		taken[i] = (struct set_aside){cqes[i]->user_data, cqes[i]->res, cqes[i]->flags};
	io_uring_cq_advance(&loop->uring, count);
	return count;
}

static size_t deliver_aside(struct loop *loop)
{
	size_t delivered = 0;

	while (delivered < loop->aside_count) {
		struct set_aside completion = loop->aside[delivered++]; /* the array may move */

		deliver(loop, &completion);
	}
	loop->aside_count = 0;
	return delivered;
}

/*
 * Handles all completions that are there; how many. Bounded: an operation that completes at once
 * can only be resubmitted later.
 */
static size_t handle_completions(struct loop *loop)
{
	struct set_aside taken[HANDLE_AT_ONCE];
	size_t handled = 0;
	unsigned count;

	if (io_uring_cq_has_overflow(&loop->uring))
		loop->stats.overflows++;
	handled += deliver_aside(loop);
	while ((count = take(loop, taken, HANDLE_AT_ONCE)) > 0) {
		for (unsigned i = 0; i < count; i++)
			deliver(loop, &taken[i]);
		/* What a callback had to set aside is younger than `taken`, older than the ring's.
		 */
		handled += count + deliver_aside(loop);
	}
	return handled;
}

static void set_completions_aside(struct loop *loop)
{
	for (;;) {
		if (loop->aside_room - loop->aside_count < HANDLE_AT_ONCE) {
			size_t room = loop->aside_room + CQ_ENTRIES;
			struct set_aside *grown = realloc(loop->aside, room * sizeof(*grown));

			if (!grown)
				return;
			loop->aside = grown;
			loop->aside_room = room;
		}
		unsigned count = take(loop, loop->aside + loop->aside_count, HANDLE_AT_ONCE);

		if (!count)
			return;
		loop->aside_count += count;
	}
}

static void submit_early(struct loop *loop)
{
	int err = io_uring_submit(&loop->uring);

	if (err == -EBUSY || err == -EAGAIN)
		set_completions_aside(loop);
	else if (err < 0 && err != -EINTR)
		abort(); /* the ring is broken: nothing can ever complete again */
}

struct io_uring_sqe *loop_sqe(struct loop *loop, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&loop->uring)))
		submit_early(loop);
	io_uring_sqe_set_data(sqe, op);
	loop->in_flight++;
	return sqe;
}

void loop_chain(struct loop *loop, unsigned int count)
{
	while (io_uring_sq_space_left(&loop->uring) < count)
		submit_early(loop);
}

void loop_cancel(struct loop *loop, struct loop_op *op)
{
	io_uring_prep_cancel(loop_sqe(loop, NULL), op, IORING_ASYNC_CANCEL_ALL);
}

/* Fires expired timers, after everything that the kernel had to tell before they expired. */
static void handle_timers(struct loop *loop)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	if (timer_next_ns(&loop->timers) > now_ns)
		return;
	for (int round = 0; round < SETTLE_ROUNDS; round++) {
		io_uring_submit_and_get_events(&loop->uring);
		if (!handle_completions(loop))
			break;
	}
	timer_run(&loop->timers, now_ns);
}

static bool run_first(struct task_list *list)
{
	struct loop_task *task = STAILQ_FIRST(list);

	if (!task)
		return false;
	STAILQ_REMOVE_HEAD(list, entry);
	task->queued = false;
	task->run(task);
	return true;
}

/*
 * Rounds, because a flush of one layer makes work for the layer below that belongs into the same
 * batch.
 */
static void run_deferred(struct loop *loop)
{
	for (int round = 0; round < SETTLE_ROUNDS; round++) {
		struct task_list list = STAILQ_HEAD_INITIALIZER(list);

		STAILQ_CONCAT(&list, &loop->deferred);
		if (STAILQ_EMPTY(&list))
			return;
		while (run_first(&list))
			;
	}
}

static void run_reaping(struct loop *loop)
{
	uint64_t began_ns;

	if (STAILQ_EMPTY(&loop->reaping))
		return;
	began_ns = clock_ns(CLOCK_MONOTONIC);
	while (run_first(&loop->reaping) && clock_ns(CLOCK_MONOTONIC) - began_ns < LOOP_REAP_NS)
		;
}

/*
 * Submits and waits until a completion is there, `deadline_ns` is reached or there is other work
 * at hand.
 */
static int wait_for_work(struct loop *loop, uint64_t deadline_ns)
{
	struct __kernel_timespec ts, *timeout = NULL;
	struct io_uring_cqe *cqe;
	int err;

	if (loop->aside_count || !STAILQ_EMPTY(&loop->deferred) || !STAILQ_EMPTY(&loop->reaping)) {
		err = io_uring_submit_and_get_events(&loop->uring);
	} else {
		if (deadline_ns != UINT64_MAX) {
			uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
			uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

			ts.tv_sec = (long long)(wait_ns / NS_PER_S);
			ts.tv_nsec = (long long)(wait_ns % NS_PER_S);
			timeout = &ts;
		}
		err = io_uring_submit_and_wait_timeout(&loop->uring, &cqe, 1, timeout, NULL);
	}
	if (err >= 0 || err == -ETIME || err == -EINTR || err == -EAGAIN || err == -EBUSY)
		return 0;
	return err;
}

static void handle_batch(struct loop *loop)
{
	loop->now_ns = clock_ns(CLOCK_MONOTONIC);
	handle_completions(loop);
	handle_timers(loop);
	run_deferred(loop);
	run_reaping(loop);
	loop->stats.batches++;
	loop->stats.last_ns = clock_ns(CLOCK_MONOTONIC) - loop->now_ns;
	if (loop->stats.last_ns > loop->stats.longest_ns)
		loop->stats.longest_ns = loop->stats.last_ns;
}

int loop_run(struct loop *loop)
{
	int err = 0;

	loop->stopping = false;
	loop->now_ns = clock_ns(CLOCK_MONOTONIC);
	while (!loop->stopping && !err) {
		err = wait_for_work(loop, timer_next_ns(&loop->timers));
		if (!err)
			handle_batch(loop);
	}
	return err;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

void loop_close(struct loop *loop)
{
	uint64_t give_up_ns = clock_ns(CLOCK_MONOTONIC) + CLOSE_WAIT_MS * NS_PER_MS;

	if (!loop)
		return;
	/*
	 * Last words first: what was queued before a tcp_close() is sent before the rest is
	 * cancelled.
	 */
	handle_batch(loop);
	io_uring_submit_and_get_events(&loop->uring);
	handle_batch(loop);
	while ((loop->in_flight || !STAILQ_EMPTY(&loop->deferred) ||
		!STAILQ_EMPTY(&loop->reaping)) &&
	       clock_ns(CLOCK_MONOTONIC) < give_up_ns) {
		if (loop->in_flight)
			io_uring_prep_cancel(loop_sqe(loop, NULL), NULL,
					     IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
		if (wait_for_work(loop, give_up_ns))
			break;
		handle_batch(loop);
	}
	io_uring_queue_exit(&loop->uring);
	pool_close(&loop->pool);
	free(loop->aside);
	free(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

const struct loop_stats *loop_stats(const struct loop *loop)
{
	return &loop->stats;
}

void loop_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ns)
{
	timer_arm(&loop->timers, timer, deadline_ns);
}

void loop_disarm(struct loop *loop, struct timer *timer)
{
	timer_disarm(&loop->timers, timer);
}

static void enqueue(struct task_list *list, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	STAILQ_INSERT_TAIL(list, task, entry);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	enqueue(&loop->deferred, task);
}

void loop_reap(struct loop *loop, struct loop_task *task)
{
	enqueue(&loop->reaping, task);
}

struct pool *loop_pool(struct loop *loop)
{
	return &loop->pool;
}
