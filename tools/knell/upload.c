// SPDX-License-Identifier: BSD-2-Clause
/*
 * upload.c - knell upload: what clients are sending to this node, and where the copies are.
 *
 * Room: tools/knell. May call agent, field, text/words. Called through the table of main.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "field.h"
#include "objects.h"
#include "text/words.h"

#define NS_PER_MS 1000000ULL

/* As long as a bucket's and a key's names may be, with a part's number. */
#define NAME_BYTES     1152
#define REPLICAS_BYTES 1024
#define ID_DIGITS_MAX  18

static void show_name(struct output *out, const json_t *upload)
{
	uint64_t part = agent_number(upload, "part");
	char text[NAME_BYTES], number[32] = "";

	if (part)
		snprintf(number, sizeof(number), " (part %ju)", (uintmax_t)part);
	snprintf(text, sizeof(text), "%s/%s%s", agent_text(upload, "bucket", "?"),
		 agent_text(upload, "key", "?"), number);
	output_string(out, "object", NULL, text);
	field_text(out, NULL, "bucket", upload);
	field_text(out, NULL, "key", upload);
	field_number(out, NULL, "part", upload);
}

static void show_rate(struct output *out, const json_t *upload)
{
	uint64_t rate = agent_number(upload, "rate_bytes_per_s");
	char size[WORDS_SIZE_BYTES], text[WORDS_SIZE_BYTES + 8];

	if (!json_is_integer(json_object_get(upload, "rate_bytes_per_s"))) {
		output_absent(out, "rate", "rate_bytes_per_s", "-");
		return;
	}
	snprintf(text, sizeof(text), "%s/s", words_size(size, sizeof(size), rate));
	output_measure(out, "rate", "rate_bytes_per_s", rate, text);
}

/* For people: "h2 writing 3.20 MiB, h3 lost". Who is past writing has it all, or never will. */
static void say_replicas(struct output *out, const json_t *replicas)
{
	char text[REPLICAS_BYTES] = "", size[WORDS_SIZE_BYTES];
	const json_t *replica;
	const char *state;
	size_t used = 0, i;

	json_array_foreach(replicas, i, replica) {
		state = agent_text(replica, "state", "?");
		words_size(size, sizeof(size), agent_number(replica, "bytes"));
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s%s%s",
					 i ? ", " : "", agent_text(replica, "node", "?"), state,
					 strcmp(state, "writing") ? "" : " ",
					 strcmp(state, "writing") ? "" : size);
		if (used >= sizeof(text))
			break;
	}
	output_string(out, "replicas", NULL, i ? text : "none");
}

static void show_replicas(struct output *out, const json_t *upload)
{
	const json_t *replicas = json_object_get(upload, "replicas"), *replica;
	size_t i;

	say_replicas(out, replicas);
	output_begin(out, "replicas", OUTPUT_TABLE);
	json_array_foreach(replicas, i, replica) {
		output_begin(out, NULL, OUTPUT_ROW);
		field_text(out, NULL, "node", replica);
		field_text(out, NULL, "state", replica);
		field_number(out, NULL, "bytes", replica);
		output_end(out);
	}
	output_end(out);
}

static void show_one(struct output *out, const json_t *upload)
{
	output_begin(out, NULL, OUTPUT_ROW);
	output_number(out, "id", "id", agent_number(upload, "id"));
	show_name(out, upload);
	field_size(out, "bytes", "bytes", upload);
	/* Of an upload whose client does not say how long it is. */
	field_size(out, "of", "expected_bytes", upload);
	show_rate(out, upload);
	field_time(out, "+age", "age_ms", upload, NS_PER_MS);
	field_text(out, "state", "state", upload);
	show_replicas(out, upload);
	output_end(out);
}

static enum command_status run_show(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	json_t *data = NULL;
	enum command_status status;
	size_t i;

	(void)values, (void)argc, (void)argv;
	status = agent_request(context, json_pack("{s:s}", "cmd", "upload.show"), AGENT_TIMEOUT_MS,
			       &data);
	if (status)
		return status;
	output_begin(context->out, NULL, OUTPUT_TABLE);
	for (i = 0; i < json_array_size(data); i++)
		show_one(context->out, json_array_get(data, i));
	output_end(context->out);
	json_decref(data);
	return COMMAND_OK;
}

static enum command_status run_cancel(struct command_context *context, const void *values, int argc,
				      char **argv)
{
	const char *id = argv[0];
	size_t digits = strspn(id, "0123456789");
	enum command_status status;
	json_t *data = NULL;

	(void)values, (void)argc;
	if (!digits || id[digits] || digits > ID_DIGITS_MAX)
		return command_misuse(context, "'%.64s' is no upload's ID", id);
	status = agent_request(context,
			       json_pack("{s:s, s:I}", "cmd", "upload.cancel", "id",
					 (json_int_t)strtoll(id, NULL, 10)),
			       AGENT_TIMEOUT_MS, &data);
	if (status)
		return status;
	output_begin(context->out, NULL, OUTPUT_GROUP);
	output_number(context->out, NULL, "cancelled", agent_number(data, "cancelled"));
	output_end(context->out);
	json_decref(data);
	return COMMAND_OK;
}

const struct command upload_commands[] = {
	{"show", "", "list what is being written here, how far it is, and on which nodes", 0, 0,
	 NULL, 0, run_show},
	{"cancel", "ID", "end one; its client is told to try again", 1, 1, NULL, 0, run_cancel},
	{0},
};
