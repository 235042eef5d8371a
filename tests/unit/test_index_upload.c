// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/index_entry: objects joined of parts; of index_upload: what this node
 * decides about uploads.
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

/* ---- objects of parts ---- */

enum { PARTS = 3, PART_BYTES = 100 };

static const struct index_part_ref refs[PARTS] = {
	{1, 11, PART_BYTES}, {2, 12, PART_BYTES}, {7, 13, PART_BYTES}};

static void put_parts(uint64_t upload, unsigned int away)
{
	struct index_entry entry = upload_entry("b", "k", upload);
	size_t i;

	index_fixture_apply(&fx, &entry, false);
	for (i = 0; i < PARTS; i++) {
		entry = part_entry("b", "k", upload, refs[i].number, refs[i].version, PART_BYTES);
		index_fixture_apply(&fx, &entry, refs[i].number != away);
	}
}

static enum index_applied join(const struct index_entry *object, uint64_t upload, bool *here)
{
	enum index_applied how;

	fx.garbage = false;
	ck_assert_int_eq(
		index_entry_join(&fx.db, object, upload, refs, PARTS, &how, here, &fx.garbage), 0);
	return how;
}

START_TEST(joined_of_parts_that_are_here)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	struct index_entry old = object_entry("b", "k", 15, 50);
	struct index_entry upload = upload_entry("b", "k", 10);
	struct index_entry unused = part_entry("b", "k", 10, 9, 14, 100);
	struct index_found found;
	bool here;
	size_t i;

	put_parts(10, 0);
	index_fixture_apply(&fx, &unused, true); /* file 4 */
	index_fixture_apply(&fx, &old, true);	 /* file 5 */
	ck_assert_int_eq(join(&object, 10, &here), INDEX_NEWER);
	ck_assert(here && fx.garbage);
	ck_assert(index_fixture_is_garbage(&fx, 4) && index_fixture_is_garbage(&fx, 5));
	ck_assert_int_eq(index_object_find(&fx.db, &object.name, &found), 0);
	ck_assert(!found.away);
	ck_assert_uint_eq(found.file_count, PARTS);
	for (i = 0; i < PARTS; i++)
		ck_assert_uint_eq(found.files[i].id, i + 1);
	index_found_free(&found);
	ck_assert(index_fixture_find(&fx, &upload).gone);
	ck_assert_uint_eq(index_fixture_find(&fx, &upload).version, 20);
	/* Told again. */
	ck_assert_int_eq(join(&object, 10, &here), INDEX_SAME);
	ck_assert(here && !fx.garbage);
}
END_TEST

/* The journal has told of the object, and of the upload's end, before the peer told of the parts.
 */
static void hear(const struct index_entry *object)
{
	struct index_entry ended = upload_entry("b", "k", 10);

	put_parts(10, 0);
	index_fixture_apply(&fx, object, false);
	ended.version = object->version;
	ended.gone = true;
	index_fixture_apply(&fx, &ended, false);
	ck_assert(index_fixture_find(&fx, object).away);
}

START_TEST(joined_after_it_was_heard_of)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	bool here;

	hear(&object);
	ck_assert_int_eq(join(&object, 10, &here), INDEX_SAME);
	ck_assert(here && !index_fixture_find(&fx, &object).away);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM entry WHERE kind = 4"),
			  0);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM file"), PARTS);
}
END_TEST

START_TEST(heard_of_and_never_joined)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	struct index_entry newer = object_entry("b", "k", 30, 50);

	/* Repaired, or replaced: either way the parts go. */
	hear(&object);
	if (_i)
		index_fixture_apply(&fx, &newer, false);
	else
		ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_SAME);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM entry WHERE kind = 4"),
			  0);
	ck_assert(index_fixture_is_garbage(&fx, 1) && index_fixture_is_garbage(&fx, PARTS));
}
END_TEST

START_TEST(joined_of_parts_that_are_not_here)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	struct index_entry upload = upload_entry("b", "k", 10);
	bool here;

	/* The last one's bytes are away: the others, handed over by then, are of no use. */
	put_parts(10, refs[PARTS - 1].number);
	ck_assert_int_eq(join(&object, 10, &here), INDEX_NEWER);
	ck_assert(!here && index_fixture_find(&fx, &object).away);
	ck_assert(fx.garbage && index_fixture_is_garbage(&fx, 1) &&
		  index_fixture_is_garbage(&fx, 2));
	ck_assert(index_fixture_find(&fx, &upload).gone);
	ck_assert_int_eq(index_fixture_apply(&fx, &object, true), INDEX_SAME);
	ck_assert(!index_fixture_find(&fx, &object).away);
	/* Never heard of the upload, or the bucket. */
	object = object_entry("new", "k", 30, (uint64_t)PARTS * PART_BYTES);
	ck_assert_int_eq(join(&object, 25, &here), INDEX_NEWER);
	ck_assert(!here && index_fixture_find(&fx, &object).away);
	ck_assert_int_eq(index_bucket_live(&fx.db, "new"), 0);
	upload = part_entry("new", "k", 25, 1, 26, 100);
	ck_assert_int_eq(index_fixture_apply(&fx, &upload, true), INDEX_STALE);
}
END_TEST

START_TEST(joined_of_another_version)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	struct index_entry other = part_entry("b", "k", 10, 1, 16, PART_BYTES);
	bool here;

	put_parts(10, 0);
	index_fixture_apply(&fx, &other, true);
	ck_assert_int_eq(join(&object, 10, &here), INDEX_NEWER);
	ck_assert(!here && index_fixture_find(&fx, &object).away);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM file"), 0);
}
END_TEST

START_TEST(joined_after_the_object_was_heard_of)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	bool here;

	put_parts(10, 0);
	ck_assert_int_eq(index_fixture_apply(&fx, &object, false), INDEX_NEWER);
	ck_assert_int_eq(join(&object, 10, &here), INDEX_SAME);
	ck_assert(here && !index_fixture_find(&fx, &object).away);
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM file"), PARTS);
}
END_TEST

START_TEST(joined_when_ours_is_newer)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES);
	struct index_entry newer = object_entry("b", "k", 30, 10);
	struct index_entry upload = upload_entry("b", "k", 10);
	bool here;

	put_parts(10, 0);
	index_fixture_apply(&fx, &newer, true);
	ck_assert_int_eq(join(&object, 10, &here), INDEX_STALE);
	ck_assert_uint_eq(index_fixture_find(&fx, &object).version, 30);
	ck_assert(index_fixture_find(&fx, &upload).gone && index_fixture_needs(&fx, PARTS + 1));
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT count(*) FROM file"), 1);
}
END_TEST

START_TEST(joined_in_no_way)
{
	struct index_entry object = object_entry("b", "k", 20, (uint64_t)PARTS * PART_BYTES + 1);
	const struct index_part_ref down[2] = {{2, 11, PART_BYTES}, {1, 12, PART_BYTES}};
	enum index_applied how;
	bool here;

	ck_assert_int_eq(
		index_entry_join(&fx.db, &object, 10, refs, PARTS, &how, &here, &fx.garbage),
		-EINVAL);
	object.size_bytes = UINT64_C(2) * PART_BYTES;
	ck_assert_int_eq(index_entry_join(&fx.db, &object, 10, down, 2, &how, &here, &fx.garbage),
			 -EINVAL);
	object.size_bytes = (uint64_t)PARTS * PART_BYTES;
	ck_assert_int_eq(
		index_entry_join(&fx.db, &object, 20, refs, PARTS, &how, &here, &fx.garbage),
		-EINVAL);
	/* Nothing at all is an object, too. */
	object.size_bytes = 0;
	ck_assert_int_eq(index_entry_join(&fx.db, &object, 10, NULL, 0, &how, &here, &fx.garbage),
			 0);
	ck_assert(here && how == INDEX_NEWER);
}
END_TEST

static void complete(uint64_t version, const struct store_part *parts, size_t count, int expected,
		     struct index_change *change)
{
	bool garbage;

	*change = (struct index_change){.entry = object_entry("b", "k", version, 0), .upload = 10};
	ck_assert_int_eq(index_upload_complete(&fx.db, change, parts, count, &garbage), expected);
}

START_TEST(decisions_about_uploads)
{
	struct index_change change = {.entry = upload_entry("b", "k", 10)};
	struct store_part asked[2] = {{.number = 1}, {.number = 2}};
	struct index_file file;
	bool garbage;
	unsigned int i;

	change.entry.meta = "name\0value";
	change.entry.meta_bytes = sizeof("name\0value");
	ck_assert_int_eq(index_upload_begin(&fx.db, &change), 0);
	for (i = 0; i < 2; i++) {
		change = (struct index_change){
			.entry = part_entry("b", "k", 10, i + 1, 11 + i, PART_BYTES)};
		snprintf(asked[i].etag, sizeof(asked[i].etag), "%s", change.entry.etag);
		file = index_fixture_file(&fx, &change.entry);
		ck_assert_int_eq(index_part_put(&fx.db, &change, &file, &garbage), 0);
	}
	ck_assert_int_eq(index_part_put(&fx.db, &change, &file, &garbage), -ESTALE);
	asked[1].etag[0] = 'f';
	complete(20, asked, 2, -EINVAL, &change);
	index_change_free(&change);
	asked[1].etag[0] = '0';
	complete(20, asked, 2, 0, &change);
	ck_assert_uint_eq(change.entry.size_bytes, UINT64_C(2) * PART_BYTES);
	ck_assert_uint_eq(change.entry.meta_bytes, sizeof("name\0value"));
	ck_assert_uint_eq(change.part_count, 2);
	ck_assert_uint_eq(change.parts[1].number, 2);
	ck_assert_uint_eq(change.parts[1].version, 12);
	ck_assert(!change.entry.away);
	ck_assert_int_eq(strncmp(strchr(change.entry.etag, '-'), "-2", 3), 0);
	index_change_free(&change);
	/* Asked again, it is what it was. */
	complete(30, asked, 2, 0, &change);
	ck_assert_uint_eq(change.entry.version, 20);
	ck_assert_uint_eq(change.entry.meta_bytes, sizeof("name\0value"));
	ck_assert_uint_eq(change.part_count, 0);
	index_change_free(&change);
	complete(30, asked, 1, -ENOENT, &change);
	index_change_free(&change);
	asked[1].etag[0] = 'x';
	complete(30, asked, 2, -ENOENT, &change);
	index_change_free(&change);
	change.entry = upload_entry("b", "k", 10);
	change.entry.version = 30;
	ck_assert_int_eq(index_upload_abort(&fx.db, &change, &garbage), -ENOENT);
}
END_TEST

START_TEST(completed_of_a_part_that_is_away)
{
	struct store_part asked[PARTS];
	struct index_change change;
	struct index_entry part;
	size_t i;

	put_parts(10, refs[1].number);
	for (i = 0; i < PARTS; i++) {
		part = part_entry("b", "k", 10, refs[i].number, refs[i].version, PART_BYTES);
		asked[i].number = refs[i].number;
		snprintf(asked[i].etag, sizeof(asked[i].etag), "%s", part.etag);
	}
	complete(20, asked, PARTS, 0, &change);
	ck_assert(change.entry.away && index_fixture_find(&fx, &change.entry).away);
	index_change_free(&change);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_upload");
	TCase *tcase = tcase_create("index_upload");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, index_fixture_begin, index_fixture_end);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, joined_of_parts_that_are_here);
	tcase_add_test(tcase, joined_of_parts_that_are_not_here);
	tcase_add_test(tcase, joined_after_it_was_heard_of);
	tcase_add_loop_test(tcase, heard_of_and_never_joined, 0, 2);
	tcase_add_test(tcase, joined_of_another_version);
	tcase_add_test(tcase, joined_after_the_object_was_heard_of);
	tcase_add_test(tcase, joined_when_ours_is_newer);
	tcase_add_test(tcase, joined_in_no_way);
	tcase_add_test(tcase, decisions_about_uploads);
	tcase_add_test(tcase, completed_of_a_part_that_is_away);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
