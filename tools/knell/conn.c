// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn.c - knell conn: the agent's connections to its peers.
 *
 * Room: tools/knell. May call agent, field. Called through the table of main.c.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "field.h"
#include "objects.h"

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL

static void show_one(struct output *out, const json_t *conn)
{
	output_begin(out, NULL, OUTPUT_ROW);
	output_number(out, "id", "id", agent_number(conn, "id"));
	field_text(out, "peer", "peer", conn);
	field_text(out, "address", "addr", conn);
	field_text(out, "role", "role", conn);
	field_text(out, "state", "state", conn);
	field_time(out, "age", "age_ms", conn, NS_PER_MS);
	field_time(out, "heard", "last_heard_ms", conn, NS_PER_MS);
	field_time(out, "rtt", "rtt_us", conn, NS_PER_US);
	output_number(out, "calls", "calls", agent_number(conn, "calls"));
	/* Of a connection that is being made the kernel counts nothing. */
	field_number(out, "retrans", "retransmits", conn);
	field_number(out, "in", "bytes_in", conn);
	field_number(out, "out", "bytes_out", conn);
	field_number(out, "+port", "local_port", conn);
	output_end(out);
}

static enum command_status run_show(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	json_t *data = NULL;
	enum command_status status;
	size_t i;

	(void)values, (void)argc, (void)argv;
	status = agent_request(context, json_pack("{s:s}", "cmd", "conn.show"), AGENT_TIMEOUT_MS,
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

/* What changed, for programs; the agent may count what it let go of. */
static enum command_status change(struct command_context *context, json_t *request)
{
	json_t *data = NULL;
	enum command_status status = agent_request(context, request, AGENT_TIMEOUT_MS, &data);

	if (status)
		return status;
	output_begin(context->out, NULL, OUTPUT_GROUP);
	output_number(context->out, NULL, "evicted", agent_number(data, "evicted"));
	output_end(context->out);
	json_decref(data);
	return COMMAND_OK;
}

static enum command_status run_evict(struct command_context *context, const void *values, int argc,
				     char **argv)
{
	const char *what = argv[0];
	size_t digits = strspn(what, "0123456789");
	json_t *request;

	(void)values, (void)argc;
	if (digits && !what[digits] && digits < 19)
		request = json_pack("{s:s, s:I}", "cmd", "conn.evict", "id",
				    (json_int_t)strtoll(what, NULL, 10));
	else
		request = json_pack("{s:s, s:s}", "cmd", "conn.evict", "peer", what);
	if (!request)
		return command_misuse(context, "'%.64s' is neither a peer nor a connection's ID",
				      what);
	return change(context, request);
}

static enum command_status run_clear(struct command_context *context, const void *values, int argc,
				     char **argv)
{
	(void)values, (void)argc, (void)argv;
	return change(context, json_pack("{s:s}", "cmd", "conn.clear"));
}

const struct command conn_commands[] = {
	{"show", "", "list them, with peer, role, state and traffic", 0, 0, NULL, 0, run_show},
	{"evict", "PEER|ID", "let go of one connection, or of all to one peer", 1, 1, NULL, 0,
	 run_evict},
	{"clear", "", "let go of all; they are made anew when they are needed", 0, 0, NULL, 0,
	 run_clear},
	{0},
};
