// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/roster: keys, look-ups, endpoints, the whole.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "peer/roster.h"

enum { NETNS = 4097, PORT = 7400 };

static struct roster roster;

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage addr = {};
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(PORT);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(PORT);
	}
	return addr;
}

static void setup(void)
{
	static const char *const names[] = {"a", "b", "c"};
	static const char *const texts[] = {"10.77.0.1", "fd77::2", "::ffff:10.77.0.3"};
	struct sockaddr_storage addr;
	size_t i;

	ck_assert_int_eq(roster_open(&roster, 3, NETNS), 0);
	for (i = 0; i < 3; i++) {
		addr = address(texts[i]);
		roster_set(&roster, i, names[i], &addr);
	}
}

static void teardown(void)
{
	roster_close(&roster);
}

START_TEST(keys_are_v4_mapped)
{
	static const __u8 mapped[KNELL_ADDR_BYTES] = {[10] = 0xff, 0xff, 10, 77, 0, 1};
	struct sockaddr_storage plain = address("10.77.0.3"), long_form;
	struct knell_peer_key key, other;

	ck_assert_mem_eq(roster.peers[0].key.addr, mapped, sizeof(mapped));
	ck_assert_uint_eq(roster.peers[0].key.netns, NETNS);
	long_form = address("::ffff:10.77.0.3");
	memset(&key, 0xaa, sizeof(key));
	memset(&other, 0x55, sizeof(other));
	roster_key(&key, NETNS, &plain);
	roster_key(&other, NETNS, &long_form);
	ck_assert_mem_eq(&key, &other, sizeof(key));
	ck_assert_ptr_eq(roster_by_key(&roster, &key), &roster.peers[2]);
}
END_TEST

START_TEST(finds_by_key)
{
	struct knell_peer_key key = roster.peers[1].key;

	ck_assert_ptr_eq(roster_by_key(&roster, &key), &roster.peers[1]);
	key.netns++;
	ck_assert_ptr_null(roster_by_key(&roster, &key));
	key.netns--;
	key.addr[15]++;
	ck_assert_ptr_null(roster_by_key(&roster, &key));
}
END_TEST

START_TEST(finds_by_name_or_address)
{
	ck_assert_ptr_eq(roster_by_name(&roster, "b"), &roster.peers[1]);
	ck_assert_ptr_eq(roster_by_name(&roster, "10.77.0.1"), &roster.peers[0]);
	ck_assert_ptr_eq(roster_by_name(&roster, "fd77:0::2"), &roster.peers[1]);
	ck_assert_ptr_eq(roster_by_name(&roster, "10.77.0.3"), &roster.peers[2]);
	ck_assert_ptr_null(roster_by_name(&roster, "d"));
	ck_assert_ptr_null(roster_by_name(&roster, "B"));
	ck_assert_ptr_null(roster_by_name(&roster, ""));
	ck_assert_ptr_null(roster_by_name(&roster, "10.77.0.9"));
}
END_TEST

START_TEST(knows_places)
{
	size_t i;

	for (i = 0; i < roster.count; i++) {
		ck_assert_uint_eq(roster.peers[i].index, i);
		ck_assert_uint_eq(roster.peers[i].state, VERDICT_NEW);
	}
}
END_TEST

START_TEST(writes_endpoints)
{
	struct sockaddr_storage longest = address("1111:2222:3333:4444:5555:6666:7777:8888");
	char text[ROSTER_ENDPOINT_BYTES];

	((struct sockaddr_in6 *)&longest)->sin6_port = htons(65535);
	ck_assert_str_eq(roster_endpoint(text, &roster.peers[0].addr), "10.77.0.1:7400");
	ck_assert_str_eq(roster_endpoint(text, &roster.peers[1].addr), "[fd77::2]:7400");
	ck_assert_str_eq(roster_endpoint(text, &roster.peers[2].addr), "[::ffff:10.77.0.3]:7400");
	ck_assert_str_eq(roster_endpoint(text, &longest),
			 "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}
END_TEST

START_TEST(isolated_when_some_say_so_and_nobody_is_heard)
{
	ck_assert(!roster_isolated(&roster));
	roster.peers[0].state = VERDICT_ISOLATED;
	ck_assert(roster_isolated(&roster));
	roster.peers[1].state = VERDICT_DEAD;
	roster.peers[2].state = VERDICT_SUSPECT;
	ck_assert(roster_isolated(&roster));
	roster.peers[2].state = VERDICT_DEGRADED;
	ck_assert(!roster_isolated(&roster));
	roster.peers[0].state = VERDICT_DEAD;
	roster.peers[2].state = VERDICT_LOST;
	ck_assert(!roster_isolated(&roster));
}
END_TEST

START_TEST(may_be_empty)
{
	struct knell_peer_key key = roster.peers[0].key;
	struct roster empty;

	ck_assert_int_eq(roster_open(&empty, 0, NETNS), 0);
	ck_assert_ptr_null(roster_by_key(&empty, &key));
	ck_assert_ptr_null(roster_by_name(&empty, "10.77.0.1"));
	roster_close(&empty);
	roster_close(&empty);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("roster");
	TCase *tc = tcase_create("roster");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keys_are_v4_mapped);
	tcase_add_test(tc, finds_by_key);
	tcase_add_test(tc, finds_by_name_or_address);
	tcase_add_test(tc, knows_places);
	tcase_add_test(tc, writes_endpoints);
	tcase_add_test(tc, isolated_when_some_say_so_and_nobody_is_heard);
	tcase_add_test(tc, may_be_empty);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
