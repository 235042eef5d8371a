/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * agent.h - talking to the agent over its control socket.
 *
 * Room: tools/knell. May call jansson and sockets. Called by cluster, conn, event, field, peer,
 * upload, watch, version. Requests and answers are one JSON object per line. A request waits at
 * most AGENT_TIMEOUT_MS for its answer, unless told otherwise; following events waits for ever.
 */
#ifndef KNELL_AGENT_H
#define KNELL_AGENT_H

#include <stdbool.h>
#include <jansson.h>

#include "command.h"

#define AGENT_TIMEOUT_MS       5000
#define AGENT_NAMES_TIMEOUT_MS 200
#define AGENT_LINE_BYTES       ((size_t)16 << 20)
#define AGENT_WHY_BYTES	       256

struct agent {
	int fd;
	int timeout_ms;
	char *buffer;	  /* what has come in */
	size_t used;	  /* bytes in it */
	size_t room;	  /* bytes allocated */
	size_t line_used; /* the line that was handed out last, with its end */
};

#define AGENT_CLOSED      \
	{                 \
		.fd = -1, \
	}

/** agent_connect - 0; -ENOENT or -ECONNREFUSED when no agent runs there; or a negative errno. */
int agent_connect(struct agent *agent, const char *path);

/** agent_close - safe on AGENT_CLOSED. */
void agent_close(struct agent *agent);

/**
 * agent_ask - send @request, wait for the answer, give its data (may be NULL) in *@data.
 *
 * @request is taken over. @data NULL: not wanted; else the caller's to json_decref. On failure
 * @why holds a line: -EREMOTEIO when the agent said no, else what went wrong on the way.
 */
int agent_ask(struct agent *agent, json_t *request, json_t **data, char why[AGENT_WHY_BYTES]);

/**
 * agent_next - the next line as an object, for the caller to json_decref.
 *
 * 0; -EPIPE when the agent hung up; -ETIMEDOUT; -EPROTO when the line is no JSON object;
 * -EMSGSIZE when it is longer than AGENT_LINE_BYTES.
 */
int agent_next(struct agent *agent, json_t **object);

/** agent_follow - from here on agent_next waits for ever. 0 or a negative errno. */
int agent_follow(struct agent *agent);

/**
 * agent_request - one question, from connect to close; what goes wrong is said.
 *
 * @request is taken over, *@data is the caller's to json_decref. @timeout_ms: for the answer.
 */
enum command_status agent_request(struct command_context *context, json_t *request, int timeout_ms,
				  json_t **data);

/** agent_runs - somebody accepts connections on the control socket. */
bool agent_runs(struct command_context *context);

/** agent_refused - say in words why agent_connect failed with @error. */
enum command_status agent_refused(struct command_context *context, int error);

/**
 * agent_names - what the agent calls its peers: [{"name", "addr", "port"}], NULL when none runs.
 *
 * The caller's to json_decref.
 */
json_t *agent_names(struct command_context *context);

/** agent_text / agent_number - a field of an object, or the fallback when it is not there. */
const char *agent_text(const json_t *object, const char *key, const char *fallback);
uint64_t agent_number(const json_t *object, const char *key);

#endif
