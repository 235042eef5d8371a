// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Signals as events of the loop.
 * May call: loop_poll. Called by: main.
 *
 * Happy path: the signals are blocked, a signalfd becomes readable, each is read and told. Failure
 * modes: none after opening; a signal that comes twice before it is read is told once, as the
 * kernel does with all signals.
 */
#include "loop_signal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop_poll.h"

struct loop_signal {
	struct loop *loop;
	struct loop_poll *poll;
	struct loop_task free_task;
	void (*caught)(void *ctx, const struct signalfd_siginfo *info);
	void *ctx;
	int fd;
	bool stopped;
};

static void on_readable(void *ctx, uint32_t revents)
{
	struct loop_signal *signals = ctx;
	struct signalfd_siginfo info;

	(void)revents;
	while (!signals->stopped && read(signals->fd, &info, sizeof(info)) == sizeof(info))
		signals->caught(signals->ctx, &info);
}

static void free_signals(struct loop_task *task)
{
	struct loop_signal *signals = LOOP_OWNER(task, struct loop_signal, free_task);

	close(signals->fd);
	free(signals);
}

int loop_signal(struct loop *loop, const sigset_t *set,
		void (*caught)(void *ctx, const struct signalfd_siginfo *info), void *ctx,
		struct loop_signal **signals)
{
	struct loop_signal *fresh = calloc(1, sizeof(*fresh));
	int err = -ENOMEM;

	if (!fresh)
		return err;
	*fresh = (struct loop_signal){
		.loop = loop,
		.free_task.run = free_signals,
		.caught = caught,
		.ctx = ctx,
	};
	fresh->fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fresh->fd < 0) {
		err = -errno;
		goto out;
	}
	err = loop_poll(loop, fresh->fd, POLLIN, on_readable, fresh, &fresh->poll);
	if (err)
		goto out;
	err = -pthread_sigmask(SIG_BLOCK, set, NULL);
	if (err) {
		loop_signal_stop(fresh);
		return err;
	}
	*signals = fresh;
	return 0;
out:
	if (fresh->fd >= 0)
		close(fresh->fd);
	free(fresh);
	return err;
}

void loop_signal_stop(struct loop_signal *signals)
{
	if (!signals || signals->stopped)
		return;
	signals->stopped = true;
	loop_poll_stop(signals->poll);
	loop_reap(signals->loop, &signals->free_task);
}
