// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One stream socket on the loop.
 * May call: loop, pool. Called by: tls, and whoever speaks in the clear.
 *
 * Happy path: connect (or adopt); one receive is always in flight, its buffer picked from the
 * shared pool only when data is there; what a batch queues is sent by one deferred flush; close
 * delivers the queue, sends FIN, drops what still comes until the peer's FIN, and frees.
 *
 * Failure modes:
 * - Connecting takes too long: the connect is cancelled and reported as -ETIMEDOUT, unless it
 *   succeeded first.
 * - A send fails: the queue is dropped but the owner hears nothing yet. The receive in flight
 *   delivers what the peer said before (often why it closed) and then ends, and only that is
 *   reported, with the error of the send.
 * - The pool is empty: the receive is tried again.
 * - Closed or aborted with operations in flight: the memory and the descriptor live until the last
 *   has completed, since the kernel holds pointers to the one and a pending operation could hit a
 *   reused number of the other.
 */
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sendq.h"

/* A head and its body leave in one call, and as one segment where they fit. */
enum { SEND_PARTS_MAX = 8 };

struct tcp {
	struct loop *loop;
	const struct tcp_callbacks *callbacks;
	void *ctx;
	struct loop_op recv_op;
	struct loop_op send_op; /* the connect first, later the sends */
	struct loop_task flush_task;
	struct loop_task free_task;
	struct timer timer; /* connecting: gives up; closed: stops to linger */
	struct sendq queue;
	struct msghdr message; /* what is being sent, in parts */
	struct iovec parts[SEND_PARTS_MAX];
	size_t send_limit, low_water;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer; /* the kernel reads it when the connect is submitted */
	int fd;
	int send_err;
	bool connecting, receiving, sending; /* what is in flight */
	bool timed_out;
	bool paused;
	bool above_low_water;
	bool peer_finished;
	bool finish_wanted, finished; /* our FIN */
	bool over;		      /* on_close or a failed on_connect has been told */
	bool detached;		      /* the owner has let go */
	bool ending, cancelled, reset;
};

static socklen_t address_len(const struct sockaddr *addr)
{
	if (addr->sa_family == AF_INET)
		return sizeof(struct sockaddr_in);
	return addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : 0;
}

static bool in_flight(const struct tcp *tcp)
{
	return tcp->connecting || tcp->receiving || tcp->sending;
}

/* Lets go of everything; runs until nothing is in flight. */
static void free_when_idle(struct loop_task *task)
{
	struct tcp *tcp = LOOP_OWNER(task, struct tcp, free_task);

	if (in_flight(tcp)) {
		if (!tcp->cancelled)
			io_uring_prep_cancel_fd(loop_sqe(tcp->loop, NULL), tcp->fd,
						IORING_ASYNC_CANCEL_ALL);
		tcp->cancelled = true;
		return; /* the last completion calls end() again */
	}
	if (tcp->flush_task.queued) {
		loop_reap(tcp->loop, &tcp->free_task);
		return;
	}
	if (tcp->reset) {
		const struct linger none = {.l_onoff = 1};

		setsockopt(tcp->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	}
	close(tcp->fd);
	sendq_drop(&tcp->queue);
	free(tcp);
}

static void end(struct tcp *tcp)
{
	tcp->ending = true;
	loop_disarm(tcp->loop, &tcp->timer);
	loop_reap(tcp->loop, &tcp->free_task);
}

/* After tcp_close(): nothing left to wait for? */
static void end_if_done(struct tcp *tcp)
{
	if (tcp->ending ? !in_flight(tcp) : tcp->send_err || (tcp->finished && tcp->peer_finished))
		end(tcp);
}

static void receive(struct tcp *tcp)
{
	struct io_uring_sqe *sqe;

	if (tcp->receiving || tcp->peer_finished || tcp->ending)
		return;
	sqe = loop_sqe(tcp->loop, &tcp->recv_op);
	io_uring_prep_recv(sqe, tcp->fd, NULL, POOL_BUFFER_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = POOL_GROUP;
	tcp->receiving = true;
}

static void tell_close(struct tcp *tcp, int err)
{
	tcp->over = true;
	if (!tcp->sending)
		sendq_drop(&tcp->queue);
	tcp->callbacks->on_close(tcp->ctx, err);
}

static void take_end_of_peer(struct tcp *tcp, int res)
{
	tcp->peer_finished = true;
	if (res < 0 && !tcp->send_err)
		tcp->send_err = res;
	if (tcp->detached) {
		end_if_done(tcp);
		return;
	}
	if (tcp->send_err) {
		tell_close(tcp, tcp->send_err);
		return;
	}
	tcp->callbacks->on_data(tcp->ctx, NULL, 0);
	if (!tcp->detached && tcp->finished)
		tell_close(tcp, 0);
}

static void on_received(struct loop_op *op, int res, uint32_t cqe_flags)
{
	struct tcp *tcp = LOOP_OWNER(op, struct tcp, recv_op);
	struct pool *pool = loop_pool(tcp->loop);

	if (res > 0 && !tcp->detached)
		tcp->callbacks->on_data(tcp->ctx, pool_buffer(pool, cqe_flags), (size_t)res);
	if (cqe_flags & IORING_CQE_F_BUFFER)
		pool_give(pool, cqe_flags);
	tcp->receiving = false;
	if (tcp->ending) {
		end_if_done(tcp);
		return;
	}
	if (res == 0 || (res < 0 && res != -ENOBUFS && res != -EINTR && res != -EAGAIN))
		take_end_of_peer(tcp, res);
	else if (!tcp->paused || tcp->detached || tcp->send_err)
		receive(tcp);
}

static void send_parts(struct tcp *tcp, size_t count)
{
	struct io_uring_sqe *sqe = loop_sqe(tcp->loop, &tcp->send_op);

	if (count == 1) {
		io_uring_prep_send(sqe, tcp->fd, tcp->parts->iov_base, tcp->parts->iov_len,
				   MSG_NOSIGNAL);
	} else {
		tcp->message = (struct msghdr){.msg_iov = tcp->parts, .msg_iovlen = count};
		io_uring_prep_sendmsg(sqe, tcp->fd, &tcp->message, MSG_NOSIGNAL);
	}
	tcp->sending = true;
}

static void flush(struct loop_task *task)
{
	struct tcp *tcp = LOOP_OWNER(task, struct tcp, flush_task);
	size_t count;

	if (tcp->sending || tcp->ending || tcp->send_err || tcp->over)
		return;
	count = sendq_gather(&tcp->queue, tcp->parts, SEND_PARTS_MAX);
	if (count) {
		send_parts(tcp, count);
		return;
	}
	if (!tcp->finish_wanted || tcp->finished)
		return;
	shutdown(tcp->fd, SHUT_WR);
	tcp->finished = true;
	if (tcp->detached)
		end_if_done(tcp);
	else if (tcp->peer_finished)
		tell_close(tcp, 0);
}

static void take_sent(struct tcp *tcp, size_t sent)
{
	sendq_taken(&tcp->queue, sent);
	if (!tcp->above_low_water || tcp->queue.bytes > tcp->low_water)
		return;
	tcp->above_low_water = false;
	if (!tcp->detached && tcp->callbacks->on_writable)
		tcp->callbacks->on_writable(tcp->ctx);
}

static void on_sent(struct loop_op *op, int res, uint32_t cqe_flags)
{
	struct tcp *tcp = LOOP_OWNER(op, struct tcp, send_op);

	(void)cqe_flags;
	tcp->sending = false;
	if (tcp->ending || tcp->over) {
		sendq_drop(&tcp->queue);
	} else if (res >= 0) {
		take_sent(tcp, (size_t)res);
		loop_defer(tcp->loop, &tcp->flush_task);
	} else if (res == -EINTR || res == -EAGAIN) {
		loop_defer(tcp->loop, &tcp->flush_task);
	} else {
		tcp->send_err = res;
		sendq_drop(&tcp->queue);
		receive(tcp); /* even when paused: it brings the peer's last words */
	}
	if (tcp->detached)
		end_if_done(tcp);
}

static void on_connected(struct loop_op *op, int res, uint32_t cqe_flags)
{
	struct tcp *tcp = LOOP_OWNER(op, struct tcp, send_op);

	(void)cqe_flags;
	tcp->connecting = false;
	if (tcp->detached) {
		end_if_done(tcp);
		return;
	}
	loop_disarm(tcp->loop, &tcp->timer);
	if (res < 0) {
		tcp->over = true;
		tcp->callbacks->on_connect(tcp->ctx, tcp->timed_out ? -ETIMEDOUT : res);
		return;
	}
	tcp->send_op.done = on_sent;
	receive(tcp);
	tcp->callbacks->on_connect(tcp->ctx, 0);
}

static void on_timer(struct timer *timer)
{
	struct tcp *tcp = LOOP_OWNER(timer, struct tcp, timer);

	if (tcp->connecting) {
		tcp->timed_out = true;
		loop_cancel(tcp->loop, &tcp->send_op);
	} else {
		tcp->reset = true;
		end(tcp);
	}
}

static struct tcp *make(struct loop *loop, int fd, const struct tcp_opts *opts,
			const struct tcp_callbacks *callbacks, void *ctx)
{
	static const struct tcp_opts defaults;
	const int on = 1;
	struct tcp *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return NULL;
	if (!opts)
		opts = &defaults;
	tcp->loop = loop;
	tcp->callbacks = callbacks;
	tcp->ctx = ctx;
	tcp->recv_op.done = on_received;
	tcp->send_op.done = on_sent;
	tcp->flush_task.run = flush;
	tcp->free_task.run = free_when_idle;
	tcp->timer.fire = on_timer;
	tcp->fd = fd;
	tcp->send_limit = opts->send_limit_bytes ? opts->send_limit_bytes : TCP_SEND_LIMIT_BYTES;
	tcp->low_water = opts->low_water_bytes ? opts->low_water_bytes : tcp->send_limit / 4;
	sendq_init(&tcp->queue);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return tcp;
}

static int open_socket(const struct sockaddr *addr, const struct tcp_opts *opts)
{
	const int on = 1;
	int err = -EAFNOSUPPORT;
	int fd = -1;

	if (!address_len(addr))
		return err;
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (opts && opts->source) {
		/* The port is chosen at connect, from all that are free for this destination. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, opts->source, address_len(opts->source)) < 0) {
			err = -errno;
			goto fail;
		}
	}
	err = opts && opts->prepare ? opts->prepare(opts->prepare_ctx, fd) : 0;
	if (!err)
		return fd;
fail:
	close(fd);
	return err;
}

int tcp_connect(struct loop *loop, const struct sockaddr *addr, const struct tcp_opts *opts,
		const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp)
{
	int fd = open_socket(addr, opts);
	struct tcp *fresh;

	if (fd < 0)
		return fd;
	fresh = make(loop, fd, opts, callbacks, ctx);
	if (!fresh) {
		close(fd);
		return -ENOMEM;
	}
	memcpy(&fresh->peer, addr, address_len(addr));
	fresh->send_op.done = on_connected;
	fresh->connecting = true;
	io_uring_prep_connect(loop_sqe(loop, &fresh->send_op), fd, &fresh->peer.any,
			      address_len(addr));
	if (opts && opts->connect_timeout_ns)
		loop_arm(loop, &fresh->timer, loop_now_ns(loop) + opts->connect_timeout_ns);
	*tcp = fresh;
	return 0;
}

int tcp_adopt(struct loop *loop, int fd, const struct tcp_opts *opts,
	      const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp)
{
	struct tcp *fresh;
	int flags = fcntl(fd, F_GETFL);

	/* io_uring waits for blocking sockets only; on others it would return EAGAIN. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	fresh = make(loop, fd, opts, callbacks, ctx);
	if (!fresh)
		return -ENOMEM;
	receive(fresh);
	*tcp = fresh;
	return 0;
}

int tcp_send(struct tcp *tcp, const void *data, size_t len)
{
	int err;

	if (tcp->connecting)
		return -ENOTCONN;
	if (tcp->over || tcp->detached || tcp->send_err || tcp->finish_wanted)
		return -EPIPE;
	if (len > tcp->send_limit || tcp->queue.bytes > tcp->send_limit - len)
		return -ENOBUFS;
	if (!len)
		return 0;
	err = sendq_append(&tcp->queue, data, len);
	if (err)
		return err;
	if (tcp->queue.bytes > tcp->low_water)
		tcp->above_low_water = true;
	loop_defer(tcp->loop, &tcp->flush_task);
	return 0;
}

size_t tcp_queued(const struct tcp *tcp)
{
	return tcp->queue.bytes;
}

void tcp_shutdown(struct tcp *tcp)
{
	tcp->finish_wanted = true;
	loop_defer(tcp->loop, &tcp->flush_task);
}

void tcp_pause(struct tcp *tcp)
{
	tcp->paused = true;
}

void tcp_resume(struct tcp *tcp)
{
	tcp->paused = false;
	if (!tcp->connecting && !tcp->over)
		receive(tcp);
}

int tcp_fd(const struct tcp *tcp)
{
	return tcp->fd;
}

void tcp_keepalive(int fd, unsigned idle_s)
{
	const int on = 1, s = (int)idle_s, probes = TCP_KEEPALIVE_PROBES;

	if (!idle_s)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &s, sizeof(s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &s, sizeof(s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void tcp_close(struct tcp *tcp)
{
	if (!tcp || tcp->detached)
		return;
	tcp->detached = true;
	if (tcp->over || tcp->connecting || tcp->send_err) {
		end(tcp);
		return;
	}
	loop_arm(tcp->loop, &tcp->timer, loop_now_ns(tcp->loop) + TCP_LINGER_NS);
	receive(tcp);
	tcp_shutdown(tcp);
}

void tcp_abort(struct tcp *tcp)
{
	if (!tcp || tcp->detached)
		return;
	tcp->detached = true;
	tcp->reset = true;
	end(tcp);
}
