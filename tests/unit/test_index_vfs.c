// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/index_vfs: two connections see and hold up each other as SQLite's own
 * do, what was written is there after a reopening, and other programs are kept out.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/index_vfs.h"
#include <sqlite3.h>

static char dir[] = "/tmp/knell-test-vfs-XXXXXX";
static char path[64];
static sqlite3 *one, *two;

static sqlite3 *open_with(const char *vfs)
{
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

	ck_assert_int_eq(sqlite3_open_v2(path, &db, flags, vfs), SQLITE_OK);
	return db;
}

static int run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int take_number(void *ctx, int columns, char **values, char **names)
{
	(void)columns;
	(void)names;
	*(int *)ctx = (int)strtol(values[0], NULL, 10);
	return 0;
}

static int count(sqlite3 *db)
{
	int rows = -1;

	ck_assert_int_eq(sqlite3_exec(db, "SELECT count(*) FROM t", take_number, &rows, NULL),
			 SQLITE_OK);
	return rows;
}

static void open_both(void)
{
	one = open_with(index_vfs());
	two = open_with(index_vfs());
	ck_assert_int_eq(run(one, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"),
			 SQLITE_OK);
	ck_assert_int_eq(run(one, "CREATE TABLE IF NOT EXISTS t(a)"), SQLITE_OK);
}

static void close_both(void)
{
	sqlite3_close(one);
	sqlite3_close(two);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/db", dir);
	open_both();
}

static void teardown(void)
{
	char other[80];

	close_both();
	unlink(path);
	snprintf(other, sizeof(other), "%s-wal", path);
	unlink(other);
	snprintf(other, sizeof(other), "%s-shm", path);
	unlink(other);
	rmdir(dir);
}

START_TEST(they_see_each_other)
{
	int i;

	ck_assert_int_eq(run(two, "BEGIN"), SQLITE_OK);
	ck_assert_int_eq(count(two), 0);
	ck_assert_int_eq(run(one, "INSERT INTO t VALUES(1)"), SQLITE_OK);
	/* Who reads has the picture of when it began. */
	ck_assert_int_eq(count(two), 0);
	ck_assert_int_eq(run(two, "COMMIT"), SQLITE_OK);
	ck_assert_int_eq(count(two), 1);
	/* More than one region of what is shared, and checkpoints on the way. */
	for (i = 1; i < 6000; i++)
		ck_assert_int_eq(run(one, "INSERT INTO t VALUES(zeroblob(3000))"), SQLITE_OK);
	ck_assert_int_eq(count(two), 6000);
}
END_TEST

START_TEST(they_hold_each_other_up)
{
	ck_assert_int_eq(run(one, "BEGIN IMMEDIATE"), SQLITE_OK);
	ck_assert_int_eq(run(two, "BEGIN IMMEDIATE"), SQLITE_BUSY);
	ck_assert_int_eq(count(two), 0);
	ck_assert_int_eq(run(one, "INSERT INTO t VALUES(1)"), SQLITE_OK);
	ck_assert_int_eq(run(one, "ROLLBACK"), SQLITE_OK);
	ck_assert_int_eq(run(two, "BEGIN IMMEDIATE"), SQLITE_OK);
	ck_assert_int_eq(run(two, "INSERT INTO t VALUES(1)"), SQLITE_OK);
	ck_assert_int_eq(run(two, "COMMIT"), SQLITE_OK);
	ck_assert_int_eq(count(one), 1);
}
END_TEST

START_TEST(it_is_there_afterwards)
{
	ck_assert_int_eq(run(one, "INSERT INTO t VALUES(1)"), SQLITE_OK);
	close_both();
	open_both();
	ck_assert_int_eq(count(two), 1);
	ck_assert_int_eq(run(one, "PRAGMA wal_autocheckpoint = 0"), SQLITE_OK);
	ck_assert_int_eq(run(one, "INSERT INTO t VALUES(1)"), SQLITE_OK);
	ck_assert_int_eq(count(two), 2);
}
END_TEST

/* In a process of its own, as it would be. */
static int look_from_outside(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		sqlite3 *db = NULL;

		if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL))
			_exit(100);
		_exit(run(db, "SELECT count(*) FROM t"));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(others_are_kept_out)
{
	ck_assert_int_eq(run(one, "INSERT INTO t VALUES(1)"), SQLITE_OK);
	/* After some tries SQLite no longer calls it busy. */
	ck_assert_int_eq(look_from_outside(), SQLITE_PROTOCOL);
	close_both();
	ck_assert_int_eq(look_from_outside(), SQLITE_OK);
	open_both();
	ck_assert_int_eq(count(two), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_vfs");
	TCase *tcase = tcase_create("index_vfs");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, they_see_each_other);
	tcase_add_test(tcase, they_hold_each_other_up);
	tcase_add_test(tcase, it_is_there_afterwards);
	tcase_add_test(tcase, others_are_kept_out);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
