// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/index_entry: the merge rule in each of its cases; of index_object: what
 * this node decides about buckets and objects.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_fixture.h"
#include "store/index_object.h"
#include "store/index_upload.h"

static struct index_fixture fx;

static void setup(void)
{
	struct index_entry bucket = bucket_entry("b", 5);

	index_fixture_open(&fx);
	index_fixture_apply(&fx, &bucket, false);
}

static void teardown(void)
{
	index_fixture_check(&fx);
	index_fixture_close(&fx);
}

/* ---- the merge rule ---- */

START_TEST(the_newer_one_wins)
{
	struct index_entry first = object_entry("b", "k", 10, 100);
	struct index_entry second = object_entry("b", "k", 20, 200);
	struct index_entry found;

	first.meta = "name\0value";
	first.meta_bytes = sizeof("name\0value");
	ck_assert_int_eq(index_fixture_apply(&fx, &first, true), INDEX_NEWER);
	ck_assert(!fx.garbage);
	ck_assert_int_eq(index_entry_find(&fx.db, &first.name, &found), 0);
	ck_assert_uint_eq(found.version, 10);
	ck_assert_uint_eq(found.size_bytes, 100);
	ck_assert_uint_eq(found.modified_ms, first.modified_ms);
	ck_assert_str_eq(found.etag, first.etag);
	ck_assert_uint_eq(found.meta_bytes, first.meta_bytes);
	ck_assert_mem_eq(found.meta, first.meta, first.meta_bytes);
	ck_assert(!found.gone && !found.away);
	index_entry_free(&found);

	ck_assert_int_eq(index_fixture_apply(&fx, &second, true), INDEX_NEWER);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 1) && index_fixture_needs(&fx, 2));
	ck_assert_int_eq(index_fixture_apply(&fx, &first, true), INDEX_STALE);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 3) && index_fixture_needs(&fx, 2));
	ck_assert_int_eq(index_fixture_apply(&fx, &first, false), INDEX_STALE);
	ck_assert(!fx.garbage);
	ck_assert_uint_eq(index_fixture_find(&fx, &first).version, 20);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT clock FROM state"), 20);
}
END_TEST

START_TEST(the_same_one_fills_in_what_was_away)
{
	struct index_entry object = object_entry("b", "k", 10, 100);
	struct index_entry found;
	uint64_t lsn;

	ck_assert_int_eq(index_fixture_apply(&fx, &object, false), INDEX_NEWER);
	found = index_fixture_find(&fx, &object);
	ck_assert(found.away);
	lsn = found.lsn;
	ck_assert_int_eq(index_fixture_apply(&fx, &object, false), INDEX_SAME);
	ck_assert(index_fixture_find(&fx, &object).away);
	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_SAME);
	ck_assert(!fx.garbage && index_fixture_needs(&fx, 1));
	found = index_fixture_find(&fx, &object);
	ck_assert(!found.away);
	ck_assert_uint_eq(found.lsn, lsn);
	/* It is here already. */
	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_SAME);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 2) && index_fixture_needs(&fx, 1));
	/* A part of it is not it. */
	object.size_bytes = 50;
	object.version = 20;
	ck_assert_int_eq(index_fixture_apply(&fx, &object, false), INDEX_NEWER);
	object.size_bytes = 49;
	fx.last_file++;
	ck_assert_int_eq(index_entry_apply(&fx.db, &object,
					   &(struct index_file){.id = 3, .size_bytes = 49},
					   &(enum index_applied){0}, &fx.garbage),
			 -EINVAL);
	fx.last_file--;
	/* Nothing is never away. */
	object.size_bytes = 0;
	object.version = 30;
	object.away = true;
	ck_assert_int_eq(index_fixture_apply(&fx, &object, false), INDEX_NEWER);
	ck_assert(!index_fixture_find(&fx, &object).away);
}
END_TEST

START_TEST(a_tombstone_is_an_entry)
{
	struct index_entry object = object_entry("b", "k", 10, 100);
	struct index_entry gone = gone_entry(object, 20);
	struct index_found seen;
	struct index_entry found;

	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_NEWER);
	gone.size_bytes = 7; /* has no size, whatever is said */
	ck_assert_int_eq(index_fixture_apply(&fx, &gone, false), INDEX_NEWER);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 1));
	found = index_fixture_find(&fx, &object);
	ck_assert(found.gone && !found.away && !found.etag[0]);
	ck_assert_uint_eq(found.version, 20);
	ck_assert_uint_eq(found.size_bytes, 0);
	ck_assert_int_eq(index_object_find(&fx.db, &object.name, &seen), -ENOENT);
	/* What was removed does not come back, what is written later does. */
	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_STALE);
	ck_assert_int_eq(index_fixture_apply(&fx, &gone, false), INDEX_SAME);
	object.version = 30;
	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_NEWER);
	ck_assert_int_eq(index_fixture_apply(&fx, &gone, false), INDEX_STALE);
	/* Heard of its end first. */
	gone = gone_entry(object_entry("unknown", "k", 1, 1), 40);
	ck_assert_int_eq(index_fixture_apply(&fx, &gone, false), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "unknown"), -ENOENT);
}
END_TEST

START_TEST(what_lives_lives_in_a_bucket)
{
	struct index_entry object = object_entry("new", "k", 9, 100);
	struct index_entry upload = upload_entry("other", "k", 10);
	struct index_entry bucket = bucket_entry("new", 7);

	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "new"), 0);
	/* How it was made is still to be heard. */
	ck_assert_int_eq(index_fixture_apply(&fx, &bucket, false), INDEX_NEWER);
	ck_assert_uint_eq(index_fixture_find(&fx, &bucket).modified_ms, bucket.modified_ms);
	ck_assert_int_eq(index_fixture_apply(&fx, &upload, false), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "other"), 0);

	/* Gone, and then an object of before is heard of. */
	bucket = gone_entry(bucket_entry("b", 0), 20);
	ck_assert_int_eq(index_fixture_apply(&fx, &bucket, false), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "b"), -ENOENT);
	object = object_entry("b", "k", 10, 100);
	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "b"), 0);
	ck_assert_uint_eq(index_fixture_find(&fx, &bucket).version, 21);
	ck_assert_int_eq(index_fixture_apply(&fx, &bucket, false), INDEX_STALE);
}
END_TEST

START_TEST(a_bucket_outlives_its_end_with_what_is_in_it)
{
	struct index_entry object = object_entry("b", "k", 10, 100);
	struct index_entry gone = gone_entry(bucket_entry("b", 0), 20);
	enum index_applied how;

	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_NEWER);
	ck_assert_int_eq(index_fixture_refused(&fx, &gone), -ENOTEMPTY);
	ck_assert_uint_eq(index_fixture_find(&fx, &gone).version, 5);
	/* And so that peers hear of it, if the caller goes on. */
	ck_assert_int_eq(index_entry_apply(&fx.db, &gone, NULL, &how, &fx.garbage), -ENOTEMPTY);
	ck_assert_uint_eq(index_fixture_find(&fx, &gone).version, 21);
	ck_assert(!index_fixture_find(&fx, &gone).gone);
	object = gone_entry(object, 30);
	ck_assert_int_eq(index_fixture_apply(&fx, &object, false), INDEX_NEWER);
	gone.version = 40;
	ck_assert_int_eq(index_fixture_apply(&fx, &gone, false), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "b"), -ENOENT);
}
END_TEST

START_TEST(a_bucket_takes_its_uploads_along)
{
	struct index_entry upload = upload_entry("b", "k", 10), other = upload_entry("b", "l", 11);
	struct index_entry part = part_entry("b", "k", 10, 1, 12, 100);
	struct index_entry gone = gone_entry(bucket_entry("b", 0), 20);

	index_fixture_apply(&fx, &upload, false);
	index_fixture_apply(&fx, &other, false);
	ck_assert_int_eq(index_fixture_apply(&fx, &part, true), INDEX_NEWER);
	ck_assert_int_eq(index_fixture_apply(&fx, &gone, false), INDEX_NEWER);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 1));
	ck_assert(index_fixture_find(&fx, &upload).gone && index_fixture_find(&fx, &other).gone);
	ck_assert_uint_eq(index_fixture_find(&fx, &upload).version, 20);
	ck_assert_uint_eq(index_fixture_find(&fx, &part).version, 0);
	/* One that is heard of only now has ended, too, and so have its parts. */
	upload = upload_entry("b", "m", 13);
	ck_assert_int_eq(index_fixture_apply(&fx, &upload, false), INDEX_STALE);
	part = part_entry("b", "m", 13, 1, 14, 100);
	ck_assert_int_eq(index_fixture_apply(&fx, &part, true), INDEX_STALE);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 2));
	ck_assert_int_eq(index_bucket_live(&fx.db, "b"), -ENOENT);
	/* One that was begun since has not. */
	upload = upload_entry("b", "k", 30);
	ck_assert_int_eq(index_fixture_apply(&fx, &upload, false), INDEX_NEWER);
	ck_assert_int_eq(index_bucket_live(&fx.db, "b"), 0);
	gone.version = 29;
	ck_assert_int_eq(index_fixture_refused(&fx, &gone), -ENOTEMPTY);
}
END_TEST

START_TEST(parts_are_their_uploads)
{
	struct index_entry upload = upload_entry("b", "k", 10);
	struct index_entry part = part_entry("b", "k", 10, 1, 12, 100);

	ck_assert_int_eq(index_fixture_refused(&fx, &part), -ENOENT);
	index_fixture_apply(&fx, &upload, false);
	ck_assert_int_eq(index_fixture_apply(&fx, &part, true), INDEX_NEWER);
	part.version = 13;
	ck_assert_int_eq(index_fixture_apply(&fx, &part, true), INDEX_NEWER);
	ck_assert(index_fixture_is_garbage(&fx, 1) && index_fixture_needs(&fx, 2));
	part.version = 12;
	ck_assert_int_eq(index_fixture_apply(&fx, &part, true), INDEX_STALE);
	ck_assert(index_fixture_is_garbage(&fx, 3));
	ck_assert_int_eq(index_upload_live(&fx.db, &part.name), 0);
	upload = gone_entry(upload, 20);
	ck_assert_int_eq(index_fixture_apply(&fx, &upload, false), INDEX_NEWER);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 2));
	ck_assert_int_eq(index_upload_live(&fx.db, &part.name), -ENOENT);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM entry WHERE kind = 4"),
			  0);
	part.version = 30;
	ck_assert_int_eq(index_fixture_apply(&fx, &part, true), INDEX_STALE);
	ck_assert(index_fixture_is_garbage(&fx, 4));
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	const struct index_entry object = object_entry("b", "k", 10, 100);
	struct index_entry bad = object;

	bad.version = 0;
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad.version = UINT64_C(1) << 63;
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = object;
	bad.name.kind = 7;
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = object;
	bad.name.key[0] = '\0';
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = object;
	bad.name.upload = 3;
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = object;
	bad.size_bytes = UINT64_MAX;
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = upload_entry("b", "k", 10);
	bad.version = 11;
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = part_entry("b", "k", 10, STORE_PARTS_MAX + 1, 12, 100);
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
	bad = gone_entry(part_entry("b", "k", 10, 1, 12, 100), 13);
	ck_assert_int_eq(index_fixture_refused(&fx, &bad), -EINVAL);
}
END_TEST

/* ---- what this node decides ---- */

START_TEST(decisions_about_buckets_and_objects)
{
	struct index_change change = {.entry = bucket_entry("c", 10)};
	struct index_file file;
	bool garbage = false;

	ck_assert_int_eq(index_bucket_create(&fx.db, &change), 0);
	change.entry.version = 12;
	ck_assert_int_eq(index_bucket_create(&fx.db, &change), -EEXIST);
	/* What stands is told with it. */
	ck_assert(change.stands && change.entry.version == 10 && !change.entry.gone);
	change = (struct index_change){0};
	change.entry = object_entry("none", "k", 20, 100);
	file = index_fixture_file(&fx, &change.entry);
	ck_assert_int_eq(index_object_put(&fx.db, &change, &file, &garbage), -ENOENT);
	change.entry = object_entry("c", "k", 20, 100);
	ck_assert_int_eq(index_object_put(&fx.db, &change, &file, &garbage), 0);
	ck_assert_int_eq(index_object_put(&fx.db, &change, &file, &garbage), -ESTALE);
	change.entry = gone_entry(change.entry, 15);
	ck_assert_int_eq(index_object_remove(&fx.db, &change, &garbage), -ESTALE);
	change.entry = object_entry("c", "k", 30, 0);
	ck_assert_int_eq(index_object_remove(&fx.db, &change, &garbage), 0);
	ck_assert(change.entry.gone && garbage && index_fixture_is_garbage(&fx, 1));
	change.entry.version = 40;
	ck_assert_int_eq(index_object_remove(&fx.db, &change, &garbage), -ENOENT);
	ck_assert(change.stands && change.entry.version == 30 && change.entry.gone);
	change = (struct index_change){.entry = object_entry("c", "never", 40, 0)};
	ck_assert_int_eq(index_object_remove(&fx.db, &change, &garbage), -ENOENT);
	ck_assert(!change.stands);
	change.entry = bucket_entry("c", 40);
	ck_assert_int_eq(index_bucket_delete(&fx.db, &change, &garbage), 0);
	ck_assert(change.entry.gone);
	change.entry = bucket_entry("c", 50);
	ck_assert_int_eq(index_bucket_delete(&fx.db, &change, &garbage), -ENOENT);
	ck_assert(change.stands && change.entry.version == 40 && change.entry.gone);
	change = (struct index_change){.entry = bucket_entry("c", 50)};
	ck_assert_int_eq(index_bucket_create(&fx.db, &change), 0);
}
END_TEST

START_TEST(another_schema_is_refused)
{
	struct index_db other = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fx.path, INDEX_FILE);
	ck_assert_int_eq(sqlite3_exec(fx.db.handle, "PRAGMA user_version = 1", NULL, NULL, NULL),
			 0);
	ck_assert_int_eq(index_db_open(&other, path), -EPROTO);
	ck_assert_ptr_nonnull(strstr(other.why, "schema 1"));
	index_db_close(&other);
	sqlite3_exec(fx.db.handle, "PRAGMA user_version = 3", NULL, NULL, NULL);
	ck_assert_int_eq(index_db_open(&other, path), -EPROTO);
	index_db_close(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_entry");
	TCase *tcase = tcase_create("index_entry");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, index_fixture_begin, index_fixture_end);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_newer_one_wins);
	tcase_add_test(tcase, the_same_one_fills_in_what_was_away);
	tcase_add_test(tcase, a_tombstone_is_an_entry);
	tcase_add_test(tcase, what_lives_lives_in_a_bucket);
	tcase_add_test(tcase, a_bucket_outlives_its_end_with_what_is_in_it);
	tcase_add_test(tcase, a_bucket_takes_its_uploads_along);
	tcase_add_test(tcase, parts_are_their_uploads);
	tcase_add_test(tcase, what_cannot_be_is_refused);
	tcase_add_test(tcase, decisions_about_buckets_and_objects);
	tcase_add_test(tcase, another_schema_is_refused);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
