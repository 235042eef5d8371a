/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.h - one running knelld: everything that it has open, and the order in which it opens.
 *
 * Room: agent. Calls every room; called by main.c. hooks.c shares the struct, since that is where
 * one room's news become another room's work.
 */
#ifndef KNELL_NODE_H
#define KNELL_NODE_H

#include "config.h"
#include "console/info.h"
#include "control.h"
#include "detect/heartbeat.h"
#include "detect/link.h"
#include "detect/pins.h"
#include "detect/probe.h"
#include "detect/react.h"
#include "detect/ring.h"
#include "detect/sweep.h"
#include "io/listen.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/loop_signal.h"
#include "io/tls_context.h"
#include "peer/call.h"
#include "peer/conn.h"
#include "peer/local.h"
#include "peer/roster.h"
#include "peer/serve.h"
#include "peer/service_health.h"
#include "peer/service_peer.h"
#include "peer/service_verdicts.h"
#include "s3/server.h"
#include "self.h"
#include "store/dir.h"
#include "store/drives.h"
#include "store/mirror.h"
#include "store/service_mirror.h"

#define NODE_WHY_BYTES 512

struct node {
	struct config config;
	struct log log;
	struct pins pins;
	struct knell_config kernel; /* what the kernel side runs with */
	struct loop *loop;
	struct loop_signal *signals;
	struct tls_context *tls;
	struct roster roster;
	struct conn_cache *conns;
	struct listener *listener;
	struct sweep *sweep;
	struct probe_set *probes;
	struct heartbeat *heartbeat;
	struct react react;
	struct ring *ring;
	struct link *link;
	struct drives *drives;
	struct store *store;   /* NULL: no drive to keep objects on */
	int store_err;	       /* why none can be kept, as last told */
	struct mirror *mirror; /* NULL: this node keeps them alone */
	struct service_mirror *mirror_service;
	struct s3_server *s3;
	struct s3_root s3_root;
	struct tls_context *s3_tls; /* NULL: in the clear */
	struct self self;
	struct call_book *calls;
	struct serve *serve;
	struct service_peer *peer_service;
	struct service_verdicts *verdict_service;
	struct service_health *health_service;
	struct local *local;
	struct serve_door peers_door, local_door;
	struct info *info;
	struct control *control;
	bool loaded; /* the detector, by this process */
	char why[NODE_WHY_BYTES];
};

/**
 * node_read - read the configuration at @path and the certificates that it names.
 *
 * 0, or a negative errno with one line in node->why. @node is zeroed but for its log and
 * PINS_CLOSED.
 */
int node_read(struct node *node, const char *path);

/** node_check - after node_read: would the peers believe us? 0, or -EINVAL with node->why. */
int node_check(struct node *node);

/** node_open - open everything and start to dial. 0 or a negative errno, already logged. */
int node_open(struct node *node);

/** node_run - after node_open: run until a signal, or until someone stops the loop. 0 or a negative
 * errno.
 */
int node_run(struct node *node);

/** node_is_released_soon - after -EADDRINUSE: has waited a little, try again. *tries begins as 0.
 */
bool node_is_released_soon(int err, unsigned int *tries);

/** node_close - give back whatever is open, after any of the above has failed too. */
void node_close(struct node *node);

#endif
