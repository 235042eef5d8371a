/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the agent's control socket: what `knell` asks, and the events that it follows.
 *
 * Room: agent. Calls io, peer/, console/, store/ and jansson. Opened by main.c; react.c's
 * subscriber calls control_event.
 *
 * One JSON object per line in both directions. Requests: {"cmd":"peers"}, {"cmd":"conn.show"},
 * {"cmd":"conn.evict","peer":NAME|"id":N}, {"cmd":"conn.clear"}, {"cmd":"upload.show"},
 * {"cmd":"upload.cancel","id":N}, {"cmd":"cluster.info"}, {"cmd":"cluster.storage"},
 * {"cmd":"cluster.repair"}, {"cmd":"event"}. Answers: {"ok":true,"data":...} or
 * {"ok":false,"error":TEXT}, in the order of the requests; after "event" one event per line for
 * ever. An answer that would be too long is such an error.
 */
#ifndef KNELL_CONTROL_H
#define KNELL_CONTROL_H

#include <stddef.h>
#include "console/info.h"
#include "detect/react.h"
#include "io/loop.h"
#include "peer/conn.h"
#include "peer/roster.h"
#include "store/mirror.h"
#include "store/store.h"

struct control;

/* One line, with its end; `knell` reads as much (AGENT_LINE_BYTES). */
#define CONTROL_ANSWER_BYTES_MAX ((size_t)16 << 20)

/* What the socket gives a view of; borrowed. */
struct control_view {
	const char *node;
	const struct roster *roster;
	struct conn_cache *conns;
	struct info *info;
	struct store *store;   /* by dir_open(); NULL: no objects are kept here */
	struct mirror *mirror; /* NULL: they are kept here alone */
};

/**
 * control_open - listen on @path (made with mode 0600; a stale socket is replaced).
 *
 * -EADDRINUSE when an agent answers there already; another negative errno with one line in @why.
 */
int control_open(struct control **control, struct loop *loop, const char *path,
		 const struct control_view *view, char *why, size_t why_size);
/** control_close - hang up on everybody and remove the socket. Before info_close(). NULL is
 * allowed. */
void control_close(struct control *control);

/** control_event - tell every follower; one that reads too slowly is hung up on. */
void control_event(struct control *control, const struct react_outcome *outcome);

#endif
