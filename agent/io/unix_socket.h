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
 * killed process left there is replaced. `flags`: SOCK_NONBLOCK or 0. The descriptor, or -errno
 * (-EADDRINUSE: somebody answers there).
 */
int unix_socket_listen(const struct sockaddr_un *addr, mode_t mode, int flags, int backlog);

/* Closes `fd` and takes its name away. Nothing when `fd` is negative. */
void unix_socket_close(int fd, const struct sockaddr_un *addr);

#endif
