// SPDX-License-Identifier: BSD-2-Clause
/*
 * event.c - knell event: follow the verdicts as they are made.
 *
 * Room: tools/knell. May call agent, poll, io/clock, text/words. Called through the table of
 * main.c.
 *
 * Happy path: the agent, sole consumer of the ring, sends each event with its reaction time.
 * Failure modes: no agent runs: the pinned peers map is compared with what it was, every
 * POLL_MS; verdicts that came and went in between show in `missed`. The agent hangs up, or the
 * instance is unloaded: said, with exit status 1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "instance.h"
#include "io/clock.h"
#include "objects.h"
#include "poll.h"
#include "text/words.h"

#define POLL_MS	  50
#define COUNT_MAX 1000000000
#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL

struct event_values {
	unsigned int count; /* 0: no end */
};

struct follow {
	struct command_context *context;
	__u64 start_ns;
	unsigned int wanted; /* 0: no end */
	unsigned int shown;
};

static void count_field(struct output *out, const char *label, const char *key, const json_t *event)
{
	if (json_is_integer(json_object_get(event, key)))
		output_number(out, label, key, agent_number(event, key));
	else
		output_absent(out, NULL, key, "");
}

static void time_field(struct output *out, const char *label, const char *key, const json_t *event)
{
	uint64_t us = agent_number(event, key);
	char text[WORDS_AGE_BYTES];

	if (json_is_integer(json_object_get(event, key)))
		output_measure(out, label, key, us, words_age(text, sizeof(text), us * NS_PER_US));
	else
		output_absent(out, NULL, key, "");
}

static void show_when(struct follow *follow, const json_t *event)
{
	struct output *out = follow->context->out;
	uint64_t ts_ns = agent_number(event, "ts_ns");
	uint64_t elapsed_us = ts_ns > follow->start_ns ? (ts_ns - follow->start_ns) / NS_PER_US : 0;
	char text[32];

	snprintf(text, sizeof(text), "%4u.%03u s", (unsigned int)(elapsed_us / 1000000),
		 (unsigned int)(elapsed_us % 1000000 / 1000));
	output_string(out, "", "wall", agent_text(event, "wall", NULL));
	output_measure(out, "", "elapsed_us", elapsed_us, text);
	output_number(out, NULL, "ts_ns", ts_ns);
	output_string(out, NULL, "event", agent_text(event, "event", NULL));
}

static void show_what(struct output *out, const json_t *event)
{
	const char *from = agent_text(event, "from", "?"), *to = agent_text(event, "to", "?");
	char text[64] = "a connection stalled";

	if (strcmp(agent_text(event, "event", ""), "stalled"))
		snprintf(text, sizeof(text), "%8s -> %-8s", from, to);
	output_string(out, "", "node", agent_text(event, "node", NULL));
	output_string(out, "->", "peer", agent_text(event, "peer", NULL));
	output_string(out, "", "addr", agent_text(event, "addr", NULL));
	output_string(out, "", NULL, text);
	output_string(out, NULL, "from", from);
	output_string(out, NULL, "to", to);
	output_string(out, "", "reason", agent_text(event, "reason", NULL));
}

static void show_evidence(struct output *out, const json_t *event)
{
	uint32_t phi_md = (uint32_t)agent_number(event, "phi_md");
	bool stalled = !strcmp(agent_text(event, "event", ""), "stalled");
	uint64_t missed = agent_number(event, "missed");
	char text[16];

	output_measure(out, "phi", "phi_md", phi_md, words_phi(text, sizeof(text), phi_md));
	count_field(out, "unanswered", "unanswered", event);
	count_field(out, "tuples", "tuples", event);
	time_field(out, "heard before", "heard_age_us", event);
	time_field(out, "silent for", "silence_us", event);
	time_field(out, "reaction", "reaction_us", event);
	count_field(out, "evicted", "conns_evicted", event);
	count_field(out, stalled ? "port" : NULL, "local_port", event);
	count_field(out, stalled ? "to port" : NULL, "remote_port", event);
	count_field(out, NULL, "loss_ppm", event);
	count_field(out, NULL, "flaps", event);
	output_boolean(out, NULL, "repaired", json_is_true(json_object_get(event, "repaired")));
	count_field(out, NULL, "netns", event);
	count_field(out, NULL, "epoch", event);
	count_field(out, NULL, "seq", event);
	output_number(out, missed ? "missed" : NULL, "missed", missed);
}

/* Takes @event over. True when that was the last one wanted. */
static bool show(struct follow *follow, json_t *event)
{
	struct output *out = follow->context->out;

	output_begin(out, NULL, OUTPUT_LINE);
	show_when(follow, event);
	show_what(out, event);
	show_evidence(out, event);
	output_end(out);
	json_decref(event);
	follow->shown++;
	/* Nobody reads any more: main says so. */
	return out->error || (follow->wanted && follow->shown >= follow->wanted);
}

static enum command_status follow_agent(struct follow *follow, struct agent *agent)
{
	struct command_context *context = follow->context;
	char why[AGENT_WHY_BYTES];
	json_t *event = NULL;
	int error;

	if (agent_ask(agent, json_pack("{s:s}", "cmd", "event"), NULL, why))
		return command_fail(context, "%s", why);
	error = agent_follow(agent);
	while (!error) {
		error = agent_next(agent, &event);
		if (!error && show(follow, event))
			return COMMAND_OK;
	}
	if (error == -EPIPE)
		return command_fail(context, "the agent at %s ended; start it, then follow again",
				    context->socket_path);
	return command_fail(context, "following the agent at %s failed: %s", context->socket_path,
			    strerror(-error));
}

static bool show_polled(void *ctx, json_t *event)
{
	return show(ctx, event);
}

static enum command_status follow_pins(struct follow *follow, const struct pins *pins)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * (long)NS_PER_MS};
	struct command_context *context = follow->context;
	struct poll poll = {.show = show_polled, .ctx = follow};
	int found;

	poll_init(&poll);
	found = poll_round(&poll, pins);
	/* Said only now: whoever reads it can be sure that what comes next will be shown. */
	if (!found)
		output_remark(context->out,
			      "no agent runs at %s: looking at the pinned peers every %d ms, "
			      "without names and reaction times",
			      context->socket_path, POLL_MS);
	for (; !found; found = poll_round(&poll, pins)) {
		if (access(pins->dir, F_OK)) {
			found = -ENOENT;
			break;
		}
		nanosleep(&pause, NULL);
	}
	poll_free(&poll);
	if (found > 0)
		return COMMAND_OK;
	if (found == -ENOENT)
		return command_fail(context, "%s was unloaded; run 'knell load', then follow again",
				    pins->dir);
	return command_fail(context, "cannot read the peers under %s: %s", pins->dir,
			    strerror(-found));
}

static enum command_status run_event(struct command_context *context, const void *values, int argc,
				     char **argv)
{
	const struct event_values *chosen = values;
	struct follow follow = {
		.context = context,
		.start_ns = clock_ns(CLOCK_MONOTONIC),
		.wanted = chosen->count,
	};
	struct agent agent = AGENT_CLOSED;
	struct pins pins = PINS_CLOSED;
	enum command_status status;
	int error = agent_connect(&agent, context->socket_path);

	(void)argc, (void)argv;
	if (!error) {
		status = follow_agent(&follow, &agent);
		agent_close(&agent);
		return status;
	}
	if (error != -ENOENT && error != -ECONNREFUSED)
		return agent_refused(context, error);
	status = instance_open(context, &pins);
	if (status)
		return status;
	status = follow_pins(&follow, &pins);
	pins_close(&pins);
	return status;
}

static const struct options_spec event_spec[] = {
	{.name = "count",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct event_values, count),
	 .meta = "N",
	 .help = "stop after that many events",
	 .min = 1,
	 .max = COUNT_MAX},
	{0},
};

const struct command event_commands[] = {
	{"", "", "one line per event, until interrupted", 0, 0, event_spec,
	 sizeof(struct event_values), run_event},
	{0},
};
