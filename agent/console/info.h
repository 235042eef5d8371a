/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * info.h - the cluster as a whole: every server and every drive, asked for all at once.
 *
 * Room: console. Calls merge, peer/call, peer/server, roster. Called by control_cluster.c; told of
 * verdicts by hooks.c.
 *
 * The dead are answered for by their verdict, without waiting; the slow get their time-out and no
 * more; whoever dies while asked is answered for at once. No server ever vanishes from the list: of
 * one that does not answer, what it last said is listed.
 */
#ifndef KNELL_CONSOLE_INFO_H
#define KNELL_CONSOLE_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "console/merge.h"
#include "io/loop.h"
#include "peer/call.h"
#include "peer/roster.h"
#include "peer/server.h"

struct info;

enum info_kind { INFO_SERVERS, INFO_STORAGE, INFO_KINDS };

enum { INFO_REASON_BYTES = 160 };

struct info_server {
	const char *name;
	char endpoint[SERVER_TEXT_BYTES];
	enum server_state state;
	char reason[INFO_REASON_BYTES]; /* why it is not online; "" when it is */
	bool self;
	unsigned int verdict; /* this node's on it, enum verdict_state; of itself: alive */
	enum merge_answer answer;
	uint64_t since_age_ns;	    /* of the verdict, 0 for itself */
	uint64_t known_age_ns;	    /* of what is known */
	const struct server *known; /* what it said last, NULL: never anything */
};

struct info_answer {
	const char *node; /* whose view this is */
	bool isolated;	  /* it is cut off itself */
	uint64_t took_ns;
	const struct info_server *servers; /* itself, then as configured */
	size_t count;
	struct merge_count counts;
	struct merge_space space;
};

/* Somebody who asks; embedded there, zeroed but for `done`. */
struct info_request {
	/* Once, from the loop; the answer is valid during the call. NULL: memory is out. */
	void (*done)(struct info_request *request, const struct info_answer *answer);
	LIST_ENTRY(info_request) entry;
	bool waiting;
};

struct info_options {
	struct loop *loop;
	struct call_book *calls;
	const struct roster *roster;
	const char *name;     /* of this node */
	uint64_t per_peer_ns; /* for one peer's answer */
	/*
	 * Fills an empty struct server with what this node says of itself, as far as @scope asks. 0
	 * or a negative errno.
	 */
	int (*describe)(void *ctx, enum server_scope scope, struct server *self);
	void *ctx;
};

/** info_open - @options is copied, what it points to must outlive it all. 0 or -ENOMEM. */
int info_open(struct info **info, const struct info_options *options);

/** info_close - nobody waiting is told. Before call_book_close(). NULL is allowed. */
void info_close(struct info *info);

/**
 * info_ask - request->done will come.
 *
 * Whoever asks while the same is being asked joins in: that answer comes sooner, and from questions
 * that are at most a time-out old.
 */
void info_ask(struct info *info, enum info_kind kind, struct info_request *request);

/** info_forget - no `done` any more; also when it does not wait. */
void info_forget(struct info_request *request);

/**
 * info_met - a connection to @peer is ready: ask it what it is, so that it is known even if nobody
 * asks before it dies.
 */
void info_met(struct info *info, const struct roster_peer *peer);

/** info_verdict - the state of @peer has changed; @words say so, with the evidence. */
void info_verdict(struct info *info, const struct roster_peer *peer, const char *words);

#endif
