// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/console/merge: what a server is, what its drives are, and that the sums add
 * up.
 */
#include <check.h>
#include <stdlib.h>

#include "console/merge.h"

static const struct {
	unsigned int verdict;
	bool asks;
	enum server_state unasked, answered, failed;
} rows[] = {
	{VERDICT_NEW, false, SERVER_INITIALIZING, SERVER_INITIALIZING, SERVER_INITIALIZING},
	{VERDICT_ALIVE, true, SERVER_DEGRADED, SERVER_ONLINE, SERVER_DEGRADED},
	{VERDICT_DEGRADED, true, SERVER_DEGRADED, SERVER_DEGRADED, SERVER_DEGRADED},
	{VERDICT_SUSPECT, true, SERVER_DEGRADED, SERVER_ONLINE, SERVER_DEGRADED},
	{VERDICT_LOST, false, SERVER_UNKNOWN, SERVER_UNKNOWN, SERVER_UNKNOWN},
	{VERDICT_DEAD, false, SERVER_OFFLINE, SERVER_OFFLINE, SERVER_OFFLINE},
	{VERDICT_ISOLATED, false, SERVER_UNKNOWN, SERVER_UNKNOWN, SERVER_UNKNOWN},
	{VERDICT_STATES, false, SERVER_UNKNOWN, SERVER_UNKNOWN, SERVER_UNKNOWN},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(verdict_comes_before_the_answer)
{
	ck_assert_int_eq(merge_asks(rows[_i].verdict), rows[_i].asks);
	ck_assert_int_eq(merge_state(rows[_i].verdict, MERGE_UNASKED, false), rows[_i].unasked);
	ck_assert_int_eq(merge_state(rows[_i].verdict, MERGE_ANSWERED, false), rows[_i].answered);
	ck_assert_int_eq(merge_state(rows[_i].verdict, MERGE_FAILED, false), rows[_i].failed);
}
END_TEST

START_TEST(who_says_it_starts_is_starting)
{
	ck_assert_int_eq(merge_state(VERDICT_ALIVE, MERGE_ANSWERED, true), SERVER_INITIALIZING);
	/* What it said before it died does not matter. */
	ck_assert_int_eq(merge_state(VERDICT_DEAD, MERGE_ANSWERED, true), SERVER_OFFLINE);
	ck_assert_int_eq(merge_state(VERDICT_ALIVE, MERGE_FAILED, true), SERVER_DEGRADED);
}
END_TEST

START_TEST(a_fault_of_a_drive_is_found)
{
	struct drive drives[] = {
		{.state = DRIVE_OK}, {.state = DRIVE_UNKNOWN}, {.state = DRIVE_OK}};
	const struct server server = {.drives = drives, .drive_count = 3}, none = {0};

	ck_assert_ptr_null(merge_fault(&server));
	ck_assert_ptr_null(merge_fault(&none));
	drives[2].state = DRIVE_OFFLINE;
	ck_assert_ptr_eq(merge_fault(&server), &drives[2]);
	drives[0].state = DRIVE_FAULTY;
	ck_assert_ptr_eq(merge_fault(&server), &drives[0]);
}
END_TEST

START_TEST(drives_share_the_fate_of_their_server)
{
	enum drive_state said;

	for (said = DRIVE_UNKNOWN; said < DRIVE_STATES; said++) {
		ck_assert_int_eq(merge_drive(SERVER_ONLINE, MERGE_ANSWERED, said), said);
		ck_assert_int_eq(merge_drive(SERVER_DEGRADED, MERGE_ANSWERED, said), said);
		ck_assert_int_eq(merge_drive(SERVER_INITIALIZING, MERGE_ANSWERED, said), said);
		ck_assert_int_eq(merge_drive(SERVER_DEGRADED, MERGE_FAILED, said), DRIVE_UNKNOWN);
		ck_assert_int_eq(merge_drive(SERVER_UNKNOWN, MERGE_UNASKED, said), DRIVE_UNKNOWN);
		ck_assert_int_eq(merge_drive(SERVER_UNKNOWN, MERGE_ANSWERED, said), DRIVE_UNKNOWN);
		ck_assert_int_eq(merge_drive(SERVER_OFFLINE, MERGE_UNASKED, said), DRIVE_OFFLINE);
		ck_assert_int_eq(merge_drive(SERVER_OFFLINE, MERGE_ANSWERED, said), DRIVE_OFFLINE);
	}
}
END_TEST

/* Every verdict with every answer, and the sum is the total. */
START_TEST(counts_add_up)
{
	struct merge_count count = {0};
	unsigned int verdict, answer, initializing;

	for (verdict = 0; verdict <= VERDICT_STATES; verdict++)
		for (answer = MERGE_UNASKED; answer <= MERGE_FAILED; answer++)
			for (initializing = 0; initializing < 2; initializing++)
				merge_count(&count, merge_state(verdict, (enum merge_answer)answer,
								initializing));
	ck_assert_uint_eq(count.total, (VERDICT_STATES + 1) * UINT64_C(6));
	ck_assert_uint_eq(count.online + count.offline + count.unknown, count.total);
	ck_assert_uint_le(count.degraded, count.online);
	ck_assert_uint_le(count.initializing, count.unknown);
	ck_assert_uint_eq(count.offline, 6);
	merge_count(&count, SERVER_STATES);
	ck_assert_uint_eq(count.online + count.offline + count.unknown, count.total);
}
END_TEST

START_TEST(only_good_drives_make_space)
{
	const struct drive drive = {.total_bytes = 100, .used_bytes = 60, .available_bytes = 30};
	struct merge_space space = {0};
	enum drive_state state;
	size_t sum = 0;

	for (state = DRIVE_UNKNOWN; state < DRIVE_STATES; state++)
		merge_space(&space, &drive, state);
	merge_space(&space, &drive, DRIVE_OK);
	for (state = DRIVE_UNKNOWN; state < DRIVE_STATES; state++)
		sum += space.state_count[state];
	ck_assert_uint_eq(space.drives, DRIVE_STATES + 1);
	ck_assert_uint_eq(sum, space.drives);
	ck_assert_uint_eq(space.total_bytes, 200);
	ck_assert_uint_eq(space.used_bytes, 120);
	ck_assert_uint_eq(space.available_bytes, 60);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("merge");
	TCase *tcase = tcase_create("merge");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, verdict_comes_before_the_answer, 0, ROWS);
	tcase_add_test(tcase, who_says_it_starts_is_starting);
	tcase_add_test(tcase, a_fault_of_a_drive_is_found);
	tcase_add_test(tcase, drives_share_the_fate_of_their_server);
	tcase_add_test(tcase, counts_add_up);
	tcase_add_test(tcase, only_good_drives_make_space);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
