// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/drives: what is there, what is not, what is broken, full, read-only and
 * what hangs. Such drives are played by statvfs(), fallocate() and fdatasync() themselves, which
 * stand here in libc's place, and go by the names of directories.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "io/loop.h"
#include "store/drives.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum { DEADLINE_S = 20, BLOCK_BYTES = 4096 };

static struct loop *loop;
static struct drives *drives;
static struct timer look;
static uint64_t deadline_ns;
static bool (*wanted)(void);
static bool timed_out;
static char dir[] = "/tmp/knell-test-drives-XXXXXX";
static char good[64], hanging[64], broken[64], absent[64], file[64];
static char locked[64], full[64], sick[64], frozen[64];
static atomic_bool healed;
static int gate[2]; /* what hangs reads from it */

/* Stands in libc's place when a drive is looked at. */
int look_at(const char *path, struct statvfs *found) __asm__("statvfs");

int look_at(const char *path, struct statvfs *found)
{
	struct stat info;
	char byte;

	if (strstr(path, "hanging"))
		(void)!read(gate[0], &byte, 1);
	if (strstr(path, "broken")) {
		errno = EIO;
		return -1;
	}
	if (stat(path, &info))
		return -1;
	*found = (struct statvfs){
		.f_frsize = BLOCK_BYTES,
		.f_blocks = 1000,
		.f_bfree = 400,
		.f_bavail = 300,
		.f_files = 50,
		.f_ffree = 20,
		.f_flag = strstr(path, "locked") ? ST_RDONLY : 0,
	};
	return 0;
}

/* Which of the drives a file without a name is on. */
static bool is_on(int fd, const char *name)
{
	char link[64], path[128];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = '\0';
	return strstr(path, name);
}

int reserve(int fd, int mode, off_t offset, off_t len) __asm__("fallocate");

int reserve(int fd, int mode, off_t offset, off_t len)
{
	(void)mode;
	(void)offset;
	errno = ENOSPC;
	return is_on(fd, "full") && len > BLOCK_BYTES && !atomic_load(&healed) ? -1 : 0;
}

int flush(int fd) __asm__("fdatasync");

int flush(int fd)
{
	char byte;

	if (is_on(fd, "frozen"))
		(void)!read(gate[0], &byte, 1);
	errno = EIO;
	return is_on(fd, "sick") ? -1 : 0;
}

static bool are_known(void)
{
	return drives_known(drives);
}

static bool never(void)
{
	return false;
}

static bool first_is_faulty(void)
{
	return drives_get(drives, 0)->state == DRIVE_FAULTY;
}

static bool first_is_ok(void)
{
	return drives_get(drives, 0)->state == DRIVE_OK;
}

static void on_look(struct timer *timer)
{
	timed_out = loop_now_ns(loop) >= deadline_ns;
	if (timed_out || wanted())
		loop_stop(loop);
	else
		loop_arm(loop, timer, loop_now_ns(loop) + NS_PER_MS);
}

static void run(bool (*condition)(void), uint64_t patience_ns)
{
	wanted = condition;
	deadline_ns = loop_now_ns(loop) + patience_ns;
	loop_arm(loop, &look, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_disarm(loop, &look);
}

static void run_until(bool (*condition)(void))
{
	run(condition, DEADLINE_S * NS_PER_S);
	ck_assert(!timed_out);
}

static void setup(void)
{
	char why[200];

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(good, sizeof(good), "%s/good", dir);
	snprintf(hanging, sizeof(hanging), "%s/hanging", dir);
	snprintf(broken, sizeof(broken), "%s/broken", dir);
	snprintf(absent, sizeof(absent), "%s/absent", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(locked, sizeof(locked), "%s/locked", dir);
	snprintf(full, sizeof(full), "%s/full", dir);
	snprintf(sick, sizeof(sick), "%s/sick", dir);
	snprintf(frozen, sizeof(frozen), "%s/frozen", dir);
	ck_assert(!mkdir(good, 0700) && !mkdir(hanging, 0700) && !mkdir(broken, 0700));
	ck_assert(!mkdir(locked, 0700) && !mkdir(full, 0700) && !mkdir(sick, 0700));
	ck_assert(!mkdir(frozen, 0700));
	atomic_store(&healed, false);
	fclose(fopen(file, "w"));
	ck_assert_int_eq(pipe(gate), 0);
	look = (struct timer){.fire = on_look};
	drives = NULL;
}

static void teardown(void)
{
	drives_close(drives);
	loop_close(loop);
	/* Lets go of what hangs still. */
	close(gate[1]);
	rmdir(good);
	rmdir(hanging);
	rmdir(broken);
	rmdir(locked);
	rmdir(full);
	rmdir(sick);
	rmdir(frozen);
	unlink(file);
	rmdir(dir);
}

START_TEST(reads_each)
{
	char *paths[] = {good, absent, file, broken};
	const struct drive *drive;

	ck_assert_int_eq(drives_open(&drives, loop, paths, 4), 0);
	ck_assert_uint_eq(drives_count(drives), 4);
	ck_assert(!drives_known(drives));
	ck_assert_int_eq(drives_get(drives, 0)->state, DRIVE_UNKNOWN);
	run_until(are_known);
	drive = drives_get(drives, 0);
	ck_assert_int_eq(drive->state, DRIVE_OK);
	ck_assert_str_eq(drive->path, good);
	ck_assert_str_eq(drive->reason, "");
	ck_assert_uint_eq(drive->total_bytes, UINT64_C(1000) * BLOCK_BYTES);
	ck_assert_uint_eq(drive->used_bytes, UINT64_C(600) * BLOCK_BYTES);
	ck_assert_uint_eq(drive->available_bytes, UINT64_C(300) * BLOCK_BYTES);
	ck_assert_uint_eq(drive->inodes, 50);
	ck_assert_uint_eq(drive->inodes_used, 30);
	ck_assert(!drive->read_only);
	ck_assert_int_eq(drives_get(drives, 1)->state, DRIVE_OFFLINE);
	ck_assert_str_eq(drives_get(drives, 1)->reason, "No such file or directory");
	ck_assert_int_eq(drives_get(drives, 2)->state, DRIVE_OFFLINE);
	ck_assert_int_eq(drives_get(drives, 3)->state, DRIVE_FAULTY);
	ck_assert_str_eq(drives_get(drives, 3)->reason, "Input/output error");
}
END_TEST

START_TEST(what_hangs_is_faulty_and_holds_up_no_other)
{
	char *paths[] = {hanging, good};

	ck_assert_int_eq(drives_open(&drives, loop, paths, 2), 0);
	run(never, 200 * NS_PER_MS);
	ck_assert_int_eq(drives_get(drives, 0)->state, DRIVE_UNKNOWN);
	ck_assert_int_eq(drives_get(drives, 1)->state, DRIVE_OK);
	ck_assert(!drives_known(drives));
	run_until(are_known);
	ck_assert_int_eq(drives_get(drives, 0)->state, DRIVE_FAULTY);
	ck_assert_ptr_nonnull(strstr(drives_get(drives, 0)->reason, "does not answer"));
	ck_assert_int_eq(write(gate[1], "x", 1), 1);
	run_until(first_is_ok);
	ck_assert_str_eq(drives_get(drives, 0)->reason, "");
}
END_TEST

START_TEST(what_takes_no_write_is_faulty)
{
	char *paths[] = {full, locked, sick};
	const struct drive *drive;

	ck_assert_int_eq(drives_open(&drives, loop, paths, 3), 0);
	run_until(are_known);
	drive = drives_get(drives, 0);
	ck_assert_int_eq(drive->state, DRIVE_FAULTY);
	ck_assert_str_eq(drive->reason, "cannot be written: full");
	ck_assert_uint_eq(drive->total_bytes, UINT64_C(1000) * BLOCK_BYTES);
	ck_assert(!drive->read_only);
	drive = drives_get(drives, 1);
	ck_assert_int_eq(drive->state, DRIVE_FAULTY);
	ck_assert_str_eq(drive->reason, "cannot be written: read-only");
	ck_assert(drive->read_only);
	drive = drives_get(drives, 2);
	ck_assert_int_eq(drive->state, DRIVE_FAULTY);
	ck_assert_str_eq(drive->reason, "cannot be written: Input/output error");
	atomic_store(&healed, true);
	run_until(first_is_ok);
	ck_assert_str_eq(drives_get(drives, 0)->reason, "");
}
END_TEST

START_TEST(what_hangs_at_a_write_is_faulty)
{
	char *paths[] = {frozen};

	ck_assert_int_eq(drives_open(&drives, loop, paths, 1), 0);
	run_until(first_is_faulty);
	ck_assert(drives_known(drives));
	ck_assert_ptr_nonnull(strstr(drives_get(drives, 0)->reason, "does not take a write"));
	ck_assert_int_eq(write(gate[1], "x", 1), 1);
	run_until(first_is_ok);
	ck_assert_str_eq(drives_get(drives, 0)->reason, "");
}
END_TEST

START_TEST(closes_while_one_hangs)
{
	char *paths[] = {hanging, hanging, hanging};
	struct timespec began, ended;

	ck_assert_int_eq(drives_open(&drives, loop, paths, 3), 0);
	run(never, 20 * NS_PER_MS);
	clock_gettime(CLOCK_MONOTONIC, &began);
	drives_close(drives);
	drives = NULL;
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ck_assert_int_le(ended.tv_sec - began.tv_sec, 1);
}
END_TEST

START_TEST(may_be_none)
{
	ck_assert_int_eq(drives_open(&drives, loop, NULL, 0), 0);
	ck_assert_uint_eq(drives_count(drives), 0);
	ck_assert(drives_known(drives));
	ck_assert_uint_eq(drives_count(NULL), 0);
	ck_assert(drives_known(NULL));
}
END_TEST

START_TEST(states_have_names)
{
	unsigned int i;

	for (i = 0; i < DRIVE_STATES; i++)
		ck_assert_uint_eq(drive_state_parse(drive_state_name(i)), i);
	ck_assert_int_eq(drive_state_parse("ablaze"), DRIVE_UNKNOWN);
	ck_assert_str_eq(drive_state_name(DRIVE_STATES), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("drives");
	TCase *tcase = tcase_create("drives");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, reads_each);
	tcase_add_test(tcase, what_hangs_is_faulty_and_holds_up_no_other);
	tcase_add_test(tcase, what_takes_no_write_is_faulty);
	tcase_add_test(tcase, what_hangs_at_a_write_is_faulty);
	tcase_add_test(tcase, closes_while_one_hangs);
	tcase_add_test(tcase, may_be_none);
	tcase_add_test(tcase, states_have_names);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
