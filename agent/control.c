// SPDX-License-Identifier: BSD-2-Clause
/*
 * control.c - the agent's control socket. See control.h for the protocol.
 *
 * Room: agent.
 *
 * Happy path: accept -> a line -> one answer line, now or, for the cluster's, later: then the next
 * line waits; or "event" and then lines as they happen.
 * Failure modes: garbage, or a line longer than LINE_BYTES_MAX, or more than that waiting behind a
 * question that is being answered: an error answer, then hang up. A client that leaves meanwhile:
 * its question is cancelled; one that has only finished sending gets its answer first. An answer
 * that is longer than CONTROL_ANSWER_BYTES_MAX, alone or with those that are not read yet: refused
 * in its place. A follower that does not read: at FOLLOWER_QUEUE_BYTES it is hung up on, since
 * nobody's slowness may cost the agent memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <jansson.h>
#include <netinet/in.h>
#include "control.h"
#include "control_cluster.h"
#include "control_conn.h"
#include "control_repair.h"
#include "control_upload.h"
#include "io/clock.h"
#include "io/loop_poll.h"
#include "io/tcp.h"
#include "io/unix_socket.h"
#include "store/dir.h"
#include "text/words.h"

#define LINE_BYTES_MAX	     4096
#define FOLLOWER_QUEUE_BYTES (1U << 20)
/* So that who is asked for too much can still say so. */
#define REFUSALS_BYTES	(64U << 10)
#define SEND_BYTES_MAX	(CONTROL_ANSWER_BYTES_MAX + REFUSALS_BYTES)
#define BACKLOG		16
#define BY_HAND		"the connection was evicted by hand"
#define NO_MEMORY	"out of memory"
#define NO_DRIVE	"this node keeps no objects, it has no drive: set drive in [store]"
#define TOO_LONG	"the answer, with those before that are not read, is longer than 16 MiB"
#define SOCKET_MODE	0600
#define QUOTE_BYTES_MAX 64
#define NS_PER_US	1000ULL

struct client {
	LIST_ENTRY(client) entry;
	struct control *control;
	struct tcp *tcp;
	struct control_cluster *question; /* being answered */
	size_t follows; /* up to that many bytes that it has not read; 0: follows nothing */
	bool finished;	/* says no more */
	size_t used;
	char line[LINE_BYTES_MAX];
};

struct control {
	struct loop *loop;
	struct loop_poll *poll;
	int fd;
	struct sockaddr_un addr;
	struct control_view view;
	LIST_HEAD(, client) clients;
};

static void hang_up(struct client *client, bool orderly)
{
	LIST_REMOVE(client, entry);
	control_cluster_cancel(client->question);
	if (orderly)
		tcp_close(client->tcp);
	else
		tcp_abort(client->tcp);
	free(client);
}

/* Takes @object over; NULL: memory is out. */
static int send_line(struct client *client, json_t *object, size_t queue_max)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	int err = -ENOMEM;
	size_t length;

	json_decref(object);
	if (!text)
		return err;
	length = strlen(text);
	/* jansson ends the text with a NUL, whose place the newline takes. */
	text[length++] = '\n';
	err = length > queue_max || tcp_queued(client->tcp) > queue_max - length
		      ? -ENOBUFS
		      : tcp_send(client->tcp, text, length);
	free(text);
	return err;
}

static json_t *answer(json_t *data)
{
	return data ? json_pack("{s:b,s:o}", "ok", 1, "data", data) : NULL;
}

/* How much of @text to quote: no character is cut in two, for that would be no JSON. */
static int quotable(const char *text)
{
	size_t length = strnlen(text, QUOTE_BYTES_MAX + 1);

	if (length > QUOTE_BYTES_MAX)
		for (length = QUOTE_BYTES_MAX; length && (text[length] & 0xc0) == 0x80; length--)
			;
	return (int)length;
}

static json_t *refusal(const char *text)
{
	return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

/* One line, whatever becomes of @reply: what is too long for one is a question answered, too. */
static int send_answer(struct client *client, json_t *reply)
{
	int err = send_line(client, reply, CONTROL_ANSWER_BYTES_MAX);

	if (err == -ENOBUFS)
		err = send_line(client, refusal(TOO_LONG), SEND_BYTES_MAX);
	return err;
}

static json_t *list_peers(const struct control *control)
{
	json_t *list = json_array();
	char addr[WORDS_ADDRESS_BYTES];
	size_t i;

	for (i = 0; i < control->view.roster->count; i++) {
		const struct roster_peer *peer = &control->view.roster->peers[i];
		const struct sockaddr_in *any = (const struct sockaddr_in *)&peer->addr;

		/* sin_port and sin6_port share their place. */
		json_array_append_new(list,
				      json_pack("{s:s,s:s,s:i}", "name", peer->name, "addr",
						words_address(addr, sizeof(addr), peer->key.addr),
						"port", (int)ntohs(any->sin_port)));
	}
	return list;
}

static json_t *run_peers(struct client *client, const json_t *request)
{
	(void)request;
	return answer(list_peers(client->control));
}

static json_t *run_conn_show(struct client *client, const json_t *request)
{
	const struct control *control = client->control;

	(void)request;
	return answer(control_conn_list(control->view.conns, loop_now_ns(control->loop)));
}

static json_t *run_conn_evict(struct client *client, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "peer"));
	json_int_t id = json_integer_value(json_object_get(request, "id"));
	struct control *control = client->control;
	const struct roster_peer *peer;
	char text[160];

	if (name) {
		peer = roster_by_name(control->view.roster, name);
		if (peer)
			return answer(json_pack(
				"{s:i}", "evicted",
				(int)conn_evict_peer(control->view.conns, peer, BY_HAND)));
		snprintf(text, sizeof(text), "no peer \"%.*s\" in the configuration",
			 quotable(name), name);
		return refusal(text);
	}
	if (!conn_evict_id(control->view.conns, id, BY_HAND))
		return answer(json_pack("{s:i}", "evicted", 1));
	snprintf(text, sizeof(text), "no connection %lld: `knell conn show` lists them",
		 (long long)id);
	return refusal(text);
}

static json_t *run_conn_clear(struct client *client, const json_t *request)
{
	(void)request;
	return answer(json_pack("{s:i}", "evicted",
				(int)conn_clear(client->control->view.conns, BY_HAND)));
}

static json_t *run_upload_show(struct client *client, const json_t *request)
{
	const struct control *control = client->control;

	(void)request;
	return control->view.store ? answer(control_upload_list(control->view.store,
								loop_now_ns(control->loop)))
				   : refusal(NO_DRIVE);
}

static json_t *run_upload_cancel(struct client *client, const json_t *request)
{
	json_int_t id = json_integer_value(json_object_get(request, "id"));
	struct store *store = client->control->view.store;
	char text[160];

	if (!store)
		return refusal(NO_DRIVE);
	if (!dir_upload_cancel(store, (uint64_t)id))
		return answer(json_pack("{s:i}", "cancelled", 1));
	snprintf(text, sizeof(text), "no upload %lld: `knell upload show` lists them",
		 (long long)id);
	return refusal(text);
}

static json_t *run_cluster_repair(struct client *client, const json_t *request)
{
	const struct control_view *view = &client->control->view;

	(void)request;
	return view->store ? answer(control_repair_tell(view->mirror, view->node))
			   : refusal(NO_DRIVE);
}

static bool run_lines(struct client *client);

static void on_answered(void *ctx, json_t *data)
{
	struct client *client = ctx;

	client->question = NULL;
	if (send_answer(client, data ? answer(data) : refusal(NO_MEMORY)))
		hang_up(client, false);
	else if (run_lines(client) && client->finished && !client->question)
		hang_up(client, true);
}

/* No answer yet: on_answered() has it. */
static json_t *ask_all(struct client *client, enum info_kind kind)
{
	client->question =
		control_cluster_ask(client->control->view.info, kind, on_answered, client);
	return client->question ? NULL : refusal(NO_MEMORY);
}

static json_t *run_cluster_info(struct client *client, const json_t *request)
{
	(void)request;
	return ask_all(client, INFO_SERVERS);
}

static json_t *run_cluster_storage(struct client *client, const json_t *request)
{
	(void)request;
	return ask_all(client, INFO_STORAGE);
}

static json_t *run_event(struct client *client, const json_t *request)
{
	(void)request;
	/* What it asked before may be on its way yet. */
	client->follows = tcp_queued(client->tcp) + FOLLOWER_QUEUE_BYTES;
	return json_pack("{s:b}", "ok", 1);
}

static const struct verb {
	const char *name;
	json_t *(*run)(struct client *client, const json_t *request);
} verbs[] = {
	{"peers", run_peers},
	{"conn.show", run_conn_show},
	{"conn.evict", run_conn_evict},
	{"conn.clear", run_conn_clear},
	{"upload.show", run_upload_show},
	{"upload.cancel", run_upload_cancel},
	{"cluster.info", run_cluster_info},
	{"cluster.storage", run_cluster_storage},
	{"cluster.repair", run_cluster_repair},
	{"event", run_event},
};

static json_t *run_line(struct client *client, const char *line, size_t length)
{
	json_error_t error;
	json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error), *reply;
	const char *name = json_string_value(json_object_get(request, "cmd"));
	char text[160];
	size_t i;

	if (!name) {
		json_decref(request);
		return refusal("a request is one JSON object with \"cmd\" per line");
	}
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name))
			continue;
		reply = verbs[i].run(client, request);
		json_decref(request);
		return reply;
	}
	snprintf(text, sizeof(text), "unknown request \"%.*s\"", quotable(name), name);
	json_decref(request);
	return refusal(text);
}

/* The lines that are there, until one takes a while. False: the client is gone. */
static bool run_lines(struct client *client)
{
	json_t *reply;
	size_t length;
	char *end;

	while (!client->question && (end = memchr(client->line, '\n', client->used))) {
		length = (size_t)(end - client->line) + 1;
		reply = run_line(client, client->line, length);
		client->used -= length;
		memmove(client->line, client->line + length, client->used);
		if (!client->question && send_answer(client, reply)) {
			hang_up(client, false);
			return false;
		}
	}
	return true;
}

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	struct client *client = ctx;
	const uint8_t *end;
	size_t part;

	if (!len) {
		client->finished = true;
		if (!client->question)
			hang_up(client, true);
		return;
	}
	for (; len; data += part, len -= part) {
		end = memchr(data, '\n', len);
		part = end ? (size_t)(end - data) + 1 : len;
		if (client->used + part > sizeof(client->line)) {
			send_answer(client, refusal("the request is too long"));
			hang_up(client, true);
			return;
		}
		memcpy(client->line + client->used, data, part);
		client->used += part;
		if (end && !run_lines(client))
			return;
	}
}

static void on_close(void *ctx, int err)
{
	(void)err;
	hang_up(ctx, false);
}

static const struct tcp_callbacks callbacks = {
	.on_data = on_data,
	.on_close = on_close,
};

static void on_connection(struct control *control, int fd)
{
	struct tcp_opts opts = {.send_limit_bytes = SEND_BYTES_MAX};
	struct client *client = calloc(1, sizeof(*client));

	if (!client || tcp_adopt(control->loop, fd, &opts, &callbacks, client, &client->tcp)) {
		free(client);
		close(fd);
		return;
	}
	client->control = control;
	LIST_INSERT_HEAD(&control->clients, client, entry);
}

static void on_acceptable(void *ctx, uint32_t revents)
{
	struct control *control = ctx;
	int fd;

	(void)revents;
	while ((fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		on_connection(control, fd);
}

int control_open(struct control **control, struct loop *loop, const char *path,
		 const struct control_view *view, char *why, size_t why_size)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct control *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	LIST_INIT(&fresh->clients);
	fresh->loop = loop;
	fresh->view = *view;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fresh->addr = addr;
	fresh->fd = unix_socket_listen(&addr, SOCKET_MODE, SOCK_NONBLOCK, BACKLOG);
	err = fresh->fd < 0
		      ? fresh->fd
		      : loop_poll(loop, fresh->fd, POLLIN, on_acceptable, fresh, &fresh->poll);
	if (err) {
		snprintf(why, why_size, "control socket %s: %s: set `socket` in [node]", path,
			 unix_socket_error(err));
		control_close(fresh);
		return err;
	}
	*control = fresh;
	return 0;
}

void control_close(struct control *control)
{
	struct client *client, *next;

	if (!control)
		return;
	for (client = LIST_FIRST(&control->clients); client; client = next) {
		next = LIST_NEXT(client, entry);
		hang_up(client, false);
	}
	loop_poll_stop(control->poll);
	unix_socket_close(control->fd, &control->addr);
	free(control);
}

/* The moment of the verdict on the wall clock, from its monotonic stamp. */
static uint64_t wall_ns(uint64_t monotonic_ns)
{
	return clock_ns(CLOCK_REALTIME) - (clock_ns(CLOCK_MONOTONIC) - monotonic_ns);
}

static json_t *event_object(const struct control *control, const struct react_outcome *outcome)
{
	const struct knell_record *record = outcome->record;
	char wall[WORDS_WALL_BYTES], addr[WORDS_ADDRESS_BYTES];
	json_t *event = json_pack(
		"{s:s,s:I,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:I}",
		"event", record->kind == KNELL_RECORD_STALLED ? "stalled" : "verdict", "ts_ns",
		(json_int_t)record->ts_ns, "wall",
		words_wall(wall, sizeof(wall), wall_ns(record->ts_ns)), "node", control->view.node,
		"peer", outcome->peer ? outcome->peer->name : "", "addr",
		words_address(addr, sizeof(addr), record->key.addr), "netns",
		(json_int_t)record->key.netns, "seq", (json_int_t)record->seq, "epoch",
		(json_int_t)record->epoch, "from", words_state(record->from), "to",
		words_state(record->to), "reason", words_reason(record->reason), "phi_md",
		(json_int_t)record->phi_md, "unanswered", (json_int_t)record->sends, "tuples",
		(json_int_t)record->tuples, "loss_ppm", (json_int_t)record->loss_ppm, "flaps",
		(json_int_t)record->flaps, "conns_evicted", (json_int_t)outcome->evicted,
		"repaired", outcome->repaired, "reaction_us",
		(json_int_t)(outcome->reaction_ns / NS_PER_US));

	if (!event)
		return NULL;
	if (record->heard_ns)
		json_object_set_new(event, "heard_age_us",
				    json_integer((json_int_t)(record->ts_ns - record->heard_ns) /
						 (json_int_t)NS_PER_US));
	if (record->began_ns)
		json_object_set_new(event, "silence_us",
				    json_integer((json_int_t)(record->ts_ns - record->began_ns) /
						 (json_int_t)NS_PER_US));
	if (record->local_port)
		json_object_set_new(event, "local_port", json_integer(record->local_port));
	if (record->remote_port)
		json_object_set_new(event, "remote_port", json_integer(record->remote_port));
	return event;
}

void control_event(struct control *control, const struct react_outcome *outcome)
{
	struct client *client, *next;

	for (client = LIST_FIRST(&control->clients); client; client = next) {
		next = LIST_NEXT(client, entry);
		if (client->follows &&
		    send_line(client, event_object(control, outcome), client->follows))
			hang_up(client, false);
	}
}
