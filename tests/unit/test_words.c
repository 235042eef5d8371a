// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_words.c - states, reasons, addresses and times in words, and prefixes as people write them.
 *
 * Room: tests. Calls agent/text/words and agent/detect/address alone.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/address.h"
#include "text/words.h"

START_TEST(every_number_has_its_own_word)
{
	unsigned int i, j;

	for (i = 0; i < VERDICT_STATES; i++) {
		ck_assert_str_ne(words_state(i), "unknown");
		for (j = 0; j < i; j++)
			ck_assert_str_ne(words_state(i), words_state(j));
	}
	for (i = 0; i < VERDICT_REASONS; i++) {
		ck_assert_str_ne(words_reason(i), "unknown");
		for (j = 0; j < i; j++)
			ck_assert_str_ne(words_reason(i), words_reason(j));
	}
	for (i = 0; i < KNELL_STATS; i++) {
		ck_assert_str_ne(words_stat(i), "unknown");
		for (j = 0; j < i; j++)
			ck_assert_str_ne(words_stat(i), words_stat(j));
	}
	ck_assert_str_eq(words_state(VERDICT_STATES), "unknown");
	ck_assert_str_eq(words_reason(VERDICT_REASONS), "unknown");
	ck_assert_str_eq(words_stat(~0U), "unknown");
}
END_TEST

static const struct {
	__u64 ns;
	const char *text;
} ages[] = {
	{0, "0 s"},
	{999, "999 ns"},
	{1000, "1.00 us"},
	{12345, "12.3 us"},
	{999999, "999 us"},
	{1000000, "1.00 ms"},
	{204000000, "204 ms"},
	{1234000000, "1.23 s"},
	{59999000000, "60.0 s"},
	{60000000000, "1 min 0 s"},
	{3599000000000, "59 min 59 s"},
	{3600000000000, "1 h 0 min"},
	{90000000000000, "1 d 1 h"},
	{~0ULL, "213503 d 23 h"},
};

START_TEST(age)
{
	char text[WORDS_AGE_BYTES];

	ck_assert_str_eq(words_age(text, sizeof(text), ages[_i].ns), ages[_i].text);
}
END_TEST

START_TEST(size_has_three_digits)
{
	static const struct {
		__u64 bytes;
		const char *text;
	} sizes[] = {
		{0, "0 B"},
		{999, "999 B"},
		{1000, "0.98 KiB"},
		{1536, "1.50 KiB"},
		{99 << 10, "99.0 KiB"},
		{999 << 10, "999 KiB"},
		{1000 << 10, "0.98 MiB"},
		{3ULL << 39, "1.50 TiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	char text[WORDS_SIZE_BYTES];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ck_assert_str_eq(words_size(text, sizeof(text), sizes[i].bytes), sizes[i].text);
}
END_TEST

START_TEST(figures)
{
	char text[WORDS_WALL_BYTES];

	ck_assert_str_eq(words_phi(text, sizeof(text), 12345), "12.3");
	ck_assert_str_eq(words_phi(text, sizeof(text), 99), "0.0");
	ck_assert_str_eq(words_loss(text, sizeof(text), 1000), "0.10 %");
	ck_assert_str_eq(words_loss(text, sizeof(text), VERDICT_PPM), "100.00 %");
	ck_assert_str_eq(words_wall(text, sizeof(text), 1767323045678999999ULL),
			 "2026-01-02T03:04:05.678Z");
}
END_TEST

static const char *const addresses[][2] = {
	{"10.77.0.2", "10.77.0.2"},
	{"::ffff:10.77.0.2", "10.77.0.2"},
	{"fd00::1", "fd00::1"},
	{"0.0.0.0", "0.0.0.0"},
	{"::", "::"},
};

START_TEST(address_there_and_back)
{
	__u8 addr[KNELL_ADDR_BYTES];
	char text[WORDS_ADDRESS_BYTES];

	ck_assert_int_eq(words_address_parse(addresses[_i][0], addr), 0);
	ck_assert_str_eq(words_address(text, sizeof(text), addr), addresses[_i][1]);
}
END_TEST

static const char *const no_addresses[] = {
	"",  "10.77.0",	     "10.77.0.256", "10.77.0.2 ", "fe80::1%eth0",
	"a", "10.77.0.2:80", "010.1.1.1x",
};

START_TEST(what_is_no_address_leaves_the_output_alone)
{
	__u8 addr[KNELL_ADDR_BYTES], before[KNELL_ADDR_BYTES];

	memset(addr, 0x5a, sizeof(addr));
	memcpy(before, addr, sizeof(addr));
	ck_assert_int_eq(words_address_parse(no_addresses[_i], addr), -EINVAL);
	ck_assert_mem_eq(addr, before, sizeof(addr));
}
END_TEST

static const struct {
	const char *text;
	__u32 bits;
	const char *back;
} prefixes[] = {
	{"10.77.0.2", 128, "10.77.0.2"},
	{"10.77.0.2/32", 128, "10.77.0.2"},
	{"10.77.0.0/24", 120, "10.77.0.0/24"},
	{"0.0.0.0/0", 96, "0.0.0.0/0"},
	{"10.77.0.128/25", 121, "10.77.0.128/25"},
	{"::ffff:10.77.0.0/120", 120, "10.77.0.0/24"},
	{"::ffff:10.77.0.2", 128, "10.77.0.2"},
	{"fd00::/64", 64, "fd00::/64"},
	{"fd00::1", 128, "fd00::1"},
	{"::/0", 0, "::/0"},
	{"fd00::8000:0/97", 97, "fd00::8000:0/97"},
};

START_TEST(prefix_there_and_back)
{
	char why[ADDRESS_WHY_BYTES], text[WORDS_PREFIX_BYTES];
	struct knell_watch_key key;

	ck_assert_int_eq(address_prefix(prefixes[_i].text, &key, why), 0);
	ck_assert_uint_eq(key.prefix_bits, prefixes[_i].bits);
	ck_assert_str_eq(words_prefix(text, sizeof(text), &key), prefixes[_i].back);
}
END_TEST

static const struct {
	const char *text;
	const char *hint; /* what the complaint must name */
} no_prefixes[] = {
	{"10.77.0.5/24", "10.77.0.0/24"},
	{"fd00::1/64", "fd00::/64"},
	{"::ffff:10.77.0.5/120", "10.77.0.0/24"},
	{"10.77.0.0/33", "32"},
	{"fd00::/129", "128"},
	{"10.77.0.0/", "32"},
	{"10.77.0.0/-1", "32"},
	{"10.77.0.0/+8", "32"},
	{"10.77.0.0/8 ", "32"},
	{"10.77.0.0/00000000000000000000000024", "32"},
	{"10.77.0.0/24/24", "32"},
	{"10.77/16", "neither"},
	{"", "neither"},
	{"/24", "neither"},
	{"host", "neither"},
	{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd", "neither"},
};

START_TEST(what_is_no_prefix_is_refused_with_a_way_out)
{
	struct knell_watch_key key = {.prefix_bits = 7};
	char why[ADDRESS_WHY_BYTES] = "";

	ck_assert_int_eq(address_prefix(no_prefixes[_i].text, &key, why), -EINVAL);
	ck_assert_uint_eq(key.prefix_bits, 7);
	ck_assert_msg(strstr(why, no_prefixes[_i].hint) != NULL, "'%s' does not name '%s'", why,
		      no_prefixes[_i].hint);
}
END_TEST

static struct knell_record sample(void)
{
	struct knell_record record = {
		.kind = KNELL_RECORD_VERDICT,
		.seq = 5,
		.ts_ns = 2000000000,
		.epoch = 2,
		.from = VERDICT_LOST,
		.to = VERDICT_DEAD,
		.reason = VERDICT_REASON_RETRANSMIT,
		.phi_md = 12345,
		.sends = 6,
		.tuples = 2,
		.heard_ns = 1500000000,
		.local_port = 40112,
		.remote_port = 7400,
	};

	words_address_parse("10.77.0.2", record.key.addr);
	return record;
}

START_TEST(record_as_a_line)
{
	struct knell_record record = sample();
	char text[WORDS_RECORD_BYTES];

	ck_assert_str_eq(words_record_text(text, sizeof(text), &record, "b"),
			 "peer b (10.77.0.2): lost -> dead: retransmission unanswered; phi 12.3, "
			 "6 unanswered on 2 five-tuples, heard 500 ms before, epoch 2, verdict 5");
	record.kind = KNELL_RECORD_STALLED;
	record.heard_ns = 0;
	record.tuples = 1;
	ck_assert_str_eq(words_record_text(text, sizeof(text), &record, NULL),
			 "peer 10.77.0.2: connection 40112 -> 7400 stalled: retransmission "
			 "unanswered; phi 12.3, 6 unanswered on 1 five-tuple, never heard, "
			 "epoch 2, verdict 5");
}
END_TEST

START_TEST(verdict_for_those_it_concerns)
{
	struct knell_record record = sample();
	char text[WORDS_RECORD_BYTES], tiny[8];

	record.began_ns = 1480000000;
	ck_assert_str_eq(words_verdict(text, sizeof(text), &record, "b"),
			 "b is dead: retransmission unanswered, phi 12.3, 6 unanswered on 2 "
			 "tuples, silent 520 ms");
	record.to = VERDICT_LOST;
	record.tuples = 1;
	record.began_ns = 0;
	ck_assert_str_eq(words_verdict(text, sizeof(text), &record, NULL),
			 "10.77.0.2 is lost: retransmission unanswered, phi 12.3, 6 unanswered on "
			 "1 tuple");
	record.to = VERDICT_ISOLATED;
	record.reason = VERDICT_REASON_LINK;
	record.sends = 0;
	ck_assert_str_eq(words_verdict(text, sizeof(text), &record, "b"),
			 "this node is isolated, b is out of its reach: own link changed");
	record = sample();
	record.kind = KNELL_RECORD_STALLED;
	ck_assert_str_eq(words_verdict(text, sizeof(text), &record, "b"),
			 "the connection from port 40112 to b has stalled: retransmission "
			 "unanswered, phi 12.3, 6 unanswered on 2 tuples");
	ck_assert_str_eq(words_verdict(tiny, sizeof(tiny), &record, "b"), "the con");
}
END_TEST

START_TEST(key_and_short_buffers)
{
	struct knell_peer_key key = {.netns = 4097};
	struct knell_record record = sample();
	char text[WORDS_KEY_BYTES], tiny[8];

	words_address_parse("10.77.0.2", key.addr);
	ck_assert_str_eq(words_key(text, sizeof(text), &key), "10.77.0.2 (netns 4097)");
	ck_assert_str_eq(words_key(tiny, sizeof(tiny), &key), "10.77.0");
	ck_assert_str_eq(words_address(tiny, sizeof(tiny), key.addr), "10.77.0");
	ck_assert_str_eq(words_record_text(tiny, sizeof(tiny), &record, "b"), "peer b ");
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("words");
	TCase *cases = tcase_create("words");
	SRunner *runner;
	int failed;

	tcase_add_test(cases, every_number_has_its_own_word);
	tcase_add_loop_test(cases, age, 0, COUNT(ages));
	tcase_add_test(cases, size_has_three_digits);
	tcase_add_test(cases, figures);
	tcase_add_loop_test(cases, address_there_and_back, 0, COUNT(addresses));
	tcase_add_loop_test(cases, what_is_no_address_leaves_the_output_alone, 0,
			    COUNT(no_addresses));
	tcase_add_loop_test(cases, prefix_there_and_back, 0, COUNT(prefixes));
	tcase_add_loop_test(cases, what_is_no_prefix_is_refused_with_a_way_out, 0,
			    COUNT(no_prefixes));
	tcase_add_test(cases, record_as_a_line);
	tcase_add_test(cases, verdict_for_those_it_concerns);
	tcase_add_test(cases, key_and_short_buffers);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
