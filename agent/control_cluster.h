/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_cluster.h - "cluster.info" and "cluster.storage" of the control socket: questions whose
 * answer takes a while.
 *
 * Room: agent. Calls console/info. Called by control.c, one for each client that asks.
 */
#ifndef KNELL_CONTROL_CLUSTER_H
#define KNELL_CONTROL_CLUSTER_H

#include <jansson.h>
#include "console/info.h"

struct control_cluster;

/**
 * control_cluster_ask - @answered comes once, from the loop, with what it may keep; NULL: no
 * memory.
 *
 * NULL when memory is out.
 */
struct control_cluster *control_cluster_ask(struct info *info, enum info_kind kind,
					    void (*answered)(void *ctx, json_t *data), void *ctx);

/** control_cluster_cancel - the client has left; @answered does not come. NULL is allowed. */
void control_cluster_cancel(struct control_cluster *question);

#endif
