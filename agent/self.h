/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * self.h - what this node says of itself, to its peers and in its own view of the cluster.
 *
 * Room: agent. Calls config, peer/roster, peer/conn, store/drives. Given to service_peer and
 * console/info by node.c.
 */
#ifndef KNELL_SELF_H
#define KNELL_SELF_H

#include <stdint.h>
#include "config.h"
#include "io/loop.h"
#include "peer/conn.h"
#include "peer/roster.h"
#include "peer/server.h"
#include "store/drives.h"

/* How long a node waits for the first word of a peer before it calls itself ready without. */
#define SELF_SETTLE_NS UINT64_C(5000000000)

struct self {
	const struct config *config;
	const struct roster *roster;
	const struct conn_cache *conns;
	const struct drives *drives;
	const struct loop *loop;
	uint64_t began_ns;
	uint64_t began_wall_s;
	uint32_t cpus;
	uint64_t memory_bytes;
	/* Why the first drive keeps no objects, though it can be read; "": it does. */
	char store_why[DRIVE_REASON_BYTES];
};

/** self_begin - the rooms are filled in: note the time, and what the host has. */
void self_begin(struct self *self);

/** self_describe - for @describe of info and service_peer; ctx is the struct self. */
int self_describe(void *ctx, enum server_scope scope, struct server *server);

#endif
