// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_output.c - one call per field gives the right text and the right JSON.
 *
 * Room: tests. Calls tools/knell/output and layout alone, on memory streams.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/knell/output.h"

struct streams {
	char *text, *errors;
	size_t text_size, errors_size;
	FILE *file, *error_file;
	struct output out;
};

static void streams_open(struct streams *streams, bool json)
{
	memset(streams, 0, sizeof(*streams));
	streams->file = open_memstream(&streams->text, &streams->text_size);
	streams->error_file = open_memstream(&streams->errors, &streams->errors_size);
	ck_assert_ptr_nonnull(streams->file);
	ck_assert_ptr_nonnull(streams->error_file);
	output_init(&streams->out, streams->file, streams->error_file);
	streams->out.json = json;
}

static void streams_close(struct streams *streams)
{
	fclose(streams->file);
	fclose(streams->error_file);
	free(streams->text);
	free(streams->errors);
}

/* Ends the output and compares what was written. */
static void expect(struct streams *streams, const char *text, const char *errors)
{
	ck_assert_int_eq(output_finish(&streams->out), 0);
	fflush(streams->error_file);
	ck_assert_str_eq(streams->text, text);
	ck_assert_str_eq(streams->errors ? streams->errors : "", errors);
	streams_close(streams);
}

static void write_row(struct output *out, const char *name, unsigned int count)
{
	output_begin(out, NULL, OUTPUT_ROW);
	output_string(out, "name", "name", name);
	output_number(out, "count", "count", count);
	output_measure(out, "+age", "age_us", 1500, "1.50 ms");
	output_boolean(out, "shared", "shared", count > 1);
	output_end(out);
}

static void write_table(struct output *out)
{
	output_begin(out, NULL, OUTPUT_TABLE);
	write_row(out, "a", 1);
	write_row(out, "longer", 1000);
	output_end(out);
}

START_TEST(table_as_text)
{
	struct streams streams;

	streams_open(&streams, false);
	write_table(&streams.out);
	expect(&streams,
	       "name    count      age  shared\n"
	       "a           1  1.50 ms  -\n"
	       "longer   1000  1.50 ms  yes\n",
	       "");
}
END_TEST

START_TEST(table_as_json)
{
	struct streams streams;

	streams_open(&streams, true);
	write_table(&streams.out);
	expect(&streams,
	       "[{\"name\":\"a\",\"count\":1,\"age_us\":1500,\"shared\":false},"
	       "{\"name\":\"longer\",\"count\":1000,\"age_us\":1500,\"shared\":true}]\n",
	       "");
}
END_TEST

START_TEST(details_give_way_to_a_narrow_terminal)
{
	struct streams streams;

	streams_open(&streams, false);
	streams.out.width = 25;
	write_table(&streams.out);
	expect(&streams,
	       "name    count  shared\n"
	       "a           1  -\n"
	       "longer   1000  yes\n",
	       "");
}
END_TEST

START_TEST(empty_table)
{
	struct streams streams;
	int json;

	for (json = 0; json < 2; json++) {
		streams_open(&streams, json);
		output_begin(&streams.out, NULL, OUTPUT_TABLE);
		output_end(&streams.out);
		expect(&streams, json ? "[]\n" : "", "");
	}
}
END_TEST

static void write_blocks(struct output *out)
{
	output_begin(out, NULL, OUTPUT_GROUP);
	output_begin(out, "list", OUTPUT_LIST);
	output_begin(out, NULL, OUTPUT_BLOCK);
	output_string(out, "name", "name", NULL);
	output_absent(out, "heard", "heard_us", "never");
	output_end(out);
	output_begin(out, NULL, OUTPUT_BLOCK);
	output_numbers(out, "tuples", "tuples", (const uint32_t[]){7, 4294967295U}, 2);
	output_string(out, NULL, "quiet", "json only");
	output_string(out, "loud", NULL, "text only");
	output_end(out);
	output_end(out);
	output_begin(out, "node", OUTPUT_LINE);
	output_number(out, "peers", "peers", 2);
	output_string(out, "", "link", "up");
	output_end(out);
	output_end(out);
}

START_TEST(blocks_and_lines_as_text)
{
	struct streams streams;

	streams_open(&streams, false);
	write_blocks(&streams.out);
	expect(&streams,
	       "name   -\n"
	       "heard  never\n"
	       "\n"
	       "tuples  7 4294967295\n"
	       "loud    text only\n"
	       "peers 2  up\n",
	       "");
}
END_TEST

START_TEST(blocks_and_lines_as_json)
{
	struct streams streams;

	streams_open(&streams, true);
	write_blocks(&streams.out);
	expect(&streams,
	       "{\"list\":[{\"name\":null,\"heard_us\":null},"
	       "{\"tuples\":[7,4294967295],\"quiet\":\"json only\"}],"
	       "\"node\":{\"peers\":2,\"link\":\"up\"}}\n",
	       "");
}
END_TEST

START_TEST(every_outermost_container_is_a_line_of_its_own)
{
	struct streams streams;
	unsigned int i;

	streams_open(&streams, true);
	for (i = 0; i < 2; i++) {
		output_begin(&streams.out, NULL, OUTPUT_LINE);
		output_number(&streams.out, "n", "n", i);
		output_end(&streams.out);
		/* Whoever reads a pipe sees the line at once. */
		ck_assert_ptr_nonnull(strstr(streams.text, i ? "{\"n\":1}\n" : "{\"n\":0}\n"));
	}
	expect(&streams, "{\"n\":0}\n{\"n\":1}\n", "");
}
END_TEST

START_TEST(pretty_json)
{
	struct streams streams;

	streams_open(&streams, true);
	streams.out.pretty = true;
	output_begin(&streams.out, NULL, OUTPUT_BLOCK);
	output_number(&streams.out, "n", "n", 1);
	output_end(&streams.out);
	expect(&streams, "{\n  \"n\": 1\n}\n", "");
}
END_TEST

START_TEST(an_error_discards_what_was_open)
{
	struct streams streams;

	streams_open(&streams, true);
	output_begin(&streams.out, NULL, OUTPUT_TABLE);
	write_row(&streams.out, "half", 1);
	output_error(&streams.out, "no \"%s\"", "luck");
	output_end(&streams.out);
	expect(&streams, "{\"error\":\"no \\\"luck\\\"\"}\n", "");

	streams_open(&streams, false);
	output_begin(&streams.out, NULL, OUTPUT_TABLE);
	write_row(&streams.out, "half", 1);
	output_error(&streams.out, "no luck");
	output_end(&streams.out);
	expect(&streams, "", "knell: no luck\n");
}
END_TEST

START_TEST(notes_are_for_people_remarks_stay_off_stdout)
{
	struct streams streams;
	int json;

	for (json = 0; json < 2; json++) {
		streams_open(&streams, json);
		output_note(&streams.out, "note %d", 1);
		output_remark(&streams.out, "remark %d", 2);
		expect(&streams, json ? "" : "note 1\n", "knell: remark 2\n");
	}
}
END_TEST

START_TEST(hostile_text_neither_steers_the_terminal_nor_breaks_json)
{
	struct streams streams;

	streams_open(&streams, false);
	output_begin(&streams.out, NULL, OUTPUT_LINE);
	output_string(&streams.out, "", "name", "a\x1b[2J\nb");
	output_end(&streams.out);
	expect(&streams, "a?[2J?b\n", "");

	streams_open(&streams, true);
	output_begin(&streams.out, NULL, OUTPUT_LINE);
	output_string(&streams.out, "", "name", "a\xff\n");
	output_end(&streams.out);
	expect(&streams, "{\"name\":\"a?\\n\"}\n", "");
}
END_TEST

START_TEST(wide_letters_count_once)
{
	struct streams streams;

	streams_open(&streams, false);
	output_begin(&streams.out, NULL, OUTPUT_TABLE);
	write_row(&streams.out, "\xc3\xa4\xc3\xb6", 1);
	write_row(&streams.out, "ab", 2);
	output_end(&streams.out);
	expect(&streams,
	       "name  count      age  shared\n"
	       "\xc3\xa4\xc3\xb6        1  1.50 ms  -\n"
	       "ab        2  1.50 ms  yes\n",
	       "");
}
END_TEST

START_TEST(a_full_disk_is_noticed)
{
	struct output out;
	FILE *full = fopen("/dev/full", "w");

	if (!full)
		return;
	output_init(&out, full, stderr);
	output_begin(&out, NULL, OUTPUT_LINE);
	output_number(&out, "n", "n", 1);
	output_end(&out);
	ck_assert_int_eq(output_finish(&out), -ENOSPC);
	fclose(full);
}
END_TEST

START_TEST(too_deep_is_an_error_and_no_overrun)
{
	struct streams streams;
	int i;

	streams_open(&streams, true);
	for (i = 0; i <= OUTPUT_DEPTH_MAX; i++)
		output_begin(&streams.out, "deeper", OUTPUT_GROUP);
	ck_assert_int_eq(output_finish(&streams.out), -E2BIG);
	streams_close(&streams);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("output");
	TCase *cases = tcase_create("output");
	SRunner *runner;
	int failed;

	tcase_add_test(cases, table_as_text);
	tcase_add_test(cases, table_as_json);
	tcase_add_test(cases, details_give_way_to_a_narrow_terminal);
	tcase_add_test(cases, empty_table);
	tcase_add_test(cases, blocks_and_lines_as_text);
	tcase_add_test(cases, blocks_and_lines_as_json);
	tcase_add_test(cases, every_outermost_container_is_a_line_of_its_own);
	tcase_add_test(cases, pretty_json);
	tcase_add_test(cases, an_error_discards_what_was_open);
	tcase_add_test(cases, notes_are_for_people_remarks_stay_off_stdout);
	tcase_add_test(cases, hostile_text_neither_steers_the_terminal_nor_breaks_json);
	tcase_add_test(cases, wide_letters_count_once);
	tcase_add_test(cases, a_full_disk_is_noticed);
	tcase_add_test(cases, too_deep_is_an_error_and_no_overrun);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
