/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One stream socket on the loop.
 * May call: loop, pool. Called by: tls, and whoever speaks in the clear.
 */
#ifndef KNELL_IO_TCP_H
#define KNELL_IO_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop.h"

struct tcp;

/*
 * What the owner hears. No callback runs from inside a tcp_*() call, and none after tcp_close() or
 * tcp_abort(), both of which are allowed in every callback. The table must outlive the connection.
 */
struct tcp_callbacks {
	/* tcp_connect() only, once, first: 0, or -errno and then nothing else. */
	void (*on_connect)(void *ctx, int err);
	/*
	 * `data` is valid during the call. len 0, once: the peer has finished; we may still send.
	 */
	void (*on_data)(void *ctx, const uint8_t *data, size_t len);
	/* May be NULL. The queue has sunk to the low-water mark after it stood above. */
	void (*on_writable)(void *ctx);
	/*
	 * Once, last: 0 when both sides had finished, or -errno. The owner still has to call
	 * tcp_close().
	 */
	void (*on_close)(void *ctx, int err);
};

/* Zero-initialised is fine. */
struct tcp_opts {
	/* Called on the fresh socket before it connects; -errno from it is tcp_connect()'s. */
	int (*prepare)(void *ctx, int fd);
	void *prepare_ctx;
	const struct sockaddr *source; /* bind to this address, NULL: let the kernel choose */
	uint64_t connect_timeout_ns;   /* 0: the kernel's, over two minutes */
	size_t send_limit_bytes;       /* 0: TCP_SEND_LIMIT_BYTES */
	size_t low_water_bytes;	       /* 0: a quarter of the limit */
};

enum { TCP_SEND_LIMIT_BYTES = 4 << 20 };

/* How long a connection after tcp_close() may take to deliver its queue and see the peer's FIN. */
#define TCP_LINGER_NS UINT64_C(2000000000)

/*
 * Starts to connect to `addr` (AF_INET or AF_INET6); on_connect tells how it went. 0 and *tcp, or
 * -errno at once (no socket, source address not ours, refused by `prepare`).
 */
int tcp_connect(struct loop *loop, const struct sockaddr *addr, const struct tcp_opts *opts,
		const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp);

/*
 * Takes over the connected socket `fd`. 0 and *tcp; or -errno and `fd` is still the caller's.
 * `opts` may be NULL.
 */
int tcp_adopt(struct loop *loop, int fd, const struct tcp_opts *opts,
	      const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp);

/*
 * Queues a copy of `data`, all or nothing; what one batch queues leaves in one send. 0, -ENOBUFS
 * above the send limit (wait for on_writable), -EPIPE when sending has ended or failed, -ENOTCONN
 * before on_connect, -ENOMEM.
 */
int tcp_send(struct tcp *tcp, const void *data, size_t len);

/* Bytes that the kernel has not taken yet. */
size_t tcp_queued(const struct tcp *tcp);

/* Half close: FIN after the queue; on_data goes on until the peer's. */
void tcp_shutdown(struct tcp *tcp);

/*
 * Stops and restarts on_data; one more may come after a pause. While paused the end of the peer
 * goes unseen.
 */
void tcp_pause(struct tcp *tcp);
void tcp_resume(struct tcp *tcp);

/* The socket, for getsockopt(); it stays ours. */
int tcp_fd(const struct tcp *tcp);

/*
 * Lets the kernel ask on the connected `fd` after `idle_s` of silence, and again as long after each
 * of TCP_KEEPALIVE_PROBES questions before it gives up; 0: leaves everything as the system has it.
 * Best effort: the connection is as good without.
 */
enum { TCP_KEEPALIVE_PROBES = 3 };
void tcp_keepalive(int fd, unsigned idle_s);

/*
 * Gives `tcp` up gracefully: delivers the queue, then FIN, then reads and drops until the peer's
 * FIN (closing with data unread would send a RST, and that could overtake our last words), for
 * TCP_LINGER_NS at most. NULL is allowed.
 */
void tcp_close(struct tcp *tcp);

/*
 * Gives `tcp` up at once: drops the queue; the socket dies with a RST as soon as the loop has
 * cancelled what is in flight. This call itself only detaches: well below a microsecond. NULL is
 * allowed.
 */
void tcp_abort(struct tcp *tcp);

#endif
