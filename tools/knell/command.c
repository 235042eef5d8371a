// SPDX-License-Identifier: BSD-2-Clause
/*
 * command.c - finding a verb and printing help. See command.h.
 *
 * Room: tools/knell. May call output and options. Called by main.c and, for its complaints, by
 * every verb.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

#define NAMES_BYTES 256

static const struct options_spec no_options[] = {{0}};

enum command_status command_fail(struct command_context *context, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	output_verror(context->out, format, args);
	va_end(args);
	return COMMAND_FAILED;
}

enum command_status command_misuse(struct command_context *context, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	output_verror(context->out, format, args);
	va_end(args);
	return COMMAND_USAGE;
}

/* Names while they are compared: all, and those that begin with the word. */
struct match {
	const char *word;
	int hits;
	int found; /* index of the last hit, or of the exact one */
	bool exact;
	char names[NAMES_BYTES]; /* of the hits */
	char all[NAMES_BYTES];
};

static void append(char *list, const char *name)
{
	size_t used = strlen(list);

	snprintf(list + used, NAMES_BYTES - used, "%s%s", used ? ", " : "", name);
}

static void consider(struct match *match, const char *name, int index)
{
	append(match->all, name);
	if (strncmp(name, match->word, strlen(match->word)) || match->exact)
		return;
	match->hits++;
	match->found = index;
	match->exact = !strcmp(name, match->word);
	append(match->names, name);
}

/* Returns the index, or -1 after having complained. */
static int settle(struct command_context *context, const struct match *match, const char *what,
		  const char *help)
{
	if (match->exact || match->hits == 1)
		return match->found;
	if (match->hits)
		command_misuse(context, "%s '%.64s' is ambiguous: %s", what, match->word,
			       match->names);
	else
		command_misuse(context, "no %s '%.64s', there are: %s; see 'knell %s'", what,
			       match->word, match->all, help);
	return -1;
}

/* The index after the last object stands for "help". */
static int find_object(struct command_context *context, const struct command_object *objects,
		       const char *word)
{
	struct match match = {.word = word};
	int i;

	for (i = 0; objects[i].name; i++)
		consider(&match, objects[i].name, i);
	consider(&match, "help", i);
	return settle(context, &match, "object", "help");
}

/* The index after the last command stands for "help". */
static int find_command(struct command_context *context, const struct command_object *object,
			const char *word)
{
	struct match match = {.word = word};
	char help[64];
	int i;

	for (i = 0; object->commands[i].name; i++)
		consider(&match, object->commands[i].name, i);
	consider(&match, "help", i);
	snprintf(help, sizeof(help), "%s help", object->name);
	return settle(context, &match, "command", help);
}

static void help_option(struct output *out, const char *command, const struct options_spec *spec)
{
	char text[64];

	snprintf(text, sizeof(text), "  %c%c%c --%s%s%s", spec->letter ? '-' : ' ',
		 spec->letter ? spec->letter : ' ', spec->letter ? ',' : ' ', spec->name,
		 spec->meta ? " " : "", spec->meta ? spec->meta : "");
	output_begin(out, NULL, OUTPUT_ROW);
	/* Only where several commands share the list must each option say whose it is. */
	output_string(out, command && *command ? "" : NULL, "command", command);
	output_string(out, "", NULL, text);
	output_string(out, NULL, "name", spec->name);
	output_string(out, NULL, "value", spec->meta);
	output_string(out, "", "help", spec->help);
	output_end(out);
}

static void help_command(struct output *out, const struct command_object *object,
			 const struct command *command)
{
	char text[128];

	snprintf(text, sizeof(text), "  knell %s%s%s%s%s%s", object->name,
		 *command->name ? " " : "", command->name, command->options ? " [OPTIONS]" : "",
		 *command->arguments ? " " : "", command->arguments);
	output_begin(out, NULL, OUTPUT_ROW);
	output_string(out, "", NULL, text);
	output_string(out, NULL, "name", command->name);
	output_string(out, NULL, "arguments", command->arguments);
	output_string(out, "", "help", command->help);
	output_end(out);
}

static void help_object(struct output *out, const struct command_object *object)
{
	const struct command *command;
	const struct options_spec *spec;

	output_note(out, "knell %s: %s\n", object->name, object->help);
	output_begin(out, NULL, OUTPUT_GROUP);
	output_string(out, NULL, "name", object->name);
	output_string(out, NULL, "help", object->help);
	output_begin(out, "commands", OUTPUT_TABLE);
	for (command = object->commands; command->name; command++)
		help_command(out, object, command);
	output_end(out);
	output_note(out, "\nThese, and the options of every command (knell help):");
	output_begin(out, "options", OUTPUT_TABLE);
	for (command = object->commands; command->name; command++)
		for (spec = command->options ? command->options : no_options; spec->name; spec++)
			help_option(out, command->name, spec);
	output_end(out);
	output_end(out);
}

static void help_everything(struct output *out, const struct command_object *objects,
			    const struct options_spec *globals)
{
	const struct command_object *object;
	const struct options_spec *spec;
	char text[64];

	output_note(out, "Usage: knell [OPTIONS] OBJECT COMMAND [ARGS]\n"
			 "       knell OBJECT help\n\n"
			 "Names may be cut short while they stay unambiguous: knell p s\n\n"
			 "Objects:");
	output_begin(out, NULL, OUTPUT_GROUP);
	output_begin(out, "objects", OUTPUT_TABLE);
	for (object = objects; object->name; object++) {
		snprintf(text, sizeof(text), "  %s", object->name);
		output_begin(out, NULL, OUTPUT_ROW);
		output_string(out, "", NULL, text);
		output_string(out, NULL, "name", object->name);
		output_string(out, "", "help", object->help);
		output_end(out);
	}
	output_end(out);
	output_note(out, "\nOptions:");
	output_begin(out, "options", OUTPUT_TABLE);
	for (spec = globals; spec->name; spec++)
		help_option(out, NULL, spec);
	output_end(out);
	output_end(out);
}

enum command_status command_help(struct command_context *context,
				 const struct command_object *objects,
				 const struct options_spec *globals, const char *name)
{
	int index;

	if (!name) {
		help_everything(context->out, objects, globals);
		return COMMAND_OK;
	}
	index = find_object(context, objects, name);
	if (index < 0)
		return COMMAND_USAGE;
	if (objects[index].name)
		help_object(context->out, &objects[index]);
	else
		help_everything(context->out, objects, globals);
	return COMMAND_OK;
}

static enum command_status call(struct command_context *context,
				const struct command_object *object, const struct command *command,
				int argc, char **argv)
{
	char why[OPTIONS_WHY_BYTES], verb[64];
	enum command_status status;
	void *values = calloc(1, command->values_bytes ? command->values_bytes : 1);

	snprintf(verb, sizeof(verb), "knell %s%s%s", object->name, *command->name ? " " : "",
		 command->name);
	if (!values)
		status = command_fail(context, "out of memory");
	else if (options_parse(command->options ? command->options : no_options, values, false,
			       &argc, argv, why))
		status = command_misuse(context, "%s; see 'knell %s help'", why, object->name);
	else if (argc < command->min_args)
		status = command_misuse(context, "too few arguments: %s %s", verb,
					command->arguments);
	else if (argc > command->max_args)
		status = command_misuse(context, "argument '%.64s' is one too many: %s%s%s",
					argv[command->max_args], verb,
					*command->arguments ? " " : "", command->arguments);
	else
		status = command->run(context, values, argc, argv);
	free(values);
	return status;
}

enum command_status command_run(struct command_context *context,
				const struct command_object *objects,
				const struct options_spec *globals, int argc, char **argv)
{
	const struct command_object *object;
	const struct command *command;
	int index;

	if (!argc)
		return command_misuse(context, "no object given; see 'knell help'");
	index = find_object(context, objects, argv[0]);
	if (index < 0)
		return COMMAND_USAGE;
	object = &objects[index];
	if (!object->name)
		return command_help(context, objects, globals, argc > 1 ? argv[1] : NULL);
	if (argc > 1 && !strcmp(argv[1], "help"))
		return command_help(context, objects, globals, object->name);
	command = object->commands;
	argc--, argv++;
	/* An option here belongs to the first command, as in `knell event --count 3`. */
	if (*command->name && argc && argv[0][0] != '-') {
		index = find_command(context, object, argv[0]);
		if (index < 0)
			return COMMAND_USAGE;
		command = &object->commands[index];
		argc--, argv++;
	}
	if (!command->name)
		return command_help(context, objects, globals, object->name);
	return call(context, object, command, argc, argv);
}
