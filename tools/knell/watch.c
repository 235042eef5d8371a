// SPDX-License-Identifier: BSD-2-Clause
/*
 * watch.c - knell watch: the prefixes whose hosts are peers.
 *
 * Room: tools/knell. May call detect/pins, detect/address, agent. Called through the table of
 * main.c.
 */
#include <errno.h>
#include <string.h>

#include "detect/address.h"
#include "agent.h"
#include "instance.h"
#include "objects.h"
#include "text/words.h"

static int show_one(void *ctx, const struct knell_watch_key *key, const struct knell_watch *watch)
{
	char prefix[WORDS_PREFIX_BYTES];
	struct output *out = ctx;

	output_begin(out, NULL, OUTPUT_ROW);
	output_string(out, "prefix", "prefix", words_prefix(prefix, sizeof(prefix), key));
	output_boolean(out, "shared", "shared", watch->flags & KNELL_WATCH_SHARED);
	output_boolean(out, "configured", "configured", watch->flags & KNELL_WATCH_CONFIGURED);
	output_end(out);
	return 0;
}

static enum command_status run_show(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	struct pins pins = PINS_CLOSED;
	enum command_status status = instance_open(context, &pins);
	int error;

	(void)values, (void)argc, (void)argv;
	if (status)
		return status;
	output_begin(context->out, NULL, OUTPUT_TABLE);
	error = pins_each_watch(&pins, show_one, context->out);
	if (error)
		status = command_fail(context, "cannot read the watch list: %s", strerror(-error));
	else
		output_end(context->out);
	pins_close(&pins);
	return status;
}

struct search {
	const struct knell_watch_key *key;
	__u32 flags;
};

static int find_one(void *ctx, const struct knell_watch_key *key, const struct knell_watch *watch)
{
	struct search *search = ctx;

	if (memcmp(key, search->key, sizeof(*key)))
		return 0;
	search->flags = watch->flags;
	return 1;
}

/* Flags of the prefix as it stands, 0 when it does not. */
static __u32 present_flags(const struct pins *pins, const struct knell_watch_key *key)
{
	struct search search = {.key = key};

	pins_each_watch(pins, find_one, &search);
	return search.flags;
}

/* What `add` and `del` answer: nothing for people, the prefix for programs. */
static void answer(struct command_context *context, const struct knell_watch_key *key, __u32 flags)
{
	char prefix[WORDS_PREFIX_BYTES];

	output_begin(context->out, NULL, OUTPUT_GROUP);
	output_string(context->out, NULL, "prefix", words_prefix(prefix, sizeof(prefix), key));
	output_boolean(context->out, NULL, "shared", flags & KNELL_WATCH_SHARED);
	output_end(context->out);
}

static enum command_status run_add(struct command_context *context, const void *values, int argc,
				   char **argv)
{
	struct pins pins = PINS_CLOSED;
	char why[ADDRESS_WHY_BYTES];
	struct knell_watch_key key;
	enum command_status status;
	__u32 flags = 0;
	int error;

	(void)values;
	if (address_prefix(argv[0], &key, why))
		return command_misuse(context, "%s", why);
	if (argc > 1 && strcmp(argv[1], "shared"))
		return command_misuse(context,
				      "'%.64s' is not understood: knell watch add PREFIX "
				      "[shared]",
				      argv[1]);
	if (argc > 1)
		flags |= KNELL_WATCH_SHARED;
	status = instance_open(context, &pins);
	if (status)
		return status;
	/* What the agent configured stays its own, whoever adds it once more. */
	flags |= present_flags(&pins, &key) & KNELL_WATCH_CONFIGURED;
	error = pins_watch_add(&pins, &key, flags);
	if (error == -E2BIG || error == -ENOSPC)
		status = command_fail(context,
				      "the watch list is full (%u prefixes): watch a wider prefix, "
				      "or take one out with 'knell watch del'",
				      KNELL_WATCH_MAX);
	else if (error)
		status = command_fail(context, "cannot watch %s: %s", argv[0], strerror(-error));
	else
		answer(context, &key, flags);
	pins_close(&pins);
	return status;
}

static enum command_status run_del(struct command_context *context, const void *values, int argc,
				   char **argv)
{
	struct pins pins = PINS_CLOSED;
	char why[ADDRESS_WHY_BYTES];
	struct knell_watch_key key;
	enum command_status status;
	__u32 flags;
	int error;

	(void)values, (void)argc;
	if (address_prefix(argv[0], &key, why))
		return command_misuse(context, "%s", why);
	status = instance_open(context, &pins);
	if (status)
		return status;
	flags = present_flags(&pins, &key);
	if (flags & KNELL_WATCH_CONFIGURED && agent_runs(context)) {
		status = command_fail(context,
				      "%s belongs to a peer that the running agent has configured: "
				      "take it out of the agent's configuration",
				      argv[0]);
		goto out;
	}
	error = pins_watch_del(&pins, &key);
	if (error == -ENOENT)
		status =
			command_fail(context, "%s is not watched: see 'knell watch show'", argv[0]);
	else if (error)
		status = command_fail(context, "cannot take out %s: %s", argv[0], strerror(-error));
	else
		answer(context, &key, flags);
out:
	pins_close(&pins);
	return status;
}

const struct command watch_commands[] = {
	{"show", "", "list the watched prefixes", 0, 0, NULL, 0, run_show},
	{"add", "PREFIX [shared]",
	 "watch a prefix; shared: many hosts behind one address, so RST proves nothing", 1, 2, NULL,
	 0, run_add},
	{"del", "PREFIX", "watch it no longer, and forget its peers", 1, 1, NULL, 0, run_del},
	{0},
};
