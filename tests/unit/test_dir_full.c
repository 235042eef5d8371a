// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/dir on a drive that is full, read-only or broken: the right error, and
 * nothing else harmed. The drive is a small tmpfs of our own; needs root.
 */
#define _GNU_SOURCE
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "store_fixture.h"

enum { SKIPPED = 77, DRIVE_MIB = 8, LARGE_BYTES = 3 << 20, SMALL_BYTES = 20000, KEPT = 5 };

static struct fixture fx;
static uint8_t *data;
static atomic_bool broken; /* SQLite's writes fail */

/* In libc's place, for SQLite. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	ssize_t (*next)(int, const void *, size_t, off64_t) =
		(ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");

	if (!atomic_load(&broken))
		return next(fd, bytes, len, offset);
	errno = EIO;
	return -1;
}

static int mount_drive(const char *path)
{
	char options[32];

	snprintf(options, sizeof(options), "size=%dm", DRIVE_MIB);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return mount("knell-test", path, "tmpfs", 0, options) ? -errno : 0;
}

static void setup(void)
{
	char key[16];
	int i;

	fixture_make(&fx);
	ck_assert_int_eq(mount_drive(fx.path), 0);
	fixture_open(&fx);
	ck_assert_msg(fx.opened == 0, "%s", fx.why);
	ck_assert_int_eq(fixture_bucket_create(&fx, "b"), 0);
	data = fixture_bytes(LARGE_BYTES, 1);
	for (i = 0; i < KEPT; i++) {
		snprintf(key, sizeof(key), "kept %d", i);
		ck_assert_int_eq(fixture_put(&fx, "b", key, data + i, SMALL_BYTES, NULL), 0);
	}
}

static void teardown(void)
{
	free(data);
	fixture_close(&fx);
	umount2(fx.path, MNT_DETACH);
	rmdir(fx.path);
}

static void check_kept(void)
{
	char key[16];
	int i;

	for (i = 0; i < KEPT; i++) {
		snprintf(key, sizeof(key), "kept %d", i);
		ck_assert(fixture_holds(&fx, "b", key, data + i, SMALL_BYTES));
	}
}

START_TEST(full_of_large_ones)
{
	char key[16];
	int err = 0, i;

	for (i = 0; !err; i++) {
		ck_assert_int_lt(i, DRIVE_MIB);
		snprintf(key, sizeof(key), "%d", i);
		err = fixture_put(&fx, "b", key, data, LARGE_BYTES, NULL);
	}
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_uint_eq(fixture_files_after(&fx, "tmp", 0), 0);
	check_kept();
	ck_assert(fixture_holds(&fx, "b", "0", data, LARGE_BYTES));
	/* Of an overwrite that fails the old one stays. */
	for (err = 0; !err;)
		err = fixture_put(&fx, "b", "0", data + 1, LARGE_BYTES - 1, NULL);
	ck_assert_int_eq(err, -ENOSPC);
	check_kept();
	/* What is removed makes room. */
	for (i--; i-- > 0;) {
		snprintf(key, sizeof(key), "%d", i);
		ck_assert_int_eq(fixture_remove_object(&fx, "b", key), 0);
	}
	ck_assert_uint_eq(fixture_files_after(&fx, "data", KEPT), KEPT);
	ck_assert_int_eq(fixture_put(&fx, "b", "0", data, LARGE_BYTES, NULL), 0);
}
END_TEST

START_TEST(full_of_small_ones)
{
	char key[16];
	int err = 0, i;

	for (i = 0; !err; i++) {
		snprintf(key, sizeof(key), "%d", i);
		err = fixture_put(&fx, "b", key, data, SMALL_BYTES, NULL);
	}
	ck_assert_int_eq(err, -ENOSPC);
	check_kept();
	for (i--; i-- > 0;) {
		snprintf(key, sizeof(key), "%d", i);
		ck_assert_int_eq(fixture_remove_object(&fx, "b", key), 0);
	}
	ck_assert_uint_eq(fixture_files_after(&fx, "data", KEPT), KEPT);
	ck_assert_int_eq(fixture_put(&fx, "b", "0", data, LARGE_BYTES, NULL), 0);
	check_kept();
}
END_TEST

START_TEST(too_large_is_told_before_the_body_has_come)
{
	struct steered_put put;

	steered_init(&put, &fx);
	put.put.expected_bytes = 2 * DRIVE_MIB << 20;
	ck_assert_int_eq(store_put(fx.store, "b", "k", NULL, &put.put), 0);
	fixture_wait(&fx, &put.writable);
	ck_assert_int_eq(put.failed, -ENOSPC);
	ck_assert_int_eq(store_put_write(fx.store, &put.put, data, 1), -ENOSPC);
	store_put_abort(fx.store, &put.put);
	/* Neither more nor fewer than was told. */
	steered_init(&put, &fx);
	put.put.expected_bytes = (DRIVE_MIB - 3) << 20;
	ck_assert_int_eq(store_put(fx.store, "b", "k", NULL, &put.put), 0);
	ck_assert_int_eq(steered_write(&put, data, 10), 0);
	ck_assert_int_eq(steered_commit(&put), -EINVAL);
	ck_assert_uint_eq(fixture_files_after(&fx, "tmp", 0), 0);
	steered_init(&put, &fx);
	put.put.expected_bytes = 10;
	ck_assert_int_eq(store_put(fx.store, "b", "k", NULL, &put.put), 0);
	ck_assert_int_eq(steered_write(&put, data, 9), 0);
	ck_assert_int_eq(steered_write(&put, data, 2), -EINVAL);
	ck_assert_int_eq(steered_write(&put, data + 9, 1), 0);
	ck_assert_int_eq(steered_commit(&put), 0);
	ck_assert_int_eq(fixture_put(&fx, "b", "large", data, LARGE_BYTES, NULL), 0);
	ck_assert(fixture_holds(&fx, "b", "k", data, 10));
	check_kept();
}
END_TEST

START_TEST(read_only)
{
	/* Not the mount, which files that are open for writing hold, but the whole file system. */
	ck_assert_int_eq(fixture_put(&fx, "b", "before", data, SMALL_BYTES, NULL), 0);
	fixture_close(&fx);
	ck_assert_int_eq(mount(NULL, fx.path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	fixture_open(&fx);
	ck_assert_int_eq(fx.opened, -EROFS);
	ck_assert_int_eq(fixture_put(&fx, "b", "k", data, SMALL_BYTES, NULL), -EROFS);
	ck_assert_int_eq(fixture_bucket_head(&fx, "b"), -EROFS);
	/* It is tried again by itself. */
	ck_assert_int_eq(mount(NULL, fx.path, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	fx.opened = 1;
	fixture_pause(&fx, 6000);
	ck_assert_msg(fx.opened == 0, "%s", fx.why);
	ck_assert(fixture_holds(&fx, "b", "before", data, SMALL_BYTES));
	check_kept();
}
END_TEST

START_TEST(index_cannot_be_written)
{
	atomic_store(&broken, true);
	ck_assert_int_eq(fixture_put(&fx, "b", "k", data, SMALL_BYTES, NULL), -EIO);
	ck_assert_int_eq(fixture_remove_object(&fx, "b", "kept 0"), -EIO);
	ck_assert_int_eq(fixture_bucket_create(&fx, "c"), -EIO);
	check_kept();
	atomic_store(&broken, false);
	check_kept();
	ck_assert_int_eq(fixture_put(&fx, "b", "k", data, SMALL_BYTES, NULL), 0);
	ck_assert(fixture_holds(&fx, "b", "k", data, SMALL_BYTES));
	fixture_close(&fx);
	fixture_open(&fx);
	ck_assert(fixture_holds(&fx, "b", "k", data, SMALL_BYTES));
	check_kept();
	/* What was in doubt is decided. */
	ck_assert_uint_eq(fixture_files(&fx, "data"), KEPT + 1);
	ck_assert_uint_eq(fixture_files(&fx, "tmp"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dir_full");
	TCase *tcase = tcase_create("dir_full");
	SRunner *runner;
	int failed;

	if (geteuid()) {
		puts("needs root, to mount a small drive");
		return SKIPPED;
	}
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, full_of_large_ones);
	tcase_add_test(tcase, full_of_small_ones);
	tcase_add_test(tcase, too_large_is_told_before_the_body_has_come);
	tcase_add_test(tcase, read_only);
	tcase_add_test(tcase, index_cannot_be_written);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
