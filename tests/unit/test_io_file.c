// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/file: files through io_uring, and chains that are not torn apart.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/loop.h"

#define NS_PER_S UINT64_C(1000000000)

enum { DEADLINE_S = 20, LARGE_BYTES = 3 << 20, CHAINS = 1000, FILE_MODE = 0600 };

static struct loop *loop;
static struct timer deadline;
static char path[] = "/tmp/knell-test-file-XXXXXX";
static int dir_fd;
static struct file_op op;
static ssize_t result;
static unsigned int done_count, wanted;

static void on_deadline(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

static void on_done(struct file_op *file_op, ssize_t res)
{
	(void)file_op;
	result = res;
	if (++done_count == wanted)
		loop_stop(loop);
}

static void run_until(unsigned int count)
{
	wanted = count;
	loop_arm(loop, &deadline, loop_now_ns(loop) + DEADLINE_S * NS_PER_S);
	while (done_count < wanted && deadline.armed)
		ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(done_count, wanted);
	loop_disarm(loop, &deadline);
	done_count = 0;
}

static ssize_t wait_one(void)
{
	run_until(1);
	return result;
}

static void setup(void)
{
	char why[200];

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	ck_assert_ptr_nonnull(mkdtemp(path));
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir_fd, 0);
	deadline = (struct timer){.fire = on_deadline};
	op = (struct file_op){.done = on_done};
	done_count = 0;
}

static int remove_one(const char *name, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(name);
}

static void teardown(void)
{
	loop_close(loop);
	close(dir_fd);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int open_file(const char *name, int flags)
{
	file_open(loop, &op, dir_fd, name, flags, FILE_MODE);
	return (int)wait_one();
}

START_TEST(what_is_written_is_read)
{
	uint8_t *data = malloc(LARGE_BYTES), *found = malloc(LARGE_BYTES);
	int fd = open_file("a", O_RDWR | O_CREAT | O_EXCL);
	struct stat info;

	ck_assert(data && found);
	memset(data, 'k', LARGE_BYTES);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	file_write(loop, &op, fd, data, LARGE_BYTES, 10);
	ck_assert_int_eq(wait_one(), LARGE_BYTES);
	file_read(loop, &op, fd, found, LARGE_BYTES, 10);
	ck_assert_int_eq(wait_one(), LARGE_BYTES);
	ck_assert_mem_eq(data, found, LARGE_BYTES);
	/* The end of the file comes early. */
	file_read(loop, &op, fd, found, 100, LARGE_BYTES);
	ck_assert_int_eq(wait_one(), 10);
	file_read(loop, &op, fd, found, 100, LARGE_BYTES + 100);
	ck_assert_int_eq(wait_one(), 0);
	file_reserve(loop, &op, fd, 0, (uint64_t)2 * LARGE_BYTES);
	ck_assert(wait_one() == 0 || result == -EOPNOTSUPP);
	ck_assert_int_eq(fstat(fd, &info), 0);
	ck_assert_int_eq(info.st_size, LARGE_BYTES + 10);
	file_close(loop, fd);
	file_unlink(loop, &op, dir_fd, "a");
	ck_assert_int_eq(wait_one(), 0);
	file_unlink(loop, &op, dir_fd, "a");
	ck_assert_int_eq(wait_one(), -ENOENT);
	ck_assert_int_eq(open_file("a", O_RDONLY), -ENOENT);
	free(data);
	free(found);
}
END_TEST

START_TEST(errors_are_told)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	file_write(loop, &op, fd, "x", 1, 0);
	ck_assert_int_eq(wait_one(), -ENOSPC);
	close(fd);
	file_write(loop, &op, -1, "x", 1, 0);
	ck_assert_int_eq(wait_one(), -EBADF);
	file_read(loop, &op, dir_fd, &fd, 1, 0);
	ck_assert_int_eq(wait_one(), -EISDIR);
}
END_TEST

START_TEST(a_read_may_be_called_back)
{
	int fds[2];
	char byte;

	ck_assert_int_eq(pipe(fds), 0);
	file_read(loop, &op, fds[0], &byte, 1, 0);
	file_cancel(&op);
	ck_assert(wait_one() == -ECANCELED || result == -EINTR);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* ---- publishing ---- */

struct chain {
	struct file_publish publish;
	int fd;
	char from[16], to[16];
};

static void on_published(struct file_publish *publish, int err)
{
	(void)publish;
	on_done(NULL, err);
}

START_TEST(a_name_is_given_or_why_not)
{
	struct chain chain = {.publish.done = on_published};

	chain.fd = open_file("tmp", O_WRONLY | O_CREAT);
	file_publish(loop, &chain.publish, chain.fd, dir_fd, "tmp", dir_fd, "name");
	ck_assert_int_eq(wait_one(), 0);
	ck_assert_int_eq(faccessat(dir_fd, "name", F_OK, 0), 0);
	/* The first cause is told, not that the others were cancelled. */
	file_publish(loop, &chain.publish, chain.fd, dir_fd, "tmp", dir_fd, "name");
	ck_assert_int_eq(wait_one(), -ENOENT);
	close(chain.fd);
}
END_TEST

START_TEST(chains_are_not_torn_apart)
{
	struct chain *chains = calloc(CHAINS, sizeof(*chains));
	int i;

	ck_assert_ptr_nonnull(chains);
	/* More than the ring holds, from one callback's point of view; one descriptor for all. */
	for (i = 0; i < CHAINS; i++) {
		snprintf(chains[i].from, sizeof(chains[i].from), "from %d", i);
		snprintf(chains[i].to, sizeof(chains[i].to), "to %d", i);
		ck_assert_int_eq(symlinkat("nowhere", dir_fd, chains[i].from), 0);
	}
	for (i = 0; i < CHAINS; i++) {
		chains[i].publish.done = on_published;
		file_publish(loop, &chains[i].publish, dir_fd, dir_fd, chains[i].from, dir_fd,
			     i % 2 ? chains[i].to : "no/such/directory");
	}
	run_until(CHAINS);
	for (i = 0; i < CHAINS; i++)
		ck_assert_int_eq(chains[i].publish.err, i % 2 ? 0 : -ENOENT);
	free(chains);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_file");
	TCase *tcase = tcase_create("io_file");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_is_written_is_read);
	tcase_add_test(tcase, errors_are_told);
	tcase_add_test(tcase, a_read_may_be_called_back);
	tcase_add_test(tcase, a_name_is_given_or_why_not);
	tcase_add_test(tcase, chains_are_not_torn_apart);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
