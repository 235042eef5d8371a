// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. A listening socket with a name in the file system. See unix_socket.h.
 * May call: nothing. Called by: listen, control.
 */
#include "unix_socket.h"

#include <errno.h>
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

/*
 * A socket that refuses is what a killed agent left behind. Whatever else has that name, a file or
 * a link to one, is somebody's own.
 */
static int check_left_behind(const struct sockaddr_un *addr)
{
	struct stat there;
	int fd, err;

	if (lstat(addr->sun_path, &there))
		return -errno;
	if (!S_ISSOCK(there.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? -errno : 0;
	close(fd);
	return err == -ECONNREFUSED ? 0 : -EADDRINUSE;
}

static int bind_name(int fd, const struct sockaddr_un *addr)
{
	int err;

	if (!bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	err = check_left_behind(addr);
	if (err)
		return err;
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

const char *unix_socket_error(int err)
{
	if (err == -EADDRINUSE)
		return "another knelld answers there";
	if (err == -EEXIST)
		return "a file that is no socket has that name";
	return strerror(-err);
}

void unix_socket_close(int fd, const struct sockaddr_un *addr)
{
	if (fd < 0)
		return;
	close(fd);
	unlink(addr->sun_path);
}
