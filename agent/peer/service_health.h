/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service_health.h - grpc.health.v1.Health: this node and its peers, by gRPC's standard protocol.
 *
 * Room: peer. Calls serve, message, roster. Told of verdicts by hooks.c.
 */
#ifndef KNELL_PEER_SERVICE_HEALTH_H
#define KNELL_PEER_SERVICE_HEALTH_H

#include <stdbool.h>
#include "peer/roster.h"
#include "peer/serve.h"

struct service_health;

enum { SERVICE_HEALTH_WATCHERS_MAX = 4096 };

/** service_health_open - add the service to @serve. 0 or -ENOMEM. */
int service_health_open(struct service_health **health, struct serve *serve,
			const struct roster *roster);

/** service_health_close - after serve_close(). NULL is allowed. */
void service_health_close(struct service_health *health);

/** service_health_changed - the state of @peer has. */
void service_health_changed(struct service_health *health, const struct roster_peer *peer);

/** service_health_link - this node's own link went down or came back. */
void service_health_link(struct service_health *health, bool down);

#endif
