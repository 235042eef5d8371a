// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/index_feed: the journal in its order, places in those of peers, what is
 * away and is filled in, tombstones that are forgotten; of index_object: reading by version.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_fixture.h"
#include "store/index_feed.h"
#include "store/index_object.h"

enum { ALL = 1000, ALL_BYTES = 1 << 20, OBJECTS = 20, META_BYTES = 1000 };

static struct index_fixture fx;
static struct index_feed_page page;

static void setup(void)
{
	struct index_entry bucket = bucket_entry("b", 5);

	index_fixture_open(&fx);
	index_fixture_apply(&fx, &bucket, false);
}

static void teardown(void)
{
	index_feed_free(&page);
	index_fixture_check(&fx);
	index_fixture_close(&fx);
}

static void read_feed(uint64_t after, size_t max_entries, size_t max_bytes)
{
	index_feed_free(&page);
	ck_assert_int_eq(index_feed(&fx.db, after, max_entries, max_bytes, &page), 0);
}

static void read_away(uint64_t after, size_t max)
{
	index_feed_free(&page);
	ck_assert_int_eq(index_away(&fx.db, after, max, &page), 0);
}

/* Objects "0", "1" ... of versions 100, 101 ..., each of as many bytes. */
static struct index_entry put_object(unsigned int number, bool brings)
{
	struct index_entry object;
	char key[16];

	snprintf(key, sizeof(key), "%u", number);
	object = object_entry("b", key, 100 + number, 100 + number);
	index_fixture_apply(&fx, &object, brings);
	return object;
}

START_TEST(in_the_order_of_changes)
{
	struct index_entry entry = put_object(0, true);
	uint64_t lsn;

	entry.meta = "name\0value";
	entry.meta_bytes = sizeof("name\0value");
	put_object(1, true);
	entry.version = 300;
	index_fixture_apply(&fx, &entry, true);
	read_feed(0, ALL, ALL_BYTES);
	/* The bucket, "1", and "0" where it was changed last. */
	ck_assert_uint_eq(page.count, 3);
	ck_assert(!page.more);
	ck_assert_int_eq(page.entries[0].name.kind, INDEX_BUCKET);
	ck_assert_str_eq(page.entries[1].name.key, "1");
	ck_assert_str_eq(page.entries[2].name.key, "0");
	ck_assert_str_eq(page.entries[2].name.bucket, "b");
	ck_assert_uint_eq(page.entries[2].version, 300);
	ck_assert_uint_eq(page.entries[2].meta_bytes, entry.meta_bytes);
	ck_assert_mem_eq(page.entries[2].meta, entry.meta, entry.meta_bytes);
	ck_assert_uint_lt(page.entries[0].lsn, page.entries[1].lsn);
	ck_assert_uint_lt(page.entries[1].lsn, page.entries[2].lsn);
	lsn = page.entries[2].lsn;
	ck_assert_uint_eq(page.last_lsn, lsn);
	read_feed(lsn, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 0);
	ck_assert_uint_eq(page.last_lsn, lsn);
	read_feed(UINT64_MAX, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 0);
	/* Tombstones are told, too. */
	entry = gone_entry(entry, 400);
	index_fixture_apply(&fx, &entry, false);
	read_feed(lsn, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 1);
	ck_assert(page.entries[0].gone);
	/* What is not news is no change. */
	index_fixture_apply(&fx, &entry, false);
	put_object(0, true);
	read_feed(page.last_lsn, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 0);
}
END_TEST

START_TEST(no_lsn_is_given_twice)
{
	struct index_entry object = put_object(0, false), gone = gone_entry(object, 300);
	uint64_t last;

	index_fixture_apply(&fx, &gone, false);
	read_feed(0, ALL, ALL_BYTES);
	last = page.last_lsn;
	ck_assert_uint_eq(page.entries[page.count - 1].lsn, last);
	/* Not even when the last one is forgotten. */
	ck_assert_int_eq(index_purge(&fx.db, last, 400, ALL), 1);
	read_feed(0, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_uint_eq(page.last_lsn, last);
	put_object(1, true);
	read_feed(last, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_uint_eq(page.entries[0].lsn, last + 1);
}
END_TEST

START_TEST(in_pages)
{
	static char meta[META_BYTES];
	struct index_entry object;
	unsigned int i, seen = 0;
	uint64_t after;

	read_feed(0, ALL, ALL_BYTES);
	after = page.last_lsn;
	for (i = 0; i < OBJECTS; i++) {
		object = object_entry("b", "k", 100 + i, 0);
		object.name.key[0] = (char)('a' + i);
		object.meta = meta;
		object.meta_bytes = META_BYTES;
		index_fixture_apply(&fx, &object, false);
	}
	/* By their number. */
	do {
		read_feed(after, 3, ALL_BYTES);
		for (i = 0; i < page.count; i++)
			ck_assert_int_eq(page.entries[i].name.key[0], 'a' + (char)seen++);
		after = page.entries[page.count - 1].lsn;
		ck_assert_uint_eq(page.last_lsn, OBJECTS + 1);
		ck_assert_uint_le(page.count, 3);
	} while (page.more);
	ck_assert_uint_eq(seen, OBJECTS);
	/* By their bytes; at least one. */
	read_feed(0, ALL, (size_t)5 * META_BYTES);
	ck_assert(page.more);
	ck_assert_uint_ge(page.count, 5);
	ck_assert_uint_le(page.count, 6);
	read_feed(1, ALL, 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert(page.more);
	read_feed(0, 0, ALL_BYTES);
	ck_assert_uint_eq(page.count, 1);
	read_feed(OBJECTS, 1, ALL_BYTES);
	ck_assert_uint_eq(page.count, 1);
	ck_assert(!page.more);
}
END_TEST

START_TEST(places_in_the_journals_of_peers)
{
	uint64_t lsn = 7;

	ck_assert_int_eq(index_seen_get(&fx.db, "h1", "aa", &lsn), 0);
	ck_assert_uint_eq(lsn, 0);
	ck_assert_int_eq(index_seen_set(&fx.db, "h1", "aa", 10), 0);
	ck_assert_int_eq(index_seen_set(&fx.db, "h2", "bb", 20), 0);
	ck_assert_int_eq(index_seen_get(&fx.db, "h1", "aa", &lsn), 0);
	ck_assert_uint_eq(lsn, 10);
	ck_assert_int_eq(index_seen_set(&fx.db, "h1", "aa", 11), 0);
	ck_assert_int_eq(index_seen_get(&fx.db, "h1", "aa", &lsn), 0);
	ck_assert_uint_eq(lsn, 11);
	/* Another drive is another journal, and the old one does not come back. */
	ck_assert_int_eq(index_seen_get(&fx.db, "h1", "cc", &lsn), 0);
	ck_assert_uint_eq(lsn, 0);
	ck_assert_int_eq(index_seen_set(&fx.db, "h1", "cc", 5), 0);
	ck_assert_int_eq(index_seen_get(&fx.db, "h1", "aa", &lsn), 0);
	ck_assert_uint_eq(lsn, 0);
	ck_assert_int_eq(index_seen_get(&fx.db, "h2", "bb", &lsn), 0);
	ck_assert_uint_eq(lsn, 20);
	ck_assert_int_eq(index_seen_set(&fx.db, "h1", "cc", UINT64_MAX), -EINVAL);
}
END_TEST

START_TEST(what_is_away)
{
	struct index_entry upload = upload_entry("b", "k", 50);
	struct index_entry part = part_entry("b", "k", 50, 1, 60, 7);
	struct index_entry gone = gone_entry(put_object(0, false), 300);
	uint64_t count, bytes;

	put_object(1, true);
	put_object(2, false);
	put_object(3, false);
	index_fixture_apply(&fx, &gone, false);
	index_fixture_apply(&fx, &upload, false);
	index_fixture_apply(&fx, &part, false);
	ck_assert_int_eq(index_away_count(&fx.db, &count, &bytes), 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(bytes, 102 + 103 + 7);
	read_away(0, 2);
	ck_assert_uint_eq(page.count, 2);
	ck_assert(page.more);
	ck_assert_str_eq(page.entries[0].name.key, "2");
	ck_assert_str_eq(page.entries[1].name.key, "3");
	ck_assert(page.entries[1].away);
	read_away(page.entries[1].lsn, 2);
	ck_assert_uint_eq(page.count, 1);
	ck_assert(!page.more);
	ck_assert_int_eq(page.entries[0].name.kind, INDEX_PART);
}
END_TEST

START_TEST(filled_in)
{
	struct index_entry object = put_object(0, false);
	struct index_entry gone = gone_entry(object, 300);
	struct index_file file = index_fixture_file(&fx, &object);
	uint64_t count, bytes, lsn = index_fixture_find(&fx, &object).lsn;
	bool garbage = false;

	ck_assert_int_eq(index_fill(&fx.db, &object.name, 100, &file, &garbage), 0);
	ck_assert(!garbage && index_fixture_needs(&fx, file.id));
	ck_assert_uint_eq(index_fixture_find(&fx, &object).lsn, lsn);
	ck_assert(!index_fixture_find(&fx, &object).away);
	ck_assert_int_eq(index_away_count(&fx.db, &count, &bytes), 0);
	ck_assert(!count && !bytes);
	/* Brought twice. */
	file = index_fixture_file(&fx, &object);
	ck_assert_int_eq(index_fill(&fx.db, &object.name, 100, &file, &garbage), 0);
	ck_assert(garbage && index_fixture_is_garbage(&fx, file.id));
	/* Another version by now, gone, never there. */
	object.version = 200;
	index_fixture_apply(&fx, &object, false);
	file = index_fixture_file(&fx, &object);
	file.settled = 3;
	garbage = false;
	ck_assert_int_eq(index_fill(&fx.db, &object.name, 100, &file, &garbage), -ESTALE);
	ck_assert(garbage && index_fixture_is_garbage(&fx, file.id));
	ck_assert_uint_eq(index_fixture_number(&fx, "SELECT settled FROM state"), 3);
	index_fixture_apply(&fx, &gone, false);
	file = index_fixture_file(&fx, &object);
	ck_assert_int_eq(index_fill(&fx.db, &object.name, 300, &file, &garbage), -ESTALE);
	object.name.key[0] = 'x';
	file = index_fixture_file(&fx, &object);
	ck_assert_int_eq(index_fill(&fx.db, &object.name, 300, &file, &garbage), -ESTALE);
	ck_assert(index_fixture_is_garbage(&fx, file.id));
}
END_TEST

START_TEST(tombstones_are_forgotten)
{
	struct index_entry entry;
	uint64_t last;
	unsigned int i;

	for (i = 0; i < OBJECTS; i++) {
		entry = gone_entry(put_object(i, true), 200 + i);
		index_fixture_apply(&fx, &entry, false);
	}
	put_object(OBJECTS, true);
	read_feed(0, ALL, ALL_BYTES);
	last = page.last_lsn;
	/* The bucket; each object was put and removed. */
	ck_assert_uint_eq(page.entries[1].lsn, 3);
	ck_assert_int_eq(index_purge(&fx.db, last, 200, ALL), 0);
	ck_assert_int_eq(index_purge(&fx.db, 2, UINT64_MAX, ALL), 0);
	ck_assert_int_eq(index_purge(&fx.db, last, 210, 3), 3);
	ck_assert_int_eq(index_purge(&fx.db, last, 210, ALL), 7);
	ck_assert_int_eq(index_purge(&fx.db, UINT64_MAX, UINT64_MAX, ALL), OBJECTS - 10);
	/* Nothing that lives. */
	read_feed(0, ALL, ALL_BYTES);
	ck_assert_uint_eq(page.count, 2);
	ck_assert_uint_eq(page.last_lsn, last);
}
END_TEST

START_TEST(by_version)
{
	struct index_entry upload = upload_entry("b", "k", 50);
	struct index_entry part = part_entry("b", "k", 50, 1, 60, 7);
	struct index_entry object = put_object(0, true), away = put_object(1, false);
	struct index_entry gone;
	struct index_found found;

	index_fixture_apply(&fx, &upload, false);
	index_fixture_apply(&fx, &part, true);
	ck_assert_int_eq(index_object_find_version(&fx.db, &object.name, 100, &found), 0);
	ck_assert_uint_eq(found.file_count, 1);
	ck_assert_uint_eq(found.files[0].id, 1);
	index_found_free(&found);
	ck_assert_int_eq(index_object_find_version(&fx.db, &part.name, 60, &found), 0);
	ck_assert_uint_eq(found.files[0].id, 2);
	ck_assert_uint_eq(found.size_bytes, 7);
	index_found_free(&found);
	ck_assert_int_eq(index_object_find_version(&fx.db, &object.name, 101, &found), -ENOENT);
	ck_assert_int_eq(index_object_find_version(&fx.db, &away.name, 101, &found), -ENOENT);
	ck_assert_int_eq(index_object_find(&fx.db, &away.name, &found), 0);
	ck_assert(found.away && !found.file_count);
	index_found_free(&found);
	gone = gone_entry(object, 200);
	index_fixture_apply(&fx, &gone, false);
	ck_assert_int_eq(index_object_find_version(&fx.db, &object.name, 200, &found), -ENOENT);
}
END_TEST

START_TEST(a_drive_has_a_name)
{
	static const char hex[] =
		"SELECT length(drive) FROM state WHERE drive NOT GLOB '*[^0-9a-f]*'";
	struct index_fixture other;
	char *mine = index_fixture_drive(&fx), *its;

	index_fixture_open(&other);
	its = index_fixture_drive(&other);
	ck_assert_uint_eq(index_fixture_number(&fx, hex), 32);
	ck_assert_str_ne(mine, its);
	free(mine);
	free(its);
	index_fixture_close(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_feed");
	TCase *tcase = tcase_create("index_feed");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, index_fixture_begin, index_fixture_end);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, in_the_order_of_changes);
	tcase_add_test(tcase, no_lsn_is_given_twice);
	tcase_add_test(tcase, in_pages);
	tcase_add_test(tcase, places_in_the_journals_of_peers);
	tcase_add_test(tcase, what_is_away);
	tcase_add_test(tcase, filled_in);
	tcase_add_test(tcase, tombstones_are_forgotten);
	tcase_add_test(tcase, by_version);
	tcase_add_test(tcase, a_drive_has_a_name);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
