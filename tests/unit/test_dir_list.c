// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store: pages of objects against a model that reads every key, and uploads in
 * parts.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

enum { KEYS = 120, KEY_BYTES = 16, ENTRIES_MAX = 200 };

static struct fixture fx;
static char keys[KEYS][KEY_BYTES];
static size_t key_count;

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

static void append(char *text, size_t size, const char *word)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s ", word);
}

/* ---- pages ---- */

struct page {
	struct store_list list;
	struct outcome outcome;
	/* Objects and prefixes, merged in byte order. */
	char entries[ENTRIES_MAX][KEY_BYTES];
	size_t count;
	char next[STORE_KEY_BYTES_MAX + 1];
};

static void merge(struct page *page)
{
	const struct store_list *list = &page->list;
	size_t object = 0, prefix = 0;
	const char *entry;

	while (object < list->object_count || prefix < list->prefix_count) {
		if (prefix == list->prefix_count ||
		    (object < list->object_count &&
		     strcmp(list->objects[object].key, list->prefixes[prefix]) < 0))
			entry = list->objects[object++].key;
		else
			entry = list->prefixes[prefix++];
		ck_assert_uint_lt(page->count, ENTRIES_MAX);
		snprintf(page->entries[page->count++], KEY_BYTES, "%s", entry);
	}
}

static void on_list(struct store_request *request, int err)
{
	struct page *page = LOOP_OWNER(request, struct page, list.request);

	if (!err)
		merge(page);
	ck_assert_uint_le(page->list.object_count + page->list.prefix_count, page->list.max);
	if (page->list.truncated)
		snprintf(page->next, sizeof(page->next), "%s", page->list.next);
	page->outcome.over = true;
	page->outcome.err = err;
	loop_stop(fx.loop);
}

static void read_page(struct page *page, const char *prefix, const char *delimiter,
		      const char *after, size_t max)
{
	page->list = (struct store_list){
		.request.done = on_list,
		.bucket = "b",
		.prefix = prefix,
		.delimiter = delimiter,
		.after = after,
		.max = max,
	};
	page->outcome = (struct outcome){.fixture = &fx};
	ck_assert_int_eq(store_list(fx.store, &page->list), 0);
	fixture_wait(&fx, &page->outcome.over);
	ck_assert_int_eq(page->outcome.err, 0);
}

/* What S3 says a listing is, read from all keys. */
static size_t model(const char *prefix, const char *delimiter, const char *after,
		    char entries[ENTRIES_MAX][KEY_BYTES])
{
	size_t i, count = 0, prefix_bytes = strlen(prefix);
	char entry[KEY_BYTES];
	const char *found;

	for (i = 0; i < key_count; i++) {
		if (strncmp(keys[i], prefix, prefix_bytes))
			continue;
		memcpy(entry, keys[i], KEY_BYTES);
		found = delimiter[0] ? strstr(keys[i] + prefix_bytes, delimiter) : NULL;
		if (found)
			entry[found - keys[i] + (long)strlen(delimiter)] = '\0';
		/* A common prefix is behind `after` when a key in it is, unless it is `after`. */
		if (strcmp(keys[i], after) <= 0 || !strcmp(entry, after))
			continue;
		if (!count || strcmp(entries[count - 1], entry) != 0)
			memcpy(entries[count++], entry, KEY_BYTES);
	}
	return count;
}

static void compare(const char *prefix, const char *delimiter, const char *after, size_t max)
{
	static char wanted[ENTRIES_MAX][KEY_BYTES];
	size_t count = model(prefix, delimiter, after, wanted), i;
	static struct page page;

	memset(&page, 0, sizeof(page));
	snprintf(page.next, sizeof(page.next), "%s", after);
	do {
		char from[STORE_KEY_BYTES_MAX + 1];

		memcpy(from, page.next, sizeof(from));
		read_page(&page, prefix, delimiter, from, max);
	} while (page.list.truncated);
	ck_assert_msg(page.count == count, "\"%s\" \"%s\" \"%s\" %zu: %zu entries, not %zu", prefix,
		      delimiter, after, max, page.count, count);
	for (i = 0; i < count; i++)
		ck_assert_str_eq(page.entries[i], wanted[i]);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The same every time. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static void fill(void)
{
	static const char letters[] = "ab/\xff-";
	uint32_t state = 7;
	size_t i, j, bytes;

	for (i = 0; i < KEYS; i++) {
		bytes = 1 + next_random(&state) % 7;
		for (j = 0; j < bytes; j++)
			keys[i][j] = letters[next_random(&state) % (sizeof(letters) - 1)];
		keys[i][bytes] = '\0';
		ck_assert_int_eq(fixture_put(&fx, "b", keys[i], "", 0, NULL), 0);
	}
	qsort(keys, KEYS, KEY_BYTES, by_bytes);
	key_count = 0;
	for (i = 0; i < KEYS; i++)
		if (!key_count || strcmp(keys[key_count - 1], keys[i]) != 0)
			memmove(keys[key_count++], keys[i], KEY_BYTES);
}

START_TEST(pages_are_what_s3_says)
{
	static const char *const prefixes[] = {"", "a", "a/", "b/a", "\xff", "zz"};
	static const char *const delimiters[] = {"", "/", "a", "/a", "\xff", "\xff\xff"};
	static const char *const afters[] = {"", "a", "a/", "a/b", "b/", "\xff", "\xff\xff", "zz"};
	static const size_t sizes[] = {1, 2, 7, 100};
	size_t i, j, k, l;

	fill();
	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		for (j = 0; j < sizeof(delimiters) / sizeof(delimiters[0]); j++)
			for (k = 0; k < sizeof(afters) / sizeof(afters[0]); k++)
				for (l = 0; l < sizeof(sizes) / sizeof(sizes[0]); l++)
					compare(prefixes[i], delimiters[j], afters[k], sizes[l]);
}
END_TEST

START_TEST(a_page_may_be_empty)
{
	struct page page = {.count = 0};

	ck_assert_int_eq(fixture_put(&fx, "b", "a", "", 0, NULL), 0);
	read_page(&page, "", "", "", 0);
	ck_assert(!page.list.truncated);
	ck_assert_uint_eq(page.count, 0);
	read_page(&page, "b", "/", "", 10);
	ck_assert_uint_eq(page.count, 0);
}
END_TEST

struct bucket_page {
	struct store_bucket_list list;
	struct outcome outcome;
	char names[64];
};

static void on_buckets(struct store_request *request, int err)
{
	struct bucket_page *page = LOOP_OWNER(request, struct bucket_page, list.request);
	size_t i;

	for (i = 0; i < page->list.count; i++) {
		ck_assert_uint_gt(page->list.buckets[i].created_ms, 0);
		append(page->names, sizeof(page->names), page->list.buckets[i].name);
	}
	page->outcome.over = true;
	page->outcome.err = err;
	loop_stop(fx.loop);
}

START_TEST(buckets_are_listed_by_name)
{
	struct bucket_page page = {.list.request.done = on_buckets, .outcome.fixture = &fx};

	ck_assert_int_eq(fixture_bucket_create(&fx, "c"), 0);
	ck_assert_int_eq(fixture_bucket_create(&fx, "a"), 0);
	ck_assert_int_eq(store_bucket_list(fx.store, &page.list), 0);
	fixture_wait(&fx, &page.outcome.over);
	ck_assert_int_eq(page.outcome.err, 0);
	ck_assert_str_eq(page.names, "a b c ");
}
END_TEST

/* ---- uploads in parts ---- */

struct part_page {
	struct store_part_list list;
	struct outcome outcome;
	struct store_part parts[8];
};

static void on_parts(struct store_request *request, int err)
{
	struct part_page *page = LOOP_OWNER(request, struct part_page, list.request);

	if (!err)
		memcpy(page->parts, page->list.parts, page->list.count * sizeof(page->parts[0]));
	page->outcome.over = true;
	page->outcome.err = err;
	loop_stop(fx.loop);
}

static int read_parts(struct part_page *page, const char *id, unsigned int after, size_t max)
{
	int err;

	*page = (struct part_page){
		.list = {.request.done = on_parts, .after = after, .max = max},
		.outcome.fixture = &fx,
	};
	err = store_part_list(fx.store, "b", "k", id, &page->list);
	if (err)
		return err;
	fixture_wait(&fx, &page->outcome.over);
	return page->outcome.err;
}

enum { PART_BYTES = 2 * STORE_CHUNK_BYTES + 3 };

START_TEST(parts_become_one_object)
{
	uint8_t *data = fixture_bytes((size_t)3 * PART_BYTES, 9);
	struct store_part parts[3] = {{.number = 1}, {.number = 2}, {.number = 10000}};
	char id[STORE_UPLOAD_ID_BYTES], etag[STORE_ETAG_BYTES];
	struct part_page page;
	unsigned int i;

	ck_assert_int_eq(fixture_put(&fx, "b", "k", "old", 3, NULL), 0);
	ck_assert_int_eq(fixture_upload_begin(&fx, "b", "k", id), 0);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 2, "to be replaced", 14, NULL), 0);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 77, "not wanted", 10, NULL), 0);
	for (i = 3; i-- > 0;)
		ck_assert_int_eq(fixture_part(&fx, "b", "k", id, parts[i].number,
					      data + (size_t)i * PART_BYTES, PART_BYTES,
					      parts[i].etag),
				 0);
	ck_assert_int_eq(read_parts(&page, id, 0, 2), 0);
	ck_assert_uint_eq(page.list.count, 2);
	ck_assert(page.list.truncated);
	ck_assert_uint_eq(page.parts[1].number, 2);
	ck_assert_uint_eq(page.parts[1].size_bytes, PART_BYTES);
	ck_assert_str_eq(page.parts[1].etag, parts[1].etag);
	ck_assert_int_eq(read_parts(&page, id, 2, 2), 0);
	ck_assert_uint_eq(page.list.count, 2);
	ck_assert(!page.list.truncated);
	ck_assert(fixture_holds(&fx, "b", "k", "old", 3));
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "k", id, parts, 3, etag), 0);
	ck_assert_str_eq(etag + 32, "-3");
	ck_assert(fixture_holds(&fx, "b", "k", data, (size_t)3 * PART_BYTES));
	ck_assert_int_eq(read_parts(&page, id, 0, 2), -ENOENT);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 3), 3);
	ck_assert_int_eq(fixture_remove_object(&fx, "b", "k"), 0);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 0), 0);
	free(data);
}
END_TEST

START_TEST(etag_of_parts_is_the_md5_of_md5s)
{
	struct store_part part = {.number = 5};
	char id[STORE_UPLOAD_ID_BYTES], etag[STORE_ETAG_BYTES];

	ck_assert_int_eq(fixture_upload_begin(&fx, "b", "k", id), 0);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 5, "hello world", 11, part.etag), 0);
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "k", id, &part, 1, etag), 0);
	/* printf 'hello world' | md5sum | xxd -r -p | md5sum */
	ck_assert_str_eq(etag, "241d8a27c836427bd7f04461b60e7359-1");
}
END_TEST

START_TEST(wrong_parts_are_refused_and_nothing_is_lost)
{
	struct store_part parts[2] = {{.number = 1}, {.number = 2}};
	char id[STORE_UPLOAD_ID_BYTES];

	ck_assert_int_eq(fixture_upload_begin(&fx, "b", "k", id), 0);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 1, "one", 3, parts[0].etag), 0);
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "k", id, parts, 2, NULL), -EINVAL);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 2, "two", 3, NULL), 0);
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "k", id, parts, 2, NULL), -EINVAL);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 2, "two", 3, parts[1].etag), 0);
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "other", id, parts, 2, NULL), -ENOENT);
	parts[1].number = 1;
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "k", id, parts, 2, NULL), -EINVAL);
	parts[1].number = 2;
	ck_assert_int_eq(fixture_upload_complete(&fx, "b", "k", id, parts, 2, NULL), 0);
	ck_assert(fixture_holds(&fx, "b", "k", "onetwo", 6));
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 3, "late", 4, NULL), -ENOENT);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", "no such id", 3, "x", 1, NULL), -ENOENT);
	ck_assert_int_eq(fixture_part(&fx, "b", "k", id, 10001, "x", 1, NULL), -EINVAL);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 2), 2);
}
END_TEST

struct upload_page {
	struct store_upload_list list;
	struct outcome outcome;
	char text[256], last_key[16], last_id[STORE_UPLOAD_ID_BYTES];
};

static void on_uploads(struct store_request *request, int err)
{
	struct upload_page *page = LOOP_OWNER(request, struct upload_page, list.request);
	size_t i;

	for (i = 0; i < page->list.count; i++) {
		ck_assert_uint_gt(page->list.uploads[i].began_ms, 0);
		snprintf(page->last_key, sizeof(page->last_key), "%s", page->list.uploads[i].key);
		snprintf(page->last_id, sizeof(page->last_id), "%s", page->list.uploads[i].id);
		append(page->text, sizeof(page->text), page->last_key);
	}
	page->outcome.over = true;
	page->outcome.err = err;
	loop_stop(fx.loop);
}

static void read_uploads(struct upload_page *page, const char *prefix, size_t max)
{
	page->list = (struct store_upload_list){
		.request.done = on_uploads,
		.bucket = "b",
		.prefix = prefix,
		.key_after = page->last_key,
		.id_after = page->last_id,
		.max = max,
	};
	page->outcome = (struct outcome){.fixture = &fx};
	ck_assert_int_eq(store_upload_list(fx.store, &page->list), 0);
	fixture_wait(&fx, &page->outcome.over);
	ck_assert_int_eq(page->outcome.err, 0);
}

START_TEST(uploads_are_listed_and_given_up)
{
	static const char *const begun[] = {"b", "a", "a", "c/d", "c/e"};
	char ids[5][STORE_UPLOAD_ID_BYTES];
	struct upload_page page = {.last_key = ""};
	size_t i;

	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(fixture_upload_begin(&fx, "b", begun[i], ids[i]), 0);
		ck_assert_int_eq(fixture_part(&fx, "b", begun[i], ids[i], 1, "x", 1, NULL), 0);
	}
	do {
		read_uploads(&page, "", 1);
	} while (page.list.truncated);
	ck_assert_str_eq(page.text, "a a b c/d c/e ");
	page = (struct upload_page){.last_key = ""};
	read_uploads(&page, "c/", 10);
	ck_assert_str_eq(page.text, "c/d c/e ");
	page = (struct upload_page){.last_key = "a"};
	read_uploads(&page, "", 10);
	ck_assert_str_eq(page.text, "b c/d c/e ");
	ck_assert_int_eq(fixture_upload_abort(&fx, "b", "b", ids[0]), 0);
	ck_assert_int_eq(fixture_upload_abort(&fx, "b", "b", ids[0]), -ENOENT);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 4), 4);
	/* They go with their bucket. */
	ck_assert_int_eq(fixture_bucket_delete(&fx, "b"), 0);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dir_list");
	TCase *tcase = tcase_create("dir_list");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, pages_are_what_s3_says);
	tcase_add_test(tcase, a_page_may_be_empty);
	tcase_add_test(tcase, buckets_are_listed_by_name);
	tcase_add_test(tcase, parts_become_one_object);
	tcase_add_test(tcase, etag_of_parts_is_the_md5_of_md5s);
	tcase_add_test(tcase, wrong_parts_are_refused_and_nothing_is_lost);
	tcase_add_test(tcase, uploads_are_listed_and_given_up);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
