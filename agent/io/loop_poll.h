/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Watched descriptors on the loop.
 * May call: loop. Called by: owners of netlink sockets and BPF rings; loop_signal.
 */
#ifndef KNELL_IO_LOOP_POLL_H
#define KNELL_IO_LOOP_POLL_H

#include <stdint.h>

#include "loop.h"

struct loop_poll;

/*
 * Calls ready(ctx, revents) whenever `fd` becomes ready for `events` (POLLIN, ...). It tells
 * edges, so the callback must read until EAGAIN. If the descriptor cannot be watched any longer,
 * POLLERR comes once and then nothing more. `fd` stays the caller's and must stay open until
 * loop_poll_stop(). 0 and *poll, or -ENOMEM.
 */
int loop_poll(struct loop *loop, int fd, uint32_t events,
	      void (*ready)(void *ctx, uint32_t revents), void *ctx, struct loop_poll **poll);

/* No callback after this returns; frees `poll`. NULL is allowed. */
void loop_poll_stop(struct loop_poll *poll);

#endif
