// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/grpc: framing in pieces of every size, and the spelling of time-outs and
 * words.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer/grpc.h"

#define NS_PER_S 1000000000ULL

enum { MESSAGES_MAX = 8, MESSAGE_BYTES = 700 };

struct got {
	size_t count;
	size_t bytes[MESSAGES_MAX];
	uint8_t first[MESSAGES_MAX], last[MESSAGES_MAX];
	size_t stop_after;
};

static bool take(void *ctx, const uint8_t *data, size_t len)
{
	struct got *got = ctx;

	ck_assert_uint_lt(got->count, MESSAGES_MAX);
	got->bytes[got->count] = len;
	got->first[got->count] = len ? data[0] : 0;
	got->last[got->count] = len ? data[len - 1] : 0;
	got->count++;
	return got->count != got->stop_after;
}

static size_t put(uint8_t *to, size_t bytes, uint8_t fill)
{
	grpc_prefix(to, bytes);
	memset(to + GRPC_PREFIX_BYTES, fill, bytes);
	return GRPC_PREFIX_BYTES + bytes;
}

START_TEST(reads_messages_in_pieces_of_any_size)
{
	uint8_t stream[3 * (GRPC_PREFIX_BYTES + MESSAGE_BYTES)];
	struct grpc_reader reader = {};
	struct got got = {};
	size_t used = 0, at, step = (size_t)_i + 1;

	used += put(stream + used, MESSAGE_BYTES, 'a');
	used += put(stream + used, 0, 0);
	used += put(stream + used, 3, 'c');
	for (at = 0; at < used; at += step) {
		size_t len = used - at < step ? used - at : step;
		uint8_t *copy = malloc(len);

		/* Of its own, so that a read beyond the end is seen. */
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, stream + at, len);
		ck_assert_int_eq(grpc_read(&reader, copy, len, take, &got), 0);
		free(copy);
	}
	ck_assert_uint_eq(got.count, 3);
	ck_assert_uint_eq(got.bytes[0], MESSAGE_BYTES);
	ck_assert_int_eq(got.first[0], 'a');
	ck_assert_int_eq(got.last[0], 'a');
	ck_assert_uint_eq(got.bytes[1], 0);
	ck_assert_uint_eq(got.bytes[2], 3);
	ck_assert_int_eq(got.last[2], 'c');
	ck_assert(!grpc_read_partial(&reader));
	grpc_read_free(&reader);
}
END_TEST

START_TEST(stops_when_told)
{
	uint8_t stream[64];
	struct grpc_reader reader = {};
	struct got got = {.stop_after = 1};
	size_t used = put(stream, 4, 'a');

	used += put(stream + used, 4, 'b');
	ck_assert_int_eq(grpc_read(&reader, stream, used, take, &got), -ECANCELED);
	ck_assert_uint_eq(got.count, 1);
	grpc_read_free(&reader);
}
END_TEST

START_TEST(refuses_what_is_too_long_before_taking_memory)
{
	const uint8_t two_gib[GRPC_PREFIX_BYTES] = {0, 0x80, 0, 0, 0};
	struct grpc_reader reader = {}, small = {.limit_bytes = 10};
	struct got got = {};
	uint8_t prefix[GRPC_PREFIX_BYTES];

	ck_assert_int_eq(grpc_read(&reader, two_gib, sizeof(two_gib), take, &got), -EMSGSIZE);
	ck_assert_ptr_null(reader.body);
	grpc_prefix(prefix, 11);
	ck_assert_int_eq(grpc_read(&small, prefix, sizeof(prefix), take, &got), -EMSGSIZE);
	grpc_read_free(&small);
	grpc_prefix(prefix, 10);
	ck_assert_int_eq(grpc_read(&small, prefix, sizeof(prefix), take, &got), 0);
	ck_assert(grpc_read_partial(&small));
	ck_assert_uint_eq(got.count, 0);
	grpc_read_free(&small);
	ck_assert(!grpc_read_partial(&small));
}
END_TEST

START_TEST(memory_follows_what_has_come)
{
	uint8_t some[GRPC_PREFIX_BYTES + 100];
	struct grpc_reader reader = {};
	struct got got = {};

	memset(some, 'x', sizeof(some));
	grpc_prefix(some, GRPC_MESSAGE_BYTES_MAX);
	ck_assert_int_eq(grpc_read(&reader, some, sizeof(some), take, &got), 0);
	ck_assert_uint_le(reader.body_room, 512);
	grpc_read_free(&reader);
}
END_TEST

START_TEST(refuses_compressed)
{
	const uint8_t prefix[GRPC_PREFIX_BYTES] = {1, 0, 0, 0, 1};
	struct grpc_reader reader = {};
	struct got got = {};

	ck_assert_int_eq(grpc_read(&reader, prefix, sizeof(prefix), take, &got), -EOPNOTSUPP);
	grpc_read_free(&reader);
}
END_TEST

static const struct {
	uint64_t ns;
	const char *text;
} times[] = {
	{0, "0n"},
	{99999999, "99999999n"},
	{100000000, "100000u"},
	{2 * NS_PER_S, "2000000u"},
	{30 * NS_PER_S, "30000000u"},
	{3600 * NS_PER_S, "3600000m"},
	{UINT64_MAX - 1, "5124095H"},
};

START_TEST(spells_timeouts)
{
	char text[GRPC_TIMEOUT_BYTES];
	uint64_t back_ns = 0;

	ck_assert_str_eq(grpc_timeout_text(text, times[_i].ns), times[_i].text);
	ck_assert_int_eq(grpc_timeout_parse(text, &back_ns), 0);
	ck_assert_uint_le(back_ns, times[_i].ns);
}
END_TEST

START_TEST(refuses_what_is_no_timeout)
{
	static const char *const wrong[] = {"",	   "n",	  "1",		"1s",  "-1S",
					    "1 S", "1SS", "123456789n", "1.5S"};
	uint64_t ns = 7;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(grpc_timeout_parse(wrong[i], &ns) == -EINVAL, "%s", wrong[i]);
	ck_assert_uint_eq(ns, 7);
	ck_assert_int_eq(grpc_timeout_parse("99999999H", &ns), 0);
	ck_assert_uint_eq(ns, UINT64_MAX);
	ck_assert_int_eq(grpc_timeout_parse("3S", &ns), 0);
	ck_assert_uint_eq(ns, 3 * NS_PER_S);
}
END_TEST

START_TEST(words_go_and_come_back)
{
	char encoded[GRPC_WORDS_BYTES], decoded[GRPC_WORDS_BYTES], much[1000];

	grpc_words_encode(encoded, "h3 is dead: 100 %\nüber");
	ck_assert_str_eq(encoded, "h3 is dead: 100 %25%0A%C3%BCber");
	ck_assert_str_eq(grpc_words_decode(decoded, encoded), "h3 is dead: 100 %\nüber");
	ck_assert_str_eq(grpc_words_decode(decoded, "%"), "%");
	ck_assert_str_eq(grpc_words_decode(decoded, "%4"), "%4");
	ck_assert_str_eq(grpc_words_decode(decoded, "%zz%00%41"), "%zz%00A");
	memset(much, '%', sizeof(much));
	much[sizeof(much) - 1] = 0;
	grpc_words_encode(encoded, much);
	ck_assert_uint_lt(strlen(encoded), GRPC_WORDS_BYTES);
	ck_assert_uint_eq(strlen(encoded) % 3, 0);
	ck_assert_uint_lt(strlen(grpc_words_decode(decoded, much)), GRPC_WORDS_BYTES);
}
END_TEST

START_TEST(names_statuses)
{
	ck_assert_str_eq(grpc_status_name(GRPC_UNAVAILABLE), "UNAVAILABLE");
	ck_assert_str_eq(grpc_status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
	ck_assert_str_eq(grpc_status_name(99), "UNKNOWN");
	ck_assert_int_eq(grpc_status_of_errno(0), GRPC_OK);
	ck_assert_int_eq(grpc_status_of_errno(-EHOSTDOWN), GRPC_UNAVAILABLE);
	ck_assert_int_eq(grpc_status_of_errno(-ENETDOWN), GRPC_UNAVAILABLE);
	ck_assert_int_eq(grpc_status_of_errno(-ETIMEDOUT), GRPC_DEADLINE_EXCEEDED);
	ck_assert_int_eq(grpc_status_of_errno(-ENOBUFS), GRPC_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(grpc_status_of_http("503"), GRPC_UNAVAILABLE);
	ck_assert_int_eq(grpc_status_of_http("418"), GRPC_UNKNOWN);
	ck_assert_int_eq(grpc_status_of_http(NULL), GRPC_UNKNOWN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("grpc");
	TCase *tcase = tcase_create("grpc");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, reads_messages_in_pieces_of_any_size, 0, 720);
	tcase_add_test(tcase, stops_when_told);
	tcase_add_test(tcase, refuses_what_is_too_long_before_taking_memory);
	tcase_add_test(tcase, memory_follows_what_has_come);
	tcase_add_test(tcase, refuses_compressed);
	tcase_add_loop_test(tcase, spells_timeouts, 0, sizeof(times) / sizeof(times[0]));
	tcase_add_test(tcase, refuses_what_is_no_timeout);
	tcase_add_test(tcase, words_go_and_come_back);
	tcase_add_test(tcase, names_statuses);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
