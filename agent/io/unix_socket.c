// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. A listening socket with a name in the file system. See unix_socket.h.
 * May call: nothing. Called by: listen, control.
 */
#include "unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void make_parent(const struct sockaddr_un *addr)
{
	char parent[sizeof(addr->sun_path)], *slash;

	snprintf(parent, sizeof(parent), "%s", addr->sun_path);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		mkdir(parent, 0755);
	}
}

/* EAGAIN: somebody listens there and is too busy to accept. */
static bool is_answered(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered = fd < 0 || !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ||
			errno == EAGAIN;

	if (fd >= 0)
		close(fd);
	return answered;
}

/* A socket file that nobody answers on is what a killed agent left behind. */
static int bind_name(int fd, const struct sockaddr_un *addr)
{
	if (!bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (is_answered(addr))
		return -EADDRINUSE;
	if (unlink(addr->sun_path) || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return -errno;
	return 0;
}

int unix_socket_listen(const struct sockaddr_un *addr, mode_t mode, int flags, int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int err;

	if (fd < 0)
		return -errno;
	make_parent(addr);
	err = bind_name(fd, addr);
	if (err) {
		close(fd);
		return err;
	}
	if (!chmod(addr->sun_path, mode) && !listen(fd, backlog))
		return fd;
	err = -errno;
	unix_socket_close(fd, addr);
	return err;
}

void unix_socket_close(int fd, const struct sockaddr_un *addr)
{
	if (fd < 0)
		return;
	close(fd);
	unlink(addr->sun_path);
}
