// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Watched descriptors on the loop.
 * May call: loop. Called by: owners of netlink sockets and BPF rings; loop_signal.
 *
 * Happy path: one multishot POLL_ADD reports every edge. Failure modes: the kernel ends the
 * multishot (its queue overflowed): arm it anew, which reports the present level first, so no edge
 * is lost. The descriptor cannot be polled: one POLLERR. Stopped while armed: the memory waits for
 * the last completion.
 */
#include "loop_poll.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct loop_poll {
	struct loop_op op;
	struct loop_task free_task;
	struct loop *loop;
	void (*ready)(void *ctx, uint32_t revents);
	void *ctx;
	int fd;
	uint32_t events;
	bool armed;
	bool stopped;
};

static void arm(struct loop_poll *poll)
{
	io_uring_prep_poll_multishot(loop_sqe(poll->loop, &poll->op), poll->fd, poll->events);
	poll->armed = true;
}

static void on_edge(struct loop_op *op, int res, uint32_t cqe_flags)
{
	struct loop_poll *poll = LOOP_OWNER(op, struct loop_poll, op);

	poll->armed = cqe_flags & IORING_CQE_F_MORE;
	if (poll->stopped) {
		if (!poll->armed)
			loop_reap(poll->loop, &poll->free_task);
		return;
	}
	if (!poll->armed && res >= 0)
		arm(poll);
	poll->ready(poll->ctx, res >= 0 ? (uint32_t)res : POLLERR);
}

static void free_poll(struct loop_task *task)
{
	free(LOOP_OWNER(task, struct loop_poll, free_task));
}

int loop_poll(struct loop *loop, int fd, uint32_t events,
	      void (*ready)(void *ctx, uint32_t revents), void *ctx, struct loop_poll **poll)
{
	struct loop_poll *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	*fresh = (struct loop_poll){
		.op.done = on_edge,
		.free_task.run = free_poll,
		.loop = loop,
		.ready = ready,
		.ctx = ctx,
		.fd = fd,
		.events = events,
	};
	arm(fresh);
	*poll = fresh;
	return 0;
}

void loop_poll_stop(struct loop_poll *poll)
{
	if (!poll || poll->stopped)
		return;
	poll->stopped = true;
	if (poll->armed)
		loop_cancel(poll->loop, &poll->op);
	else
		loop_reap(poll->loop, &poll->free_task);
}
