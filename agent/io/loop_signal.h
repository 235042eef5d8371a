/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Signals as events of the loop.
 * May call: loop_poll. Called by: main.
 */
#ifndef KNELL_IO_LOOP_SIGNAL_H
#define KNELL_IO_LOOP_SIGNAL_H

#include <signal.h>
#include <sys/signalfd.h>

#include "loop.h"

struct loop_signal;

/*
 * Blocks the signals of `set` for this thread and calls caught() for each that arrives. 0 and
 * *signals, or -errno with the signal mask as it was. Call it before any other thread starts, or
 * those will be hit.
 */
int loop_signal(struct loop *loop, const sigset_t *set,
		void (*caught)(void *ctx, const struct signalfd_siginfo *info), void *ctx,
		struct loop_signal **signals);

/* No callback after this returns; the signals stay blocked. NULL is allowed. */
void loop_signal_stop(struct loop_signal *signals);

#endif
