// SPDX-License-Identifier: BSD-2-Clause
/*
 * info.c - the cluster as a whole. See info.h.
 *
 * Room: console.
 *
 * Happy path: asked -> one call to each peer whose verdict does not tell all -> answers come and
 * are kept -> when none is open, at the end of that batch: one picture, told to everybody who
 * waits. Failure modes:
 * - A peer is dead, lost, or this node cut off, before or while it is asked: not waited for.
 * - It answers nonsense, an error or not in time: degraded, for its host lives. What it said last
 * is listed.
 * - The asker leaves: forgotten; the round goes on for what it teaches, and ends by itself.
 * - Memory is out: the askers are told so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "console/info.h"
#include "peer/message.h"
#include "text/words.h"

/* Who has just said what it is, need not be asked once more for its next connection. */
#define NEWS_FRESH_NS UINT64_C(1000000000)

/* One peer's part in a round. */
struct asked {
	struct round *round;
	const struct roster_peer *peer;
	struct call *call; /* NULL: not open */
	enum merge_answer answer;
	int err; /* of reading the answer; -ENODATA: none came */
	char reason[INFO_REASON_BYTES];
};

/* What is asked of all, and by whom. */
struct round {
	struct info *info;
	enum info_kind kind;
	bool running;
	size_t open;
	uint64_t began_ns;
	struct loop_task finish;
	LIST_HEAD(, info_request) waiting;
	struct asked *asked; /* one per peer */
};

/* What a peer said last. */
struct memory {
	struct server said;
	uint64_t said_ns;     /* 0: never anything */
	unsigned int verdict; /* on it, which the words are about */
	char words[INFO_REASON_BYTES];
	struct info *info;
	const struct roster_peer *peer;
	struct loop_task meet;
	struct call *meeting; /* asks what it is, for nobody */
};

struct info {
	struct info_options options;
	struct loop_task free_task;
	bool closed;
	struct round rounds[INFO_KINDS];
	struct memory *memories; /* one per peer */
	struct asked *asked;
};

static const struct {
	const char *path;
	enum server_scope scope;
	int (*read)(struct server *server, const uint8_t *bytes, size_t count);
} questions[INFO_KINDS] = {
	[INFO_SERVERS] = {"/knell.v1.Peer/ServerInfo", SERVER_SCOPE_ALL, server_read_info},
	[INFO_STORAGE] = {"/knell.v1.Peer/StorageInfo", SERVER_SCOPE_DRIVES, server_read_storage},
};

/* ---- asking ---- */

static uint64_t age_ns(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static void close_one(struct asked *asked, enum merge_answer answer, const char *reason)
{
	struct round *round = asked->round;

	asked->call = NULL;
	asked->answer = answer;
	message_text(asked->reason, sizeof(asked->reason), reason);
	if (!--round->open)
		loop_defer(round->info->options.loop, &round->finish);
}

static void on_message(void *ctx, const uint8_t *bytes, size_t count)
{
	struct asked *asked = ctx;
	struct info *info = asked->round->info;
	struct memory *memory = &info->memories[asked->peer->index];

	if (asked->err != -ENODATA)
		return;
	asked->err = questions[asked->round->kind].read(&memory->said, bytes, count);
	if (!asked->err)
		memory->said_ns = loop_now_ns(info->options.loop);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct asked *asked = ctx;
	char reason[INFO_REASON_BYTES];

	if (status == GRPC_OK && !asked->err) {
		close_one(asked, MERGE_ANSWERED, "");
		return;
	}
	if (status == GRPC_OK)
		snprintf(reason, sizeof(reason), "its answer cannot be read: %s",
			 asked->err == -ENODATA ? "it is empty" : strerror(-asked->err));
	else
		snprintf(reason, sizeof(reason), "%s%s%.120s", grpc_status_name(status),
			 *words ? ": " : "", words);
	close_one(asked, MERGE_FAILED, reason);
}

static const struct call_callbacks callbacks = {.on_message = on_message, .on_end = on_end};

static void ask_one(struct asked *asked)
{
	const struct info_options *options = &asked->round->info->options;
	const struct call_request request = {
		.peer = asked->peer,
		.path = questions[asked->round->kind].path,
		.timeout_ns = options->per_peer_ns,
	};
	int err;

	asked->round->open++;
	asked->err = -ENODATA;
	if (!merge_asks(asked->peer->state)) {
		close_one(asked, MERGE_UNASKED, "");
		return;
	}
	err = call_start(options->calls, &request, &callbacks, asked, &asked->call);
	if (err)
		close_one(asked, MERGE_FAILED, strerror(-err));
}

static void begin(struct round *round)
{
	size_t count = round->info->options.roster->count, i;

	round->running = true;
	round->began_ns = loop_now_ns(round->info->options.loop);
	/* Held open until all are asked. */
	round->open = 1;
	for (i = 0; i < count; i++)
		ask_one(&round->asked[i]);
	if (!--round->open)
		loop_defer(round->info->options.loop, &round->finish);
}

void info_ask(struct info *info, enum info_kind kind, struct info_request *request)
{
	struct round *round = &info->rounds[kind];

	request->waiting = true;
	LIST_INSERT_HEAD(&round->waiting, request, entry);
	if (!round->running)
		begin(round);
}

void info_forget(struct info_request *request)
{
	if (request->waiting)
		LIST_REMOVE(request, entry);
	request->waiting = false;
}

void info_verdict(struct info *info, const struct roster_peer *peer, const char *words)
{
	struct memory *memory = &info->memories[peer->index];
	struct asked *asked;
	size_t i;

	memory->verdict = peer->state;
	message_text(memory->words, sizeof(memory->words), words);
	if (merge_asks(peer->state))
		return;
	for (i = 0; i < INFO_KINDS; i++) {
		asked = &info->rounds[i].asked[peer->index];
		if (!asked->call)
			continue;
		call_cancel(asked->call);
		close_one(asked, MERGE_UNASKED, "");
	}
}

/* ---- getting to know ---- */

static void on_met_message(void *ctx, const uint8_t *bytes, size_t count)
{
	struct memory *memory = ctx;

	if (!server_read_info(&memory->said, bytes, count))
		memory->said_ns = loop_now_ns(memory->info->options.loop);
}

static void on_met_end(void *ctx, enum grpc_status status, const char *words)
{
	struct memory *memory = ctx;

	(void)status;
	(void)words;
	memory->meeting = NULL;
}

static const struct call_callbacks meeting = {.on_message = on_met_message, .on_end = on_met_end};

static void on_meet(struct loop_task *task)
{
	struct memory *memory = LOOP_OWNER(task, struct memory, meet);
	const struct call_request request = {
		.peer = memory->peer,
		.path = questions[INFO_SERVERS].path,
		.timeout_ns = memory->info->options.per_peer_ns,
	};

	if (memory->info->closed || memory->meeting ||
	    (memory->said_ns &&
	     age_ns(loop_now_ns(memory->info->options.loop), memory->said_ns) < NEWS_FRESH_NS))
		return;
	/* Whoever asks later asks again: a failure is nothing to tell of. */
	if (call_start(memory->info->options.calls, &request, &meeting, memory, &memory->meeting))
		memory->meeting = NULL;
}

/* Later: the connection's owner is in the middle of something. */
void info_met(struct info *info, const struct roster_peer *peer)
{
	loop_defer(info->options.loop, &info->memories[peer->index].meet);
}

/* ---- answering ---- */

/* Why a server is what it is, where the answer itself did not say. */
static void explain(struct info_server *server, const struct asked *asked,
		    const struct memory *memory)
{
	if (asked && asked->answer == MERGE_FAILED && server->state == SERVER_DEGRADED)
		message_text(server->reason, sizeof(server->reason), asked->reason);
	else if (server->state == SERVER_INITIALIZING && server->answer == MERGE_ANSWERED)
		snprintf(server->reason, sizeof(server->reason), "it is starting");
	else if (server->state == SERVER_INITIALIZING)
		snprintf(server->reason, sizeof(server->reason), "never heard");
	else if (server->state != SERVER_ONLINE && memory && *memory->words &&
		 memory->verdict == server->verdict)
		message_text(server->reason, sizeof(server->reason), memory->words);
	/* A verdict from before this agent ran. */
	else if (server->state != SERVER_ONLINE)
		snprintf(server->reason, sizeof(server->reason), "%s",
			 words_state(server->verdict));
}

/* Who answers as it should and lacks a drive is not all that it should be. */
static void look_at_drives(struct info_server *server)
{
	bool asks = server->state == SERVER_ONLINE && server->known;
	const struct drive *fault = asks ? merge_fault(server->known) : NULL;

	if (!fault)
		return;
	server->state = SERVER_DEGRADED;
	snprintf(server->reason, sizeof(server->reason), "%s: drive %s", fault->reason,
		 fault->path);
}

static void fill_peer(struct info_server *server, const struct info *info,
		      const struct asked *asked, uint64_t now_ns)
{
	const struct roster_peer *peer = asked->peer;
	const struct memory *memory = &info->memories[peer->index];

	*server = (struct info_server){
		.name = peer->name,
		.verdict = peer->state,
		.answer = asked->answer,
		.since_age_ns = peer->since_ns ? age_ns(now_ns, peer->since_ns) : 0,
	};
	roster_endpoint(server->endpoint, &peer->addr);
	if (memory->said_ns) {
		server->known = &memory->said;
		server->known_age_ns = age_ns(now_ns, memory->said_ns);
	}
	server->state = merge_state(peer->state, asked->answer, memory->said.initializing);
	explain(server, asked, memory);
	look_at_drives(server);
}

static void fill_self(struct info_server *server, const struct info *info,
		      const struct server *self)
{
	*server = (struct info_server){
		.name = info->options.name,
		.self = true,
		.verdict = VERDICT_ALIVE,
		.answer = MERGE_ANSWERED,
		.known = self,
		.state = merge_state(VERDICT_ALIVE, MERGE_ANSWERED, self->initializing),
	};
	message_text(server->endpoint, sizeof(server->endpoint), self->endpoint);
	explain(server, NULL, NULL);
	look_at_drives(server);
}

static void sum_up(struct info_answer *answer)
{
	const struct info_server *server;
	const struct drive *drive;
	size_t i;

	for (server = answer->servers; server < answer->servers + answer->count; server++) {
		merge_count(&answer->counts, server->state);
		for (i = 0; server->known && i < server->known->drive_count; i++) {
			drive = &server->known->drives[i];
			merge_space(&answer->space, drive,
				    merge_drive(server->state, server->answer, drive->state));
		}
	}
}

/* Everybody who waits now; whoever asks again while being told waits for the next round. */
static void tell(struct round *round, const struct info_answer *answer)
{
	LIST_HEAD(, info_request) telling = LIST_HEAD_INITIALIZER(telling);
	struct info_request *request;

	while ((request = LIST_FIRST(&round->waiting))) {
		LIST_REMOVE(request, entry);
		LIST_INSERT_HEAD(&telling, request, entry);
	}
	round->running = false;
	while ((request = LIST_FIRST(&telling))) {
		LIST_REMOVE(request, entry);
		request->waiting = false;
		request->done(request, answer);
	}
}

/* One picture, to all. */
static void show(struct round *round, const struct server *self, struct info_server *servers)
{
	const struct info *info = round->info;
	const struct roster *roster = info->options.roster;
	uint64_t now_ns = loop_now_ns(info->options.loop);
	struct info_answer answer = {
		.node = info->options.name,
		.isolated = roster_isolated(roster),
		.took_ns = age_ns(now_ns, round->began_ns),
		.servers = servers,
		.count = roster->count + 1,
	};
	size_t i;

	fill_self(&servers[0], info, self);
	for (i = 0; i < roster->count; i++)
		fill_peer(&servers[i + 1], info, &round->asked[i], now_ns);
	sum_up(&answer);
	tell(round, &answer);
}

static void on_finish(struct loop_task *task)
{
	struct round *round = LOOP_OWNER(task, struct round, finish);
	const struct info_options *options = &round->info->options;
	struct info_server *servers;
	struct server self = {0};

	if (round->info->closed)
		return;
	servers = calloc(options->roster->count + 1, sizeof(*servers));
	if (servers && !options->describe(options->ctx, questions[round->kind].scope, &self))
		show(round, &self, servers);
	else
		tell(round, NULL);
	server_free(&self);
	free(servers);
}

/* ---- life ---- */

static void free_info(struct loop_task *task)
{
	struct info *info = LOOP_OWNER(task, struct info, free_task);

	free(info->asked);
	free(info->memories);
	free(info);
}

static void open_round(struct info *info, enum info_kind kind)
{
	const struct roster *roster = info->options.roster;
	struct round *round = &info->rounds[kind];
	size_t i;

	round->info = info;
	round->kind = kind;
	round->finish.run = on_finish;
	LIST_INIT(&round->waiting);
	round->asked = info->asked + kind * roster->count;
	for (i = 0; i < roster->count; i++) {
		round->asked[i].round = round;
		round->asked[i].peer = &roster->peers[i];
	}
}

static void open_memories(struct info *info)
{
	const struct roster *roster = info->options.roster;
	struct memory *memory;
	size_t i;

	for (i = 0; i < roster->count; i++) {
		memory = &info->memories[i];
		memory->info = info;
		memory->peer = &roster->peers[i];
		memory->meet.run = on_meet;
	}
}

int info_open(struct info **info, const struct info_options *options)
{
	size_t count = options->roster->count ? options->roster->count : 1;
	struct info *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->options = *options;
	fresh->free_task.run = free_info;
	fresh->memories = calloc(count, sizeof(*fresh->memories));
	fresh->asked = calloc(count * INFO_KINDS, sizeof(*fresh->asked));
	if (!fresh->memories || !fresh->asked) {
		free_info(&fresh->free_task);
		return -ENOMEM;
	}
	open_memories(fresh);
	open_round(fresh, INFO_SERVERS);
	open_round(fresh, INFO_STORAGE);
	*info = fresh;
	return 0;
}

void info_close(struct info *info)
{
	struct info_request *request;
	size_t i, j;

	if (!info || info->closed)
		return;
	info->closed = true;
	for (i = 0; i < INFO_KINDS; i++) {
		while ((request = LIST_FIRST(&info->rounds[i].waiting)))
			info_forget(request);
		for (j = 0; j < info->options.roster->count; j++)
			if (info->rounds[i].asked[j].call)
				call_cancel(info->rounds[i].asked[j].call);
	}
	for (i = 0; i < info->options.roster->count; i++) {
		if (info->memories[i].meeting)
			call_cancel(info->memories[i].meeting);
		server_free(&info->memories[i].said);
	}
	/* A round may be about to finish. */
	loop_reap(info->options.loop, &info->free_task);
}
