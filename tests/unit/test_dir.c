// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/dir: objects go in, come out as they went in, are replaced as a whole
 * and leave nothing behind.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void md5_of(const void *data, size_t len, char hex[STORE_ETAG_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int bytes, i;

	ck_assert(EVP_Digest(data, len, digest, &bytes, EVP_md5(), NULL));
	for (i = 0; i < bytes; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
}

START_TEST(objects_come_out_as_they_went_in)
{
	static const size_t sizes[] = {0,
				       1,
				       STORE_CHUNK_BYTES - 1,
				       STORE_CHUNK_BYTES,
				       65537,
				       (size_t)3 * STORE_CHUNK_BYTES,
				       3 * (size_t)STORE_CHUNK_BYTES + 1,
				       5000000};
	char key[32], etag[STORE_ETAG_BYTES], md5[STORE_ETAG_BYTES];
	uint8_t *data;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		data = fixture_bytes(sizes[i], (unsigned int)i);
		snprintf(key, sizeof(key), "size/%zu", sizes[i]);
		ck_assert_int_eq(fixture_put(&fx, "b", key, data, sizes[i], etag), 0);
		md5_of(data, sizes[i], md5);
		ck_assert_str_eq(etag, md5);
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

/* ---- reading step by step ---- */

struct stepping {
	struct store_get get;
	struct outcome outcome;
	uint8_t *data;
	size_t len;
};

static void on_found(struct store_request *request, int err)
{
	struct stepping *stepping = LOOP_OWNER(request, struct stepping, get.request);

	stepping->outcome.over = true;
	stepping->outcome.err = err;
	loop_stop(fx.loop);
}

static void on_chunk(struct store_get *get, const uint8_t *data, size_t len, int err)
{
	struct stepping *stepping = LOOP_OWNER(get, struct stepping, get);

	if (!err)
		memcpy(stepping->data + stepping->len, data, len);
	stepping->len += len;
	on_found(&get->request, err);
}

static int step_open(struct stepping *stepping, const char *key, size_t room)
{
	*stepping = (struct stepping){
		.get = {.request.done = on_found, .chunk = on_chunk},
		.outcome.fixture = &fx,
		.data = malloc(room),
	};
	ck_assert_ptr_nonnull(stepping->data);
	ck_assert_int_eq(store_get(fx.store, "b", key, &stepping->get), 0);
	fixture_wait(&fx, &stepping->outcome.over);
	return stepping->outcome.err;
}

static int step(struct stepping *stepping, size_t len)
{
	int err = store_get_read(fx.store, &stepping->get, stepping->len, len);

	if (err)
		return err;
	stepping->outcome.over = false;
	fixture_wait(&fx, &stepping->outcome.over);
	return stepping->outcome.err;
}

static void step_close(struct stepping *stepping)
{
	store_get_close(fx.store, &stepping->get);
	free(stepping->data);
}

enum { OLD_BYTES = 5 * STORE_CHUNK_BYTES, NEW_BYTES = 100 };

START_TEST(who_reads_the_old_one_goes_on_reading_it)
{
	uint8_t *old = fixture_bytes(OLD_BYTES, 1), *new = fixture_bytes(NEW_BYTES, 2);
	struct stepping stepping;

	ck_assert_int_eq(fixture_put(&fx, "b", "k", old, OLD_BYTES, NULL), 0);
	ck_assert_int_eq(step_open(&stepping, "k", OLD_BYTES), 0);
	/* Before its file is even open. */
	ck_assert_int_eq(fixture_put(&fx, "b", "k", new, NEW_BYTES, NULL), 0);
	fixture_pause(&fx, 500);
	ck_assert_uint_eq(fixture_files(&fx, "data"), 2);
	ck_assert_int_eq(step(&stepping, STORE_CHUNK_BYTES), 0);
	ck_assert(fixture_holds(&fx, "b", "k", new, NEW_BYTES));
	ck_assert_int_eq(fixture_remove_object(&fx, "b", "k"), 0);
	ck_assert(!fixture_holds(&fx, "b", "k", new, NEW_BYTES));
	while (stepping.len < OLD_BYTES)
		ck_assert_int_eq(step(&stepping, STORE_CHUNK_BYTES), 0);
	ck_assert_mem_eq(stepping.data, old, OLD_BYTES);
	ck_assert_int_eq(step(&stepping, 1), -EINVAL);
	step_close(&stepping);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 0), 0);
	free(old);
	free(new);
}
END_TEST

static int cut(const char *path)
{
	return truncate(path, 0);
}

START_TEST(what_is_damaged_is_said_to_be)
{
	struct stepping stepping;

	ck_assert_int_eq(fixture_put(&fx, "b", "k", "hello", 5, NULL), 0);
	fixture_each_file(&fx, "data", cut);
	ck_assert_int_eq(step_open(&stepping, "k", 5), 0);
	ck_assert_int_eq(step(&stepping, 5), -EBADMSG);
	step_close(&stepping);
	fixture_each_file(&fx, "data", unlink);
	ck_assert_int_eq(step_open(&stepping, "k", 5), 0);
	ck_assert_int_eq(step(&stepping, 5), -EBADMSG);
	step_close(&stepping);
}
END_TEST

/* ---- writing step by step ---- */

static void begin(struct steered_put *put, const char *bucket, const char *key)
{
	steered_init(put, &fx);
	ck_assert_int_eq(store_put(fx.store, bucket, key, NULL, &put->put), 0);
}

START_TEST(what_is_given_up_leaves_nothing)
{
	uint8_t *data = fixture_bytes(OLD_BYTES, 3);
	struct steered_put put;

	begin(&put, "b", "at once");
	store_put_abort(fx.store, &put.put);
	begin(&put, "b", "with something written");
	ck_assert_int_eq(store_put_write(fx.store, &put.put, data, STORE_CHUNK_BYTES), 0);
	store_put_abort(fx.store, &put.put);
	begin(&put, "b", "in the middle");
	ck_assert_int_eq(steered_write(&put, data, OLD_BYTES), 0);
	store_put_abort(fx.store, &put.put);
	begin(&put, "b", "after the commit");
	ck_assert_int_eq(steered_write(&put, data, OLD_BYTES), 0);
	ck_assert_int_eq(store_put_commit(fx.store, &put.put), 0);
	ck_assert_int_eq(store_put_commit(fx.store, &put.put), -EINVAL);
	ck_assert_int_eq(store_put_write(fx.store, &put.put, data, 1), -EINVAL);
	store_put_abort(fx.store, &put.put);
	ck_assert_uint_eq(fixture_files_after(&fx, "tmp", 0), 0);
	ck_assert(!put.outcome.over);
	fixture_remove_object(&fx, "b", "after the commit");
	ck_assert_uint_eq(fixture_files_after(&fx, "data", 0), 0);
	free(data);
}
END_TEST

START_TEST(memory_of_an_upload_is_bounded)
{
	uint8_t *data = fixture_bytes(STORE_CHUNK_BYTES, 4);
	struct steered_put put;
	size_t taken = 0;
	int err;

	begin(&put, "b", "k");
	ck_assert_int_eq(store_put_write(fx.store, &put.put, data, STORE_CHUNK_BYTES + 1), -EINVAL);
	while (!(err = store_put_write(fx.store, &put.put, data, 1000)))
		taken += 1000;
	ck_assert_int_eq(err, -ENOBUFS);
	ck_assert_uint_ge(taken, (size_t)2 * STORE_CHUNK_BYTES);
	ck_assert_uint_le(taken, (size_t)3 * STORE_CHUNK_BYTES);
	fixture_wait(&fx, &put.writable);
	ck_assert_int_eq(store_put_write(fx.store, &put.put, data, STORE_CHUNK_BYTES), 0);
	ck_assert_int_eq(steered_commit(&put), 0);
	ck_assert_uint_eq(strlen(put.put.etag), 32);
	ck_assert_uint_gt(put.put.modified_ms, 0);
	free(data);
}
END_TEST

START_TEST(a_missing_bucket_is_told_before_the_body_has_come)
{
	struct steered_put put;

	begin(&put, "nowhere", "k");
	fixture_wait(&fx, &put.writable);
	ck_assert_int_eq(put.failed, -ENOENT);
	ck_assert_int_eq(store_put_write(fx.store, &put.put, "x", 1), -ENOENT);
	ck_assert_int_eq(store_put_commit(fx.store, &put.put), -ENOENT);
	ck_assert_int_eq(fixture_put(&fx, "nowhere", "k", "x", 1, NULL), -ENOENT);
	ck_assert_uint_eq(fixture_files_after(&fx, "tmp", 0), 0);
}
END_TEST

START_TEST(a_key_is_just_bytes)
{
	char longest[STORE_KEY_BYTES_MAX + 2];
	const char *keys[] = {"../../../etc/passwd",
			      "..",
			      ".",
			      "/",
			      "//a//",
			      "A",
			      "a",
			      "\xff\xfe",
			      "a\nb",
			      "%2e%2e",
			      longest};
	size_t i, count = sizeof(keys) / sizeof(keys[0]);

	memset(longest, 'k', sizeof(longest));
	longest[STORE_KEY_BYTES_MAX + 1] = '\0';
	ck_assert_int_eq(fixture_put(&fx, "b", longest, "x", 1, NULL), -EINVAL);
	ck_assert_int_eq(fixture_put(&fx, "b", "", "x", 1, NULL), -EINVAL);
	longest[STORE_KEY_BYTES_MAX] = '\0';
	for (i = 0; i < count; i++)
		ck_assert_int_eq(fixture_put(&fx, "b", keys[i], keys[i], strlen(keys[i]), NULL), 0);
	for (i = 0; i < count; i++)
		ck_assert(fixture_holds(&fx, "b", keys[i], keys[i], strlen(keys[i])));
	ck_assert_uint_eq(fixture_files(&fx, "data"), count);
}
END_TEST

START_TEST(metadata_stays_as_it_is)
{
	static const char pairs[] = "content-type\0text/plain\0x-amz-meta-a\0";
	const struct store_meta meta = {.pairs = pairs, .bytes = sizeof(pairs)};
	struct stepping stepping;
	struct steered_put put;

	steered_init(&put, &fx);
	ck_assert_int_eq(store_put(fx.store, "b", "k", &meta, &put.put), 0);
	ck_assert_int_eq(steered_write(&put, "hello", 5), 0);
	ck_assert_int_eq(steered_commit(&put), 0);
	ck_assert_int_eq(step_open(&stepping, "k", 5), 0);
	ck_assert_str_eq(stepping.get.object.key, "k");
	ck_assert_uint_eq(stepping.get.object.size_bytes, 5);
	ck_assert_uint_eq(stepping.get.object.modified_ms, put.put.modified_ms);
	ck_assert_str_eq(stepping.get.object.etag, put.put.etag);
	ck_assert_uint_eq(stepping.get.object.meta.bytes, sizeof(pairs));
	ck_assert_mem_eq(stepping.get.object.meta.pairs, pairs, sizeof(pairs));
	step_close(&stepping);
}
END_TEST

/* ---- opening and closing ---- */

START_TEST(one_agent_has_a_drive)
{
	struct fixture other = {.opened = 1};

	memcpy(other.path, fx.path, sizeof(other.path));
	fixture_open(&other);
	ck_assert_int_eq(other.opened, -EBUSY);
	ck_assert_str_eq(other.why, "another knelld has it open");
	ck_assert_int_eq(fixture_bucket_create(&other, "c"), -EAGAIN);
	ck_assert_int_eq(fixture_put(&other, "b", "k", "x", 1, NULL), -EAGAIN);
	fixture_close(&other);
}
END_TEST

/* That the drive is missing must not read as that the bucket is. */
START_TEST(a_missing_drive_is_no_missing_bucket)
{
	struct fixture other = {.opened = 1};

	snprintf(other.path, sizeof(other.path), "%.200s/nowhere", fx.path);
	fixture_open(&other);
	ck_assert_int_eq(other.opened, -ENOENT);
	ck_assert_int_eq(fixture_bucket_head(&other, "b"), -EIO);
	ck_assert_int_eq(fixture_put(&other, "b", "k", "x", 1, NULL), -EIO);
	fixture_close(&other);
}
END_TEST

START_TEST(may_be_closed_in_the_middle_of_everything)
{
	uint8_t *data = fixture_bytes(STORE_CHUNK_BYTES, 5);
	struct steered_put puts[20];
	struct stepping stepping;
	char key[16];
	size_t i;

	ck_assert_int_eq(fixture_put(&fx, "b", "k", data, STORE_CHUNK_BYTES, NULL), 0);
	ck_assert_int_eq(step_open(&stepping, "k", STORE_CHUNK_BYTES), 0);
	ck_assert_int_eq(store_get_read(fx.store, &stepping.get, 0, 10), 0);
	for (i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		begin(&puts[i], "b", key);
		ck_assert_int_eq(store_put_write(fx.store, &puts[i].put, data, 1000 * i), 0);
		if (i % 2)
			ck_assert_int_eq(store_put_commit(fx.store, &puts[i].put), 0);
		if (i % 4 == 0)
			fixture_pause(&fx, 1);
	}
	reopen();
	free(stepping.data);
	ck_assert(fixture_holds(&fx, "b", "k", data, STORE_CHUNK_BYTES));
	ck_assert_uint_eq(fixture_files(&fx, "tmp"), 0);
	for (i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		if (puts[i].outcome.over)
			ck_assert(fixture_holds(&fx, "b", key, data, 1000 * i));
	}
	free(data);
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
	tcase_add_test(tcase, who_reads_the_old_one_goes_on_reading_it);
	tcase_add_test(tcase, what_is_damaged_is_said_to_be);
	tcase_add_test(tcase, what_is_given_up_leaves_nothing);
	tcase_add_test(tcase, memory_of_an_upload_is_bounded);
	tcase_add_test(tcase, a_missing_bucket_is_told_before_the_body_has_come);
	tcase_add_test(tcase, a_key_is_just_bytes);
	tcase_add_test(tcase, metadata_stays_as_it_is);
	tcase_add_test(tcase, one_agent_has_a_drive);
	tcase_add_test(tcase, a_missing_drive_is_no_missing_bucket);
	tcase_add_test(tcase, may_be_closed_in_the_middle_of_everything);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
