// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/unix_socket: whose names are taken, and whose are not.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/unix_socket.h"

enum { MODE = 0600, BACKLOG = 4 };

static char dir[64];
static struct sockaddr_un addr;

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/knell-test-unix-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
}

static void teardown(void)
{
	unlink(addr.sun_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static mode_t mode_there(void)
{
	struct stat there = {};

	return lstat(addr.sun_path, &there) ? 0 : there.st_mode;
}

START_TEST(takes_a_free_name_and_gives_it_back)
{
	int fd = unix_socket_listen(&addr, MODE, SOCK_NONBLOCK, BACKLOG);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(mode_there(), S_IFSOCK | MODE);
	unix_socket_close(fd, &addr);
	ck_assert_uint_eq(mode_there(), 0);
}
END_TEST

START_TEST(takes_over_what_a_killed_one_left)
{
	int left = unix_socket_listen(&addr, MODE, 0, BACKLOG), fd;

	ck_assert_int_ge(left, 0);
	close(left);
	ck_assert_uint_eq(mode_there() & S_IFMT, S_IFSOCK);
	fd = unix_socket_listen(&addr, MODE, 0, BACKLOG);
	ck_assert_int_ge(fd, 0);
	unix_socket_close(fd, &addr);
}
END_TEST

START_TEST(leaves_the_living_alone)
{
	int fd = unix_socket_listen(&addr, MODE, 0, BACKLOG);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unix_socket_listen(&addr, MODE, 0, BACKLOG), -EADDRINUSE);
	ck_assert_uint_eq(mode_there() & S_IFMT, S_IFSOCK);
	unix_socket_close(fd, &addr);
}
END_TEST

/* _i: 0 a file, 1 a link to one. */
START_TEST(leaves_what_is_no_socket_alone)
{
	char target[sizeof(dir) + 2];
	int fd;

	snprintf(target, sizeof(target), "%s/t", dir);
	fd = open(_i ? target : addr.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, MODE);
	ck_assert_int_ge(fd, 0);
	close(fd);
	if (_i)
		ck_assert_int_eq(symlink(target, addr.sun_path), 0);
	ck_assert_int_eq(unix_socket_listen(&addr, MODE, 0, BACKLOG), -EEXIST);
	ck_assert_uint_eq(mode_there() & S_IFMT, _i ? S_IFLNK : S_IFREG);
	if (_i)
		unlink(target);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_unix");
	TCase *tcase = tcase_create("io_unix");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, takes_a_free_name_and_gives_it_back);
	tcase_add_test(tcase, takes_over_what_a_killed_one_left);
	tcase_add_test(tcase, leaves_the_living_alone);
	tcase_add_loop_test(tcase, leaves_what_is_no_socket_alone, 0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
