// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/message and agent/peer/server: what a node says of itself survives the
 * way, and what a hostile one says stays within bounds.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knell/v1/peer.pb-c.h"
#include "peer/message.h"
#include "peer/server.h"

static struct server server, other;

static void setup(void)
{
	server = other = (struct server){0};
}

static void teardown(void)
{
	server_free(&server);
	server_free(&other);
}

static void fill(void)
{
	char path[] = "/mnt/d1", second[] = "/mnt/Gr\xc3\xb6\xc3\x9f"
					    "e";
	struct drive drive = {.path = path,
			      .state = DRIVE_OK,
			      .uuid = "11-22",
			      .total_bytes = 1000,
			      .used_bytes = 600,
			      .available_bytes = UINT64_MAX,
			      .inodes = 9,
			      .inodes_used = 3,
			      .read_only = true};

	snprintf(server.name, sizeof(server.name), "a");
	snprintf(server.endpoint, sizeof(server.endpoint), "10.0.0.1:7400");
	snprintf(server.version, sizeof(server.version), "1.2.3");
	server.initializing = true;
	server.uptime_s = 77;
	server.started_s = UINT64_C(1) << 40;
	server.connections = 12;
	server.pid = 4242;
	server.cpus = 8;
	server.memory_bytes = UINT64_C(1) << 36;
	ck_assert_int_eq(server_add_view(&server, "b", "alive"), 0);
	ck_assert_int_eq(server_add_view(&server, "c", "dead"), 0);
	ck_assert_int_eq(server_add_drive(&server, &drive), 0);
	drive = (struct drive){.path = second, .state = DRIVE_FAULTY, .reason = "worn out"};
	ck_assert_int_eq(server_add_drive(&server, &drive), 0);
}

static void check_drives(void)
{
	ck_assert_uint_eq(other.drive_count, 2);
	ck_assert_str_eq(other.drives[0].path, "/mnt/d1");
	ck_assert_int_eq(other.drives[0].state, DRIVE_OK);
	ck_assert_str_eq(other.drives[0].uuid, "11-22");
	ck_assert_uint_eq(other.drives[0].total_bytes, 1000);
	ck_assert_uint_eq(other.drives[0].used_bytes, 600);
	ck_assert_uint_eq(other.drives[0].available_bytes, UINT64_MAX);
	ck_assert_uint_eq(other.drives[0].inodes, 9);
	ck_assert_uint_eq(other.drives[0].inodes_used, 3);
	ck_assert(other.drives[0].read_only);
	ck_assert_str_eq(other.drives[1].path, server.drives[1].path);
	ck_assert_int_eq(other.drives[1].state, DRIVE_FAULTY);
	ck_assert_str_eq(other.drives[1].reason, "worn out");
}

START_TEST(info_survives_the_way)
{
	uint8_t *bytes;
	size_t count;

	fill();
	ck_assert_int_eq(server_pack_info(&server, &bytes, &count), 0);
	ck_assert_int_eq(server_read_info(&other, bytes, count), 0);
	ck_assert_str_eq(other.name, "a");
	ck_assert_str_eq(other.endpoint, "10.0.0.1:7400");
	ck_assert_str_eq(other.version, "1.2.3");
	ck_assert(other.initializing);
	ck_assert_uint_eq(other.uptime_s, 77);
	ck_assert_uint_eq(other.started_s, UINT64_C(1) << 40);
	ck_assert_uint_eq(other.connections, 12);
	ck_assert_uint_eq(other.pid, 4242);
	ck_assert_uint_eq(other.cpus, 8);
	ck_assert_uint_eq(other.memory_bytes, UINT64_C(1) << 36);
	ck_assert_uint_eq(other.network_count, 2);
	ck_assert_str_eq(other.network[0].name, "b");
	ck_assert_str_eq(other.network[0].state, "alive");
	ck_assert_str_eq(other.network[1].name, "c");
	ck_assert_str_eq(other.network[1].state, "dead");
	check_drives();
	/* Replaces, and does not add. */
	ck_assert_int_eq(server_read_info(&other, bytes, count), 0);
	check_drives();
	free(bytes);
}
END_TEST

START_TEST(storage_leaves_the_rest)
{
	uint8_t *bytes;
	size_t count;

	fill();
	snprintf(other.version, sizeof(other.version), "kept");
	ck_assert_int_eq(server_pack_storage(&server, &bytes, &count), 0);
	ck_assert_int_eq(server_read_storage(&other, bytes, count), 0);
	ck_assert_str_eq(other.version, "kept");
	ck_assert_str_eq(other.name, "a");
	ck_assert(other.initializing);
	check_drives();
	free(bytes);
}
END_TEST

START_TEST(garbage_changes_nothing)
{
	static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t *bytes;
	size_t count, cut;

	fill();
	snprintf(other.name, sizeof(other.name), "kept");
	ck_assert_int_eq(server_read_info(&other, garbage, sizeof(garbage)), -EINVAL);
	ck_assert_int_eq(server_read_storage(&other, garbage, sizeof(garbage)), -EINVAL);
	ck_assert_str_eq(other.name, "kept");
	ck_assert_uint_eq(other.drive_count, 0);
	/* Cut anywhere, it is read or refused; the sanitizers look on. */
	ck_assert_int_eq(server_pack_info(&server, &bytes, &count), 0);
	for (cut = 0; cut < count; cut++)
		server_read_info(&other, bytes, cut);
	free(bytes);
}
END_TEST

/* @count times the field @tag with an empty message: two bytes each. */
static uint8_t *many_empty(uint8_t tag, size_t count)
{
	uint8_t *bytes = calloc(count, 2);
	size_t i;

	ck_assert_ptr_nonnull(bytes);
	for (i = 0; i < count; i++)
		bytes[2 * i] = tag;
	return bytes;
}

START_TEST(small_messages_take_no_large_memory)
{
	enum { DRIVES_TAG = 12 << 3 | 2, NETWORK_TAG = 7 << 3 | 2, MANY = 500000, SOME = 300 };
	uint8_t *bytes = many_empty(DRIVES_TAG, MANY);

	ck_assert_int_eq(server_read_info(&other, bytes, (size_t)2 * MANY), -EINVAL);
	/* Readable, but more drives than any server has. */
	ck_assert_int_eq(server_read_info(&other, bytes, (size_t)2 * SOME), -E2BIG);
	free(bytes);
	bytes = many_empty(NETWORK_TAG, MANY);
	ck_assert_int_eq(server_read_info(&other, bytes, (size_t)2 * MANY), -EINVAL);
	free(bytes);
	bytes = calloc(1, SERVER_MESSAGE_BYTES_MAX + 1);
	ck_assert_int_eq(server_read_info(&other, bytes, SERVER_MESSAGE_BYTES_MAX + 1), -EINVAL);
	free(bytes);
}
END_TEST

START_TEST(hostile_texts_are_tamed)
{
	Knell__V1__ServerInfoReply reply = KNELL__V1__SERVER_INFO_REPLY__INIT;
	char name[] = "\x1b[2J\xff", state[] = "on fire", version[300];
	uint8_t *bytes;
	size_t count;

	memset(version, 'v', sizeof(version) - 1);
	version[sizeof(version) - 1] = '\0';
	reply.name = name;
	reply.state = state;
	reply.version = version;
	ck_assert_int_eq(message_pack(&reply.base, &bytes, &count), 0);
	ck_assert_int_eq(server_read_info(&other, bytes, count), 0);
	free(bytes);
	ck_assert_str_eq(other.name, "?[2J?");
	ck_assert_uint_eq(strlen(other.version), SERVER_TEXT_BYTES - 1);
	ck_assert(!other.initializing);
}
END_TEST

START_TEST(text_is_utf_8_and_cut_between_characters)
{
	char text[8];

	ck_assert_str_eq(message_text(text, sizeof(text), "plain"), "plain");
	ck_assert_str_eq(message_text(text, sizeof(text), "much longer"), "much lo");
	ck_assert_str_eq(message_text(text, sizeof(text), "12345\xe2\x82\xac"), "12345");
	ck_assert_str_eq(message_text(text, sizeof(text), "1234\xe2\x82\xac"), "1234\xe2\x82\xac");
	ck_assert_str_eq(message_text(text, sizeof(text), "\xf0\x9f\x92\x80"), "\xf0\x9f\x92\x80");
	/* Cut short, overlong, a surrogate, beyond Unicode, a lone continuation. */
	ck_assert_str_eq(message_text(text, sizeof(text), "\xe2\x82"), "??");
	ck_assert_str_eq(message_text(text, sizeof(text), "\xc0\xaf"), "??");
	ck_assert_str_eq(message_text(text, sizeof(text), "\xed\xa0\x80"), "???");
	ck_assert_str_eq(message_text(text, sizeof(text), "\xf4\x90\x80\x80"), "????");
	ck_assert_str_eq(message_text(text, sizeof(text),
				      "a\x80"
				      "b\n\x7f"),
			 "a?b??");
	ck_assert_str_eq(message_text(text, 1, "x"), "");
}
END_TEST

START_TEST(lists_are_bounded)
{
	char path[] = "/d";
	struct drive drive = {.path = path};
	int i;

	for (i = 0; i < SERVER_DRIVES_MAX; i++)
		ck_assert_int_eq(server_add_drive(&server, &drive), 0);
	ck_assert_int_eq(server_add_drive(&server, &drive), -E2BIG);
	for (i = 0; i < SERVER_NETWORK_MAX; i++)
		ck_assert_int_eq(server_add_view(&server, "n", "new"), 0);
	ck_assert_int_eq(server_add_view(&server, "n", "new"), -E2BIG);
}
END_TEST

START_TEST(full_messages_are_read)
{
	char path[SERVER_PATH_BYTES_MAX];
	struct drive drive = {.path = path, .state = DRIVE_OK};
	uint8_t *bytes;
	size_t count;
	int i;

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (i = 0; i < SERVER_DRIVES_MAX; i++)
		ck_assert_int_eq(server_add_drive(&server, &drive), 0);
	for (i = 0; i < SERVER_NETWORK_MAX; i++)
		ck_assert_int_eq(server_add_view(&server, "n", "new"), 0);
	ck_assert_int_eq(server_pack_info(&server, &bytes, &count), 0);
	ck_assert_int_eq(server_read_info(&other, bytes, count), 0);
	ck_assert_uint_eq(other.drive_count, SERVER_DRIVES_MAX);
	ck_assert_uint_eq(other.network_count, SERVER_NETWORK_MAX);
	ck_assert_str_eq(other.drives[SERVER_DRIVES_MAX - 1].path, path);
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *tcase = tcase_create("server");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, info_survives_the_way);
	tcase_add_test(tcase, storage_leaves_the_rest);
	tcase_add_test(tcase, garbage_changes_nothing);
	tcase_add_test(tcase, small_messages_take_no_large_memory);
	tcase_add_test(tcase, hostile_texts_are_tamed);
	tcase_add_test(tcase, text_is_utf_8_and_cut_between_characters);
	tcase_add_test(tcase, lists_are_bounded);
	tcase_add_test(tcase, full_messages_are_read);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
