// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_options.c - a table of options is read into its struct, and wrong ones are named.
 *
 * Room: tests. Calls tools/knell/options alone.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/knell/options.h"

#define WORDS_MAX 8

struct values {
	bool json, pretty;
	const char *pin;
	unsigned int count;
};

static const struct options_spec specs[] = {
	{.name = "json",
	 .letter = 'j',
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct values, json)},
	{.name = "pretty",
	 .letter = 'p',
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct values, pretty)},
	{.name = "pin",
	 .type = OPTIONS_TEXT,
	 .offset = offsetof(struct values, pin),
	 .meta = "DIR"},
	{.name = "count",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct values, count),
	 .meta = "N",
	 .min = 1,
	 .max = 10},
	{0},
};

struct parsed {
	struct values values;
	char line[128]; /* taken apart in place */
	char *argv[WORDS_MAX];
	int argc;
	char why[OPTIONS_WHY_BYTES];
	int error;
};

static void parse(struct parsed *parsed, const char *line, bool lenient)
{
	char *word, *rest = NULL;

	memset(parsed, 0, sizeof(*parsed));
	strncpy(parsed->line, line, sizeof(parsed->line) - 1);
	for (word = strtok_r(parsed->line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		parsed->argv[parsed->argc++] = word;
	parsed->error = options_parse(specs, &parsed->values, lenient, &parsed->argc, parsed->argv,
				      parsed->why);
}

START_TEST(options_and_arguments_may_mix)
{
	struct parsed parsed;

	parse(&parsed, "peer --pin /x -j show --count=3", false);
	ck_assert_int_eq(parsed.error, 0);
	ck_assert(parsed.values.json && !parsed.values.pretty);
	ck_assert_str_eq(parsed.values.pin, "/x");
	ck_assert_uint_eq(parsed.values.count, 3);
	ck_assert_int_eq(parsed.argc, 2);
	ck_assert_str_eq(parsed.argv[0], "peer");
	ck_assert_str_eq(parsed.argv[1], "show");
}
END_TEST

START_TEST(letters_join)
{
	struct parsed parsed;

	parse(&parsed, "-jp", false);
	ck_assert_int_eq(parsed.error, 0);
	ck_assert(parsed.values.json && parsed.values.pretty);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	struct parsed parsed;

	parse(&parsed, "-- -j", false);
	ck_assert_int_eq(parsed.error, 0);
	ck_assert(!parsed.values.json);
	ck_assert_int_eq(parsed.argc, 1);
	ck_assert_str_eq(parsed.argv[0], "-j");
}
END_TEST

START_TEST(lenient_leaves_what_it_does_not_know)
{
	struct parsed parsed;

	parse(&parsed, "load --profile lan -j -x -- -p", true);
	ck_assert_int_eq(parsed.error, 0);
	ck_assert(parsed.values.json && !parsed.values.pretty);
	ck_assert_int_eq(parsed.argc, 6);
	ck_assert_str_eq(parsed.argv[1], "--profile");
	ck_assert_str_eq(parsed.argv[3], "-x");
	ck_assert_str_eq(parsed.argv[4], "--");
}
END_TEST

static const struct {
	const char *line;
	const char *hint;
} wrong[] = {
	{"--nope", "--nope"},	{"-x", "-x"},		{"-jx", "-jx"},
	{"--pin", "--pin DIR"}, {"--json=1", "--json"}, {"--count 0", "from 1 to 10"},
	{"--count 11", "'11'"}, {"--count x", "'x'"},	{"--count 3x", "'3x'"},
	{"--count -3", "'-3'"}, {"--count=", "''"},	{"--count 99999999999999999999", "10"},
	{"--coun 3", "--coun"}, {"--jsonx", "--jsonx"},
};

START_TEST(wrong_options_are_named)
{
	struct parsed parsed;

	parse(&parsed, wrong[_i].line, false);
	ck_assert_int_eq(parsed.error, -EINVAL);
	ck_assert_msg(strstr(parsed.why, wrong[_i].hint) != NULL, "'%s' does not name '%s'",
		      parsed.why, wrong[_i].hint);
	ck_assert_uint_eq(parsed.values.count, 0);
}
END_TEST

START_TEST(the_first_mistake_is_told_and_the_rest_still_read)
{
	struct parsed parsed;

	parse(&parsed, "--count 0 --nope -j", false);
	ck_assert_int_eq(parsed.error, -EINVAL);
	ck_assert_ptr_nonnull(strstr(parsed.why, "--count"));
	ck_assert(parsed.values.json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *cases = tcase_create("options");
	SRunner *runner;
	int failed;

	tcase_add_test(cases, options_and_arguments_may_mix);
	tcase_add_test(cases, letters_join);
	tcase_add_test(cases, two_dashes_end_the_options);
	tcase_add_test(cases, lenient_leaves_what_it_does_not_know);
	tcase_add_loop_test(cases, wrong_options_are_named, 0,
			    (int)(sizeof(wrong) / sizeof(wrong[0])));
	tcase_add_test(cases, the_first_mistake_is_told_and_the_rest_still_read);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
