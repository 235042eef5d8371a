// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/dir with many at once: what a thousand uploads hold in memory, how many
 * of them share a commit, and how long they take.
 */
#define _GNU_SOURCE
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "store_fixture.h"

#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define SANITIZED 1
#elif defined(__has_feature) /* clang */
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

enum {
	MANY = SANITIZED ? 200 : 1000,
	KIB = 1024,
	UPLOAD_KIB_MAX = 256,
	FILES_MAX = 4096,
	SMALL_BYTES = 1000,
	LARGE_BYTES = 64 << 20,
};

static struct fixture fx;
static atomic_uint commits;
static struct steered_put uploads[MANY];
static uint8_t *data;

/* In libc's place: SQLite calls it once per commit, and at checkpoints. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
int fdatasync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	atomic_fetch_add(&commits, 1);
	return next(fd);
}

static void figure(const char *line)
{
	const char *path = getenv("KNELL_FIGURES");
	FILE *figures;

	printf("%s\n", line);
	fflush(stdout);
	figures = SANITIZED ? NULL : fopen(path ? path : "build/figures.jsonl", "a");
	if (!figures)
		return;
	fprintf(figures, "%s\n", line);
	fclose(figures);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void setup(void)
{
	struct rlimit files = {.rlim_cur = FILES_MAX, .rlim_max = FILES_MAX};

	/* A file each, and twice as many connections where they come from. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	fixture_make(&fx);
	fixture_open(&fx);
	ck_assert_msg(fx.opened == 0, "%s", fx.why);
	ck_assert_int_eq(fixture_bucket_create(&fx, "b"), 0);
	data = fixture_bytes(STORE_CHUNK_BYTES, 1);
}

static void teardown(void)
{
	free(data);
	fixture_close(&fx);
	fixture_remove(&fx);
}

static void begin_all(void)
{
	char key[16];
	size_t i;

	for (i = 0; i < MANY; i++) {
		steered_init(&uploads[i], &fx);
		snprintf(key, sizeof(key), "%zu", i);
		ck_assert_int_eq(store_put(fx.store, "b", key, NULL, &uploads[i].put), 0);
	}
}

static void finish_all(void)
{
	size_t i;

	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(store_put_commit(fx.store, &uploads[i].put), 0);
	for (i = 0; i < MANY; i++) {
		fixture_wait(&fx, &uploads[i].outcome.over);
		ck_assert_int_eq(uploads[i].outcome.err, 0);
	}
}

START_TEST(memory_of_a_thousand_uploads_is_small)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, each, i;
	char line[200];

	begin_all();
	for (i = 0; i < MANY; i++)
		while (!store_put_write(fx.store, &uploads[i].put, data, STORE_CHUNK_BYTES))
			;
	each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / MANY;
	finish_all();
	if (SANITIZED)
		return;
	snprintf(line, sizeof(line),
		 "{\"figure\":\"store_upload_kib\",\"case\":\"%d at once, all buffers full\","
		 "\"n\":%d,\"max\":%zu,\"unit\":\"KiB\"}",
		 MANY, MANY, each / KIB);
	figure(line);
	ck_assert_uint_le(each / KIB, UPLOAD_KIB_MAX);
}
END_TEST

START_TEST(small_ones_share_their_commits)
{
	uint64_t began_ns = clock_ns();
	unsigned int before = atomic_load(&commits), shared;
	char line[200];
	size_t i;

	begin_all();
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(store_put_write(fx.store, &uploads[i].put, data, SMALL_BYTES), 0);
	finish_all();
	shared = atomic_load(&commits) - before;
	snprintf(line, sizeof(line),
		 "{\"figure\":\"store_put_small_per_s\",\"case\":\"%d of %d bytes at once, %u "
		 "commits\","
		 "\"n\":%d,\"p50\":%u,\"unit\":\"1/s\"}",
		 MANY, SMALL_BYTES, shared, MANY,
		 (unsigned int)(MANY * NS_PER_S / (clock_ns() - began_ns)));
	figure(line);
	ck_assert_uint_lt(shared, MANY / 2);
	/* Once more: they do not fit on one shelf, and what they replace goes. */
	begin_all();
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(store_put_write(fx.store, &uploads[i].put, data, 1), 0);
	finish_all();
	ck_assert_uint_eq(fixture_files_after(&fx, "data", MANY), MANY);
	ck_assert(fixture_holds(&fx, "b", "0", data, 1));
}
END_TEST

START_TEST(a_large_one_flows)
{
	uint64_t began_ns = clock_ns(), put_ns, get_ns;
	struct steered_put *put = &uploads[0];
	uint8_t *found;
	char line[200];
	size_t sent, len;

	steered_init(put, &fx);
	ck_assert_int_eq(store_put(fx.store, "b", "large", NULL, &put->put), 0);
	for (sent = 0; sent < LARGE_BYTES; sent += STORE_CHUNK_BYTES)
		ck_assert_int_eq(steered_write(put, data, STORE_CHUNK_BYTES), 0);
	ck_assert_int_eq(steered_commit(put), 0);
	put_ns = clock_ns() - began_ns;
	began_ns = clock_ns();
	ck_assert_int_eq(fixture_get(&fx, "b", "large", &found, &len), 0);
	get_ns = clock_ns() - began_ns;
	ck_assert_uint_eq(len, LARGE_BYTES);
	free(found);
	snprintf(line, sizeof(line),
		 "{\"figure\":\"store_large_ms\",\"case\":\"64 MiB: put with fsync, then get in %u "
		 "ms\","
		 "\"n\":1,\"max\":%u,\"unit\":\"ms\"}",
		 (unsigned int)(get_ns / NS_PER_MS), (unsigned int)(put_ns / NS_PER_MS));
	figure(line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dir_many");
	TCase *tcase = tcase_create("dir_many");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, memory_of_a_thousand_uploads_is_small);
	tcase_add_test(tcase, small_ones_share_their_commits);
	tcase_add_test(tcase, a_large_one_flows);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
