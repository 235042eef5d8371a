// SPDX-License-Identifier: BSD-2-Clause
/*
 * agent.c - talking to the agent over its control socket. See agent.h.
 *
 * Room: tools/knell. May call jansson and sockets. Called by cluster, conn, event, field, peer,
 * watch, version.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"

#define BUFFER_BYTES_FIRST 4096

static int set_timeout(int fd, int milliseconds)
{
	struct timeval limit = {.tv_sec = milliseconds / 1000,
				.tv_usec = milliseconds % 1000 * 1000L};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)))
		return -errno;
	return 0;
}

int agent_connect(struct agent *agent, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The timeout bounds connect too: a stopped agent's backlog may be full. */
	error = set_timeout(fd, AGENT_TIMEOUT_MS);
	if (!error && connect(fd, (struct sockaddr *)&address, sizeof(address)))
		error = errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (error) {
		close(fd);
		return error;
	}
	*agent = (struct agent){.fd = fd, .timeout_ms = AGENT_TIMEOUT_MS};
	return 0;
}

void agent_close(struct agent *agent)
{
	if (agent->fd >= 0)
		close(agent->fd);
	free(agent->buffer);
	*agent = (struct agent)AGENT_CLOSED;
}

static int send_line(struct agent *agent, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t length, sent = 0;
	ssize_t done;

	json_decref(request);
	if (!text)
		return -ENOMEM;
	length = strlen(text);
	text[length++] = '\n';
	while (sent < length) {
		done = send(agent->fd, text + sent, length - sent, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			free(text);
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		}
		sent += (size_t)done;
	}
	free(text);
	return 0;
}

static int receive(struct agent *agent)
{
	size_t room = agent->room ? agent->room * 2 : BUFFER_BYTES_FIRST;
	ssize_t done;
	char *grown;

	if (agent->used == agent->room) {
		if (room > AGENT_LINE_BYTES)
			return -EMSGSIZE;
		grown = realloc(agent->buffer, room);
		if (!grown)
			return -ENOMEM;
		agent->buffer = grown;
		agent->room = room;
	}
	do {
		done = recv(agent->fd, agent->buffer + agent->used, agent->room - agent->used, 0);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (!done)
		return -EPIPE;
	agent->used += (size_t)done;
	return 0;
}

int agent_next(struct agent *agent, json_t **object)
{
	size_t looked = 0;
	char *end = NULL;
	json_t *parsed;
	int error;

	if (agent->line_used) {
		agent->used -= agent->line_used;
		memmove(agent->buffer, agent->buffer + agent->line_used, agent->used);
		agent->line_used = 0;
	}
	for (;;) {
		if (agent->used > looked)
			end = memchr(agent->buffer + looked, '\n', agent->used - looked);
		if (end)
			break;
		looked = agent->used;
		error = receive(agent);
		if (error)
			return error;
	}
	agent->line_used = (size_t)(end - agent->buffer) + 1;
	parsed = json_loadb(agent->buffer, agent->line_used, 0, NULL);
	if (!json_is_object(parsed)) {
		json_decref(parsed);
		return -EPROTO;
	}
	*object = parsed;
	return 0;
}

int agent_ask(struct agent *agent, json_t *request, json_t **data, char why[AGENT_WHY_BYTES])
{
	json_t *answer = NULL;
	int error;

	error = request ? send_line(agent, request) : -ENOMEM;
	if (!error)
		error = agent_next(agent, &answer);
	if (error == -ETIMEDOUT) {
		snprintf(why, AGENT_WHY_BYTES, "the agent did not answer within %d s",
			 agent->timeout_ms / 1000);
	} else if (error == -EPROTO) {
		snprintf(why, AGENT_WHY_BYTES, "what the agent answered is no JSON object");
	} else if (error) {
		snprintf(why, AGENT_WHY_BYTES, "talking to the agent failed: %s",
			 error == -EPIPE ? "it hung up" : strerror(-error));
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		error = -EREMOTEIO;
		snprintf(why, AGENT_WHY_BYTES, "the agent refused: %.200s",
			 agent_text(answer, "error", "it gave no reason"));
	} else if (data) {
		*data = json_incref(json_object_get(answer, "data"));
	}
	json_decref(answer);
	return error;
}

int agent_follow(struct agent *agent)
{
	return set_timeout(agent->fd, 0);
}

bool agent_runs(struct command_context *context)
{
	struct agent agent = AGENT_CLOSED;
	bool runs = !agent_connect(&agent, context->socket_path);

	agent_close(&agent);
	return runs;
}

enum command_status agent_refused(struct command_context *context, int error)
{
	const char *path = context->socket_path;

	if (error == -ENOENT || error == -ECONNREFUSED)
		return command_fail(context,
				    "no agent runs at %s: start knelld, or name another socket "
				    "with --socket",
				    path);
	if (error == -EACCES || error == -EPERM)
		return command_fail(context,
				    "no permission to talk to the agent at %s: run as root", path);
	return command_fail(context, "cannot talk to the agent at %s: %s", path, strerror(-error));
}

enum command_status agent_request(struct command_context *context, json_t *request, int timeout_ms,
				  json_t **data)
{
	struct agent agent = AGENT_CLOSED;
	char why[AGENT_WHY_BYTES];
	enum command_status status = COMMAND_OK;
	int error = agent_connect(&agent, context->socket_path);

	if (!error)
		error = set_timeout(agent.fd, timeout_ms);
	if (error) {
		json_decref(request);
		agent_close(&agent);
		return agent_refused(context, error);
	}
	agent.timeout_ms = timeout_ms;
	if (agent_ask(&agent, request, data, why))
		status = command_fail(context, "%s", why);
	agent_close(&agent);
	return status;
}

json_t *agent_names(struct command_context *context)
{
	struct agent agent = AGENT_CLOSED;
	char why[AGENT_WHY_BYTES];
	json_t *names = NULL;

	/* Names are a courtesy; a stopped agent must not hold up what the maps tell. */
	if (!agent_connect(&agent, context->socket_path) &&
	    !set_timeout(agent.fd, AGENT_NAMES_TIMEOUT_MS))
		agent_ask(&agent, json_pack("{s:s}", "cmd", "peers"), &names, why);
	agent_close(&agent);
	if (names && !json_is_array(names)) {
		json_decref(names);
		names = NULL;
	}
	return names;
}

const char *agent_text(const json_t *object, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : fallback;
}

uint64_t agent_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}
