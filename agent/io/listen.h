/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Listening stream sockets.
 * May call: loop. Called by: servers, which adopt what is accepted (tcp_adopt, http2_server).
 */
#ifndef KNELL_IO_LISTEN_H
#define KNELL_IO_LISTEN_H

#include <stdint.h>
#include <sys/socket.h>

#include "loop.h"

struct listener;

/*
 * Listens on `addr` (AF_INET or AF_INET6, "::" takes IPv4 too, with SO_REUSEADDR; or AF_UNIX, open
 * to every program of this host that can reach the path) and calls accepted(ctx, fd) for each
 * connection; the callback owns `fd` (blocking, close-on-exec). 0 and *listener, or -errno.
 */
int listen_open(struct loop *loop, const struct sockaddr *addr, int backlog,
		void (*accepted)(void *ctx, int fd), void *ctx, struct listener **listener);

/* The bound port in host byte order: tells what port 0 became; 0 of AF_UNIX. */
uint16_t listen_port(const struct listener *listener);

/* No callback after this returns; frees `listener`. NULL is allowed. */
void listen_close(struct listener *listener);

#endif
