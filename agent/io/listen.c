// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Listening stream sockets.
 * May call: loop, unix_socket. Called by: servers.
 *
 * Happy path: one multishot ACCEPT delivers every connection. Failure modes: out of descriptors or
 * memory: the kernel ends the multishot; try again after LISTEN_PAUSE_NS, for the condition lasts
 * and the backlog waits. A connection died in the backlog: go on at once. Closed while connections
 * are on their way: they are closed.
 */
#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unix_socket.h"

#define LISTEN_PAUSE_NS UINT64_C(100000000)
/* Who may not come at all is up to the directory that the socket stands in. */
#define LISTEN_UNIX_MODE 0666

struct listener {
	struct loop_op accept_op;
	struct loop_task free_task;
	struct timer pause;
	struct loop *loop;
	void (*accepted)(void *ctx, int fd);
	void *ctx;
	int fd;
	struct sockaddr_un path; /* AF_UNIX */
	uint16_t port;
	bool armed;
	bool closed;
};

static void arm(struct listener *listener)
{
	io_uring_prep_multishot_accept(loop_sqe(listener->loop, &listener->accept_op), listener->fd,
				       NULL, NULL, SOCK_CLOEXEC);
	listener->armed = true;
}

static void on_pause_over(struct timer *timer)
{
	arm(LOOP_OWNER(timer, struct listener, pause));
}

static void on_accepted(struct loop_op *op, int res, uint32_t cqe_flags)
{
	struct listener *listener = LOOP_OWNER(op, struct listener, accept_op);

	listener->armed = cqe_flags & IORING_CQE_F_MORE;
	if (listener->closed) {
		if (res >= 0)
			close(res);
		if (!listener->armed)
			loop_reap(listener->loop, &listener->free_task);
		return;
	}
	if (!listener->armed) {
		if (res >= 0 || res == -ECONNABORTED || res == -EINTR || res == -EPROTO)
			arm(listener);
		else
			loop_arm(listener->loop, &listener->pause,
				 loop_now_ns(listener->loop) + LISTEN_PAUSE_NS);
	}
	if (res >= 0)
		listener->accepted(listener->ctx, res);
}

static void free_listener(struct loop_task *task)
{
	struct listener *listener = LOOP_OWNER(task, struct listener, free_task);

	close(listener->fd);
	free(listener);
}

static int listen_unix(struct listener *listener, const struct sockaddr *addr, int backlog)
{
	memcpy(&listener->path, addr, sizeof(listener->path));
	return unix_socket_listen(&listener->path, LISTEN_UNIX_MODE, 0, backlog);
}

static int bind_and_listen(const struct sockaddr *addr, int backlog, uint16_t *port)
{
	const int on = 1, off = 0;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} bound;
	socklen_t len = sizeof(bound);
	int fd, err;

	if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		goto fail;
	if (addr->sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		goto fail;
	if (bind(fd, addr, addr->sa_family == AF_INET ? sizeof(bound.v4) : sizeof(bound.v6)) < 0 ||
	    listen(fd, backlog) < 0 || getsockname(fd, &bound.any, &len) < 0)
		goto fail;
	*port = ntohs(addr->sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

int listen_open(struct loop *loop, const struct sockaddr *addr, int backlog,
		void (*accepted)(void *ctx, int fd), void *ctx, struct listener **listener)
{
	struct listener *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	*fresh = (struct listener){
		.accept_op.done = on_accepted,
		.free_task.run = free_listener,
		.pause.fire = on_pause_over,
		.loop = loop,
		.accepted = accepted,
		.ctx = ctx,
	};
	fresh->fd = addr->sa_family == AF_UNIX ? listen_unix(fresh, addr, backlog)
					       : bind_and_listen(addr, backlog, &fresh->port);
	if (fresh->fd < 0) {
		err = fresh->fd;
		free(fresh);
		return err;
	}
	arm(fresh);
	*listener = fresh;
	return 0;
}

uint16_t listen_port(const struct listener *listener)
{
	return listener->port;
}

void listen_close(struct listener *listener)
{
	if (!listener || listener->closed)
		return;
	listener->closed = true;
	/* Now, not when the loop has time: the next agent may be waiting for the name. */
	if (listener->path.sun_family == AF_UNIX)
		unlink(listener->path.sun_path);
	loop_disarm(listener->loop, &listener->pause);
	if (listener->armed)
		loop_cancel(listener->loop, &listener->accept_op);
	else
		loop_reap(listener->loop, &listener->free_task);
}
