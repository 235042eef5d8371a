// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_control_upload.c - what the control socket tells of uploads and of the mirror: in full, and
 * what is not known is left out.
 *
 * Room: tests. Calls agent/control_upload and control_repair; the engine and the mirror stand here
 * as few lines.
 */
#include <check.h>
#include <stdlib.h>

#include "control_repair.h"
#include "control_upload.h"
#include "store/dir.h"

#define NS_PER_S UINT64_C(1000000000)
#define NOW_NS	 (1000 * NS_PER_S)

/* Stands in store/mirror.c's place: what it tells. */
struct mirror {
	struct mirror_progress progress;
	struct mirror_view views[2];
};

static struct store store;
static struct dir_upload upload;
static bool uploading;
static struct mirror mirror;

void dir_upload_each(struct store *of, void (*visit)(void *ctx, const struct dir_upload *upload),
		     void *ctx)
{
	ck_assert_ptr_eq(of, &store);
	if (uploading)
		visit(ctx, &upload);
}

void mirror_progress(const struct mirror *of, struct mirror_progress *progress)
{
	*progress = of->progress;
}

void mirror_each(const struct mirror *of, void (*visit)(void *ctx, const struct mirror_view *),
		 void *ctx)
{
	visit(ctx, &of->views[0]);
	visit(ctx, &of->views[1]);
}

static void setup(void)
{
	uploading = false;
	mirror = (struct mirror){
		.views = {{.peer = "b", .met = true}, {.peer = "c", .met = true}},
	};
}

/* Is @got what @expected says? Text, since that tells what differs. */
static void assert_json(json_t *got, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL);
	char *text = json_dumps(got, JSON_SORT_KEYS);

	ck_assert_ptr_nonnull(wanted);
	ck_assert_msg(json_equal(got, wanted), "%s", text);
	free(text);
	json_decref(wanted);
	json_decref(got);
}

START_TEST(uploads_are_told_with_their_replicas)
{
	assert_json(control_upload_list(&store, NOW_NS), "[]");
	upload = (struct dir_upload){
		.id = 17,
		.bucket = "photos",
		.key = "2026/cat \xc3\xbc\".jpg",
		.part = 3,
		.bytes = 5000,
		.expected_bytes = 9000,
		.replicas = {{"b", "writing", 4000}, {"c", "lost", 10}},
		.replica_count = 2,
		.began_ns = NOW_NS - 2 * NS_PER_S,
	};
	uploading = true;
	assert_json(control_upload_list(&store, NOW_NS),
		    "[{\"id\":17,\"bucket\":\"photos\",\"key\":\"2026/cat \xc3\xbc\\\".jpg\","
		    "\"part\":3,\"bytes\":5000,\"expected_bytes\":9000,\"age_ms\":2000,"
		    "\"rate_bytes_per_s\":2500,\"state\":\"receiving\",\"replicas\":["
		    "{\"node\":\"b\",\"state\":\"writing\",\"bytes\":4000},"
		    "{\"node\":\"c\",\"state\":\"lost\",\"bytes\":10}]}]");
}
END_TEST

START_TEST(what_is_not_known_of_an_upload_is_left_out)
{
	/* As large as an object may be, of no known length, just begun. */
	upload = (struct dir_upload){
		.id = 18,
		.bucket = "photos",
		.key = "dog.jpg",
		.bytes = STORE_OBJECT_BYTES_MAX,
		.committing = true,
		.began_ns = NOW_NS,
	};
	uploading = true;
	assert_json(control_upload_list(&store, NOW_NS),
		    "[{\"id\":18,\"bucket\":\"photos\",\"key\":\"dog.jpg\","
		    "\"bytes\":5497558138880,\"age_ms\":0,\"state\":\"committing\","
		    "\"replicas\":[]}]");
}
END_TEST

START_TEST(what_is_to_be_repaired_is_told)
{
	mirror.progress = (struct mirror_progress){
		.away_count = 3,
		.away_bytes = 4000,
		.mended_count = 5,
		.mended_bytes = 6000,
		.failed_count = 7,
	};
	mirror.views[0].unread_theirs = 8;
	mirror.views[0].unread_ours = 9;
	mirror.views[1].met = false;
	assert_json(control_repair_tell(&mirror, "a"),
		    "{\"node\":\"a\",\"alone\":false,\"in_step\":false,\"away_count\":3,"
		    "\"away_bytes\":4000,\"mended_count\":5,\"mended_bytes\":6000,"
		    "\"failed_count\":7,\"peers\":[{\"peer\":\"b\",\"met\":true,"
		    "\"unread_theirs\":8,\"unread_ours\":9},{\"peer\":\"c\",\"met\":false}]}");
}
END_TEST

static bool in_step(void)
{
	json_t *data = control_repair_tell(&mirror, "a");
	bool yes = json_is_true(json_object_get(data, "in_step"));

	json_decref(data);
	return yes;
}

START_TEST(in_step_is_nothing_away_and_nothing_unread)
{
	ck_assert(in_step());
	mirror.progress.away_count = 1;
	ck_assert(!in_step());
	mirror.progress.away_count = 0;
	mirror.views[0].unread_theirs = 1;
	ck_assert(!in_step());
	mirror.views[0].unread_theirs = 0;
	mirror.views[1].unread_ours = 1;
	ck_assert(!in_step());
	mirror.views[1].unread_ours = 0;
	mirror.views[1].met = false;
	ck_assert(!in_step());
}
END_TEST

START_TEST(alone_there_is_nothing_to_repair)
{
	assert_json(control_repair_tell(NULL, "a"),
		    "{\"node\":\"a\",\"alone\":true,\"in_step\":true,\"peers\":[]}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control_upload");
	TCase *tcase = tcase_create("control_upload");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, uploads_are_told_with_their_replicas);
	tcase_add_test(tcase, what_is_not_known_of_an_upload_is_left_out);
	tcase_add_test(tcase, what_is_to_be_repaired_is_told);
	tcase_add_test(tcase, in_step_is_nothing_away_and_nothing_unread);
	tcase_add_test(tcase, alone_there_is_nothing_to_repair);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
