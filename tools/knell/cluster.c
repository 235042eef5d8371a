// SPDX-License-Identifier: BSD-2-Clause
/*
 * cluster.c - knell cluster: every server and every drive, as the agent of this host sees them, and
 * how far it has what the others have.
 *
 * Room: tools/knell. May call agent, field, text/words. Called through the table of main.c. A
 * server that is offline is an answer and no error; so is what is still to be repaired.
 */
#include "agent.h"
#include "field.h"
#include "objects.h"
#include "text/words.h"

/* The agent has its own patience with each peer, which is a setting. */
#define TIMEOUT_MS 60000

#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/* The drives of one server; with @titles also as a table for people. */
static void show_drives(struct output *out, const json_t *server, bool titles)
{
	const json_t *drives = json_object_get(server, "drives"), *drive;
	size_t i;

	output_begin(out, "drives", OUTPUT_TABLE);
	json_array_foreach(drives, i, drive) {
		output_begin(out, NULL, OUTPUT_ROW);
		field_text(out, titles ? "path" : NULL, "path", drive);
		field_text(out, titles ? "state" : NULL, "state", drive);
		field_size(out, titles ? "size" : NULL, "total_bytes", drive);
		field_size(out, titles ? "used" : NULL, "used_bytes", drive);
		field_size(out, titles ? "available" : NULL, "available_bytes", drive);
		field_number(out, titles ? "+inodes" : NULL, "inodes", drive);
		field_number(out, titles ? "+inodes used" : NULL, "inodes_used", drive);
		field_flag(out, titles ? "+read-only" : NULL, "read_only", drive);
		field_text(out, titles ? "+uuid" : NULL, "uuid", drive);
		field_text(out, titles ? "reason" : NULL, "reason", drive);
		output_end(out);
	}
	output_end(out);
}

static void show_network(struct output *out, const json_t *server)
{
	json_t *network = json_object_get(server, "network");
	void *i;

	/* Of a very large cluster it is not told. */
	if (!json_is_object(network)) {
		output_absent(out, NULL, "network", "-");
		return;
	}
	output_begin(out, "network", OUTPUT_GROUP);
	for (i = json_object_iter(network); i; i = json_object_iter_next(network, i))
		output_string(out, NULL, json_object_iter_key(i),
			      json_string_value(json_object_iter_value(i)));
	output_end(out);
}

/* What stands in both; in text only where the fields are a table's. */
static void show_identity(struct output *out, const json_t *server)
{
	field_text(out, "name", "name", server);
	field_text(out, "state", "state", server);
	field_text(out, "endpoint", "endpoint", server);
	field_time(out, "+since", "since_age_ms", server, NS_PER_MS);
	field_flag(out, NULL, "self", server);
	field_text(out, NULL, "verdict", server);
	field_flag(out, NULL, "answered", server);
	field_number(out, NULL, "known_age_ms", server);
}

static void show_server(struct output *out, const json_t *server)
{
	output_begin(out, NULL, OUTPUT_ROW);
	show_identity(out, server);
	field_text(out, "version", "version", server);
	field_time(out, "uptime", "uptime_s", server, NS_PER_S);
	output_number(out, "drives", NULL, json_array_size(json_object_get(server, "drives")));
	field_number(out, "+conns", "connections", server);
	field_number(out, "+cpus", "cpus", server);
	field_size(out, "+memory", "memory_bytes", server);
	field_number(out, "+pid", "pid", server);
	field_number(out, NULL, "started", server);
	field_text(out, "reason", "reason", server);
	show_network(out, server);
	show_drives(out, server, false);
	output_end(out);
}

static void show_storage(struct output *out, const json_t *server)
{
	const char *reason = agent_text(server, "reason", NULL);

	output_begin(out, NULL, OUTPUT_GROUP);
	output_note(out, "%s  %s  %s%s%s%s", agent_text(server, "name", "?"),
		    agent_text(server, "state", "?"), agent_text(server, "endpoint", "?"),
		    reason ? "  (" : "", reason ? reason : "", reason ? ")" : "");
	show_identity(out, server);
	field_text(out, NULL, "reason", server);
	if (!json_array_size(json_object_get(server, "drives")))
		output_note(out, "no drives%s",
			    json_is_integer(json_object_get(server, "known_age_ms"))
				    ? ""
				    : " known: it was never heard");
	show_drives(out, server, true);
	output_end(out);
}

static void show_servers(struct output *out, const json_t *data, enum output_style style,
			 void (*show)(struct output *out, const json_t *server))
{
	const json_t *servers = json_object_get(data, "servers"), *server;
	size_t i;

	output_begin(out, "servers", style);
	json_array_foreach(servers, i, server)
		show(out, server);
	output_end(out);
}

/* The sums: fields of the whole in JSON, two lines in text. */
static void show_sums(struct output *out, const json_t *data)
{
	static const char *const counts[] = {"total",	 "online",	 "offline", "unknown",
					     "degraded", "initializing", "took_us"};
	const json_t *drives = json_object_get(data, "drives");
	char size[WORDS_SIZE_BYTES], used[WORDS_SIZE_BYTES], available[WORDS_SIZE_BYTES];
	size_t i;

	field_text(out, NULL, "node", data);
	field_flag(out, NULL, "isolated", data);
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		field_number(out, NULL, counts[i], data);
	output_note(out, "%s", "");
	if (json_is_true(json_object_get(data, "isolated")))
		output_note(out, "%s is cut off from everybody: what it knows of the others is old",
			    agent_text(data, "node", "this node"));
	output_note(
		out, "servers: %ju online (%ju degraded), %ju offline, %ju unknown, %ju in all",
		(uintmax_t)agent_number(data, "online"), (uintmax_t)agent_number(data, "degraded"),
		(uintmax_t)agent_number(data, "offline"), (uintmax_t)agent_number(data, "unknown"),
		(uintmax_t)agent_number(data, "total"));
	output_note(
		out,
		"drives: %ju ok, %ju offline, %ju faulty, %ju unknown; %s, %s used, %s available",
		(uintmax_t)agent_number(drives, "ok"), (uintmax_t)agent_number(drives, "offline"),
		(uintmax_t)agent_number(drives, "faulty"),
		(uintmax_t)agent_number(drives, "unknown"),
		words_size(size, sizeof(size), agent_number(drives, "total_bytes")),
		words_size(used, sizeof(used), agent_number(drives, "used_bytes")),
		words_size(available, sizeof(available), agent_number(drives, "available_bytes")));
	output_begin(out, "drives", OUTPUT_GROUP);
	field_number(out, NULL, "total", drives);
	field_number(out, NULL, "ok", drives);
	field_number(out, NULL, "offline", drives);
	field_number(out, NULL, "faulty", drives);
	field_number(out, NULL, "unknown", drives);
	field_number(out, NULL, "total_bytes", drives);
	field_number(out, NULL, "used_bytes", drives);
	field_number(out, NULL, "available_bytes", drives);
	output_end(out);
}

static enum command_status run(struct command_context *context, const char *question,
			       enum output_style style,
			       void (*show)(struct output *out, const json_t *server))
{
	json_t *data = NULL;
	enum command_status status =
		agent_request(context, json_pack("{s:s}", "cmd", question), TIMEOUT_MS, &data);

	if (status)
		return status;
	output_begin(context->out, NULL, OUTPUT_GROUP);
	show_servers(context->out, data, style, show);
	show_sums(context->out, data);
	output_end(context->out);
	json_decref(data);
	return COMMAND_OK;
}

static enum command_status run_info(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	(void)values, (void)argc, (void)argv;
	return run(context, "cluster.info", OUTPUT_TABLE, show_server);
}

static enum command_status run_storage(struct command_context *context, const void *values,
				       int argc, char **argv)
{
	(void)values, (void)argc, (void)argv;
	return run(context, "cluster.storage", OUTPUT_LIST, show_storage);
}

/* The journals as a table: what this node has not read of a peer's, and the peer of this node's. */
static void show_journals(struct output *out, const json_t *data)
{
	const json_t *peers = json_object_get(data, "peers"), *peer;
	size_t i;

	output_begin(out, "peers", OUTPUT_TABLE);
	json_array_foreach(peers, i, peer) {
		output_begin(out, NULL, OUTPUT_ROW);
		field_text(out, "peer", "peer", peer);
		field_flag(out, "met", "met", peer);
		field_number(out, "unread here", "unread_theirs", peer);
		field_number(out, "unread there", "unread_ours", peer);
		output_end(out);
	}
	output_end(out);
}

static void say_repair(struct output *out, const json_t *data)
{
	const char *node = agent_text(data, "node", "this node");
	char size[WORDS_SIZE_BYTES];

	if (json_is_true(json_object_get(data, "alone"))) {
		output_note(out, "alone: %s keeps its objects without any peer", node);
		return;
	}
	output_note(out, "%s", "");
	output_note(out, "away: %ju objects, %s, to be brought here still",
		    (uintmax_t)agent_number(data, "away_count"),
		    words_size(size, sizeof(size), agent_number(data, "away_bytes")));
	output_note(out, "mended: %ju objects, %s, since the agent started; %ju tries failed",
		    (uintmax_t)agent_number(data, "mended_count"),
		    words_size(size, sizeof(size), agent_number(data, "mended_bytes")),
		    (uintmax_t)agent_number(data, "failed_count"));
	if (json_is_true(json_object_get(data, "in_step")))
		output_note(out, "in step: nothing is away from %s, and all journals are read",
			    node);
	else
		output_note(out, "not in step: a peer was not met yet, or something is away or "
				 "unread");
}

static enum command_status run_repair(struct command_context *context, const void *values, int argc,
				      char **argv)
{
	struct output *out = context->out;
	json_t *data = NULL;
	enum command_status status;

	(void)values, (void)argc, (void)argv;
	status = agent_request(context, json_pack("{s:s}", "cmd", "cluster.repair"),
			       AGENT_TIMEOUT_MS, &data);
	if (status)
		return status;
	output_begin(out, NULL, OUTPUT_GROUP);
	field_text(out, NULL, "node", data);
	field_flag(out, NULL, "alone", data);
	field_flag(out, NULL, "in_step", data);
	field_number(out, NULL, "away_count", data);
	field_number(out, NULL, "away_bytes", data);
	field_number(out, NULL, "mended_count", data);
	field_number(out, NULL, "mended_bytes", data);
	field_number(out, NULL, "failed_count", data);
	show_journals(out, data);
	say_repair(out, data);
	output_end(out);
	json_decref(data);
	return COMMAND_OK;
}

const struct command cluster_commands[] = {
	{"info", "", "every server: its state, where it is, how long it has run", 0, 0, NULL, 0,
	 run_info},
	{"storage", "", "every server's drives, with what is used and what is left", 0, 0, NULL, 0,
	 run_storage},
	{"repair", "", "what this node has not got yet of what its peers have", 0, 0, NULL, 0,
	 run_repair},
	{0},
};
