// SPDX-License-Identifier: BSD-2-Clause
/*
 * options.c - a table of options read into a typed struct. See options.h.
 *
 * Room: tools/knell. Pure: libc only. Called by main.c and command.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum taken {
	TAKEN_NOT,  /* not ours */
	TAKEN_ONE,  /* this word */
	TAKEN_TWO,  /* and the next, which was its value */
	TAKEN_WRONG /* ours, but wrong: why is written */
};

static void raise_flag(const struct options_spec *spec, void *values)
{
	*(bool *)((char *)values + spec->offset) = true;
}

static int store(const struct options_spec *spec, void *values, const char *text, char *why)
{
	char *field = (char *)values + spec->offset, *end;
	unsigned long number;

	if (spec->type == OPTIONS_TEXT) {
		*(const char **)field = text;
		return 0;
	}
	errno = 0;
	number = strtoul(text, &end, 10);
	if (isdigit((unsigned char)*text) && !*end && !errno && number >= spec->min &&
	    number <= spec->max) {
		*(unsigned int *)field = (unsigned int)number;
		return 0;
	}
	snprintf(why, OPTIONS_WHY_BYTES, "--%s takes a number from %u to %u, not '%.64s'",
		 spec->name, spec->min, spec->max, text);
	return -EINVAL;
}

static enum taken take_long(const struct options_spec *specs, void *values, const char *word,
			    const char *next, char *why)
{
	size_t length = strcspn(word + 2, "=");
	const char *value = word[2 + length] ? word + 2 + length + 1 : NULL;
	const struct options_spec *spec;

	for (spec = specs; spec->name; spec++)
		if (strlen(spec->name) == length && !strncmp(spec->name, word + 2, length))
			break;
	if (!spec->name)
		return TAKEN_NOT;
	if (spec->type == OPTIONS_FLAG) {
		if (!value) {
			raise_flag(spec, values);
			return TAKEN_ONE;
		}
		snprintf(why, OPTIONS_WHY_BYTES, "--%s takes no value", spec->name);
		return TAKEN_WRONG;
	}
	if (value)
		return store(spec, values, value, why) ? TAKEN_WRONG : TAKEN_ONE;
	if (next)
		return store(spec, values, next, why) ? TAKEN_WRONG : TAKEN_TWO;
	snprintf(why, OPTIONS_WHY_BYTES, "--%s needs a value: --%s %s", spec->name, spec->name,
		 spec->meta);
	return TAKEN_WRONG;
}

static const struct options_spec *flag_of(const struct options_spec *specs, char letter)
{
	for (; specs->name; specs++)
		if (specs->letter == letter && specs->type == OPTIONS_FLAG)
			return specs;
	return NULL;
}

/* -x or -xyz; all letters must be flags of ours, else the word is somebody else's. */
static enum taken take_short(const struct options_spec *specs, void *values, const char *word)
{
	const char *c;

	for (c = word + 1; *c; c++)
		if (!flag_of(specs, *c))
			return TAKEN_NOT;
	for (c = word + 1; *c; c++)
		raise_flag(flag_of(specs, *c), values);
	return TAKEN_ONE;
}

int options_parse(const struct options_spec *specs, void *values, bool lenient, int *argc,
		  char **argv, char why[OPTIONS_WHY_BYTES])
{
	char first_why[OPTIONS_WHY_BYTES] = "", this_why[OPTIONS_WHY_BYTES] = "";
	int kept = 0, i, error = 0;
	bool ended = false;
	enum taken taken;

	for (i = 0; i < *argc; i++) {
		if (ended || argv[i][0] != '-' || !argv[i][1]) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			ended = true;
			if (lenient)
				argv[kept++] = argv[i];
			continue;
		}
		if (argv[i][1] == '-')
			taken = take_long(specs, values, argv[i],
					  i + 1 < *argc ? argv[i + 1] : NULL, this_why);
		else
			taken = take_short(specs, values, argv[i]);
		if (taken == TAKEN_TWO) {
			i++;
		} else if (taken == TAKEN_NOT && lenient) {
			argv[kept++] = argv[i];
		} else if (taken != TAKEN_ONE && !error) {
			if (taken == TAKEN_NOT)
				snprintf(this_why, sizeof(this_why), "unknown option '%.64s'",
					 argv[i]);
			memcpy(first_why, this_why, sizeof(first_why));
			error = -EINVAL;
		}
	}
	*argc = kept;
	if (error)
		memcpy(why, first_why, sizeof(first_why));
	return error;
}
