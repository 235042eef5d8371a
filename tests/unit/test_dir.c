// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/dir: objects go in, come out as they went in, are replaced as a whole
 * and leave nothing behind.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

static struct fixture fx;

static void setup(void)
{
	fixture_make(&fx);
	fixture_open(&fx);
	ck_assert_msg(fx.opened == 0, "%s", fx.why);
	ck_assert_int_eq(fixture_bucket_create(&fx, "b"), 0);
}

static void teardown(void)
{
	fixture_close(&fx);
	fixture_remove(&fx);
}

static void reopen(void)
{
	fixture_close(&fx);
	fixture_open(&fx);
	ck_assert_msg(fx.opened == 0, "%s", fx.why);
}

START_TEST(buckets_come_and_go)
{
	ck_assert_int_eq(fixture_bucket_create(&fx, "b"), -EEXIST);
	ck_assert_int_eq(fixture_bucket_head(&fx, "b"), 0);
	ck_assert_int_eq(fixture_bucket_head(&fx, "c"), -ENOENT);
	ck_assert_int_eq(fixture_put(&fx, "b", "k", "x", 1, NULL), 0);
	ck_assert_int_eq(fixture_bucket_delete(&fx, "b"), -ENOTEMPTY);
	ck_assert_int_eq(fixture_remove_object(&fx, "b", "k"), 0);
	ck_assert_int_eq(fixture_bucket_delete(&fx, "b"), 0);
	ck_assert_int_eq(fixture_bucket_delete(&fx, "b"), -ENOENT);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 0), 0);
}
END_TEST

START_TEST(objects_come_out_as_they_went_in)
{
	static const size_t sizes[] = {
		0,     1,	  STORE_CHUNK_BYTES - 1,     STORE_CHUNK_BYTES,
		65537, 3 * 65536, 3 * STORE_CHUNK_BYTES + 1, 5000000};
	char key[32], etag[STORE_ETAG_BYTES];
	uint8_t *data;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		data = fixture_bytes(sizes[i], (unsigned int)i);
		snprintf(key, sizeof(key), "size/%zu", sizes[i]);
		ck_assert_int_eq(fixture_put(&fx, "b", key, data, sizes[i], etag), 0);
		ck_assert(fixture_holds(&fx, "b", key, data, sizes[i]));
		free(data);
	}
	ck_assert_int_eq(fixture_put(&fx, "b", "hello", "hello world", 11, etag), 0);
	ck_assert_str_eq(etag, "5eb63bbbe01eeed093cb22bb8f5acdc3");
	ck_assert_int_eq(fixture_put(&fx, "b", "nothing", "", 0, etag), 0);
	ck_assert_str_eq(etag, "d41d8cd98f00b204e9800998ecf8427e");
	ck_assert_uint_eq(fixture_files_after(&fx, "tmp", 0), 0);
	reopen();
	ck_assert(fixture_holds(&fx, "b", "hello", "hello world", 11));
	ck_assert(fixture_holds(&fx, "b", "nothing", "", 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dir");
	TCase *tcase = tcase_create("dir");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, buckets_come_and_go);
	tcase_add_test(tcase, objects_come_out_as_they_went_in);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
