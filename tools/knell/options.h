/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - a table of options read into a typed struct before the verb runs.
 *
 * Room: tools/knell. Pure: libc only. Called by main.c (options of every verb) and command.c
 * (options of one verb). Help is printed from the same table.
 */
#ifndef KNELL_OPTIONS_H
#define KNELL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_WHY_BYTES 256

enum options_type {
	OPTIONS_FLAG,	/* bool */
	OPTIONS_TEXT,	/* const char *, borrowed from argv */
	OPTIONS_NUMBER, /* unsigned int within [min, max] */
};

struct options_spec {
	const char *name; /* without the dashes; NULL ends the table */
	char letter;	  /* 0: none */
	enum options_type type;
	size_t offset;	  /* within the struct of values */
	const char *meta; /* what help calls the value */
	const char *help;
	unsigned int min, max;
};

/**
 * options_parse - take the options of @specs out of @argv and write them into @values.
 *
 * Understands --name VALUE, --name=VALUE, -x and -xy for flags; "--" ends the options. *@argc and
 * @argv are left with the arguments in their order. With @lenient, what no spec knows stays in
 * @argv (and so does "--"); otherwise it is an error. Returns 0, or -EINVAL with one line in @why;
 * then the arguments that follow the culprit have still been read.
 */
int options_parse(const struct options_spec *specs, void *values, bool lenient, int *argc,
		  char **argv, char why[OPTIONS_WHY_BYTES]);

#endif
