/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. A listening socket with a name in the file system.
 * May call: nothing. Called by: listen, control.
 */
#ifndef KNELL_IO_UNIX_SOCKET_H
#define KNELL_IO_UNIX_SOCKET_H

#include <sys/stat.h>
#include <sys/un.h>

/*
 * Listens at `addr` with these permissions, making its parent directory where it is missing; what a
 * killed process left there is replaced, but nothing else. `flags`: SOCK_NONBLOCK or 0. The
 * descriptor, or -errno (-EADDRINUSE: somebody answers there; -EEXIST: it is no socket).
 */
int unix_socket_listen(const struct sockaddr_un *addr, mode_t mode, int flags, int backlog);

/* What -errno of unix_socket_listen() means, in words. Static, or as strerror(). */
const char *unix_socket_error(int err);

/* Closes `fd` and takes its name away. Nothing when `fd` is negative. */
void unix_socket_close(int fd, const struct sockaddr_un *addr);

#endif
