// SPDX-License-Identifier: BSD-2-Clause
/*
 * sweep.c - run the kernel's sweep over all TCP sockets, off the loop.
 *
 * Room: detect. An iterator runs inside read(2) of its file, for as long as there are sockets. The
 * read goes to io_uring's workers, so that the loop never waits for it.
 *
 * Happy path: create the iterator's file -> one read runs the whole sweep -> 0 bytes -> close.
 * Failure modes: -EAGAIN or a partial walk: read again until it says 0. Closed while reading: the
 * owner lives on until the completion has come.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "detect/sweep.h"

struct sweep {
	struct loop_op op;
	struct loop *loop;
	const struct pins *pins;
	int fd; /* -1 when none is under way */
	bool closed;
	char nothing[64]; /* the sweep writes no text */
};

static void read_on(struct sweep *sweep)
{
	struct io_uring_sqe *sqe = loop_sqe(sweep->loop, &sweep->op);

	io_uring_prep_read(sqe, sweep->fd, sweep->nothing, sizeof(sweep->nothing), -1);
	sqe->flags |= IOSQE_ASYNC;
}

static void on_read(struct loop_op *op, int res, uint32_t cqe_flags)
{
	struct sweep *sweep = LOOP_OWNER(op, struct sweep, op);

	(void)cqe_flags;
	if (!sweep->closed && (res > 0 || res == -EAGAIN)) {
		read_on(sweep);
		return;
	}
	close(sweep->fd);
	sweep->fd = -1;
	if (sweep->closed)
		free(sweep);
}

int sweep_open(struct sweep **sweep, struct loop *loop, const struct pins *pins)
{
	struct sweep *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->op.done = on_read;
	fresh->loop = loop;
	fresh->pins = pins;
	fresh->fd = -1;
	*sweep = fresh;
	return 0;
}

void sweep_close(struct sweep *sweep)
{
	if (!sweep)
		return;
	sweep->closed = true;
	if (sweep->fd < 0)
		free(sweep);
}

void sweep_kick(struct sweep *sweep)
{
	if (sweep->fd >= 0)
		return;
	sweep->fd = bpf_iter_create(sweep->pins->sweep);
	if (sweep->fd >= 0)
		read_on(sweep);
}
