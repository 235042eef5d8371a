/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command.h - what a verb is, how one is found by name or prefix, and how help is printed.
 *
 * Room: tools/knell. May call output and options. Called by main.c; every file of an object fills
 * these tables. Help, man page and completion are checked against them by tests/lab/test_cli.sh.
 */
#ifndef KNELL_COMMAND_H
#define KNELL_COMMAND_H

#include <stdbool.h>

#include "options.h"
#include "output.h"

/* Exit status of the program. */
enum command_status {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,
	COMMAND_USAGE = 2,
};

/* What the options of every verb settled. */
struct command_context {
	struct output *out;
	const char *pin_dir;
	const char *socket_path;
};

struct command {
	const char *name;      /* "" when the object is the verb; NULL ends the table */
	const char *arguments; /* as help shows them, "" for none */
	const char *help;
	int min_args, max_args;
	const struct options_spec *options; /* NULL: none */
	size_t values_bytes;		    /* of the struct that they fill */
	enum command_status (*run)(struct command_context *context, const void *values, int argc,
				   char **argv);
};

struct command_object {
	const char *name; /* NULL ends the table */
	const char *help;
	const struct command *commands; /* the first one runs when none is named */
};

/** command_run - find object and command in @argv, read its options, run it. */
enum command_status command_run(struct command_context *context,
				const struct command_object *objects,
				const struct options_spec *globals, int argc, char **argv);

/**
 * command_help - print help: of everything when @name is NULL, else of that object.
 *
 * COMMAND_USAGE when there is no such object.
 */
enum command_status command_help(struct command_context *context,
				 const struct command_object *objects,
				 const struct options_spec *globals, const char *name);

/** command_fail / command_misuse - say why and give the status to return. */
enum command_status command_fail(struct command_context *context, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
enum command_status command_misuse(struct command_context *context, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
