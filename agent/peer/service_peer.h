/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service_peer.h - knell.v1.Peer: what one node asks another. ServerInfo, StorageInfo and Ping are
 * answered at once; Verdicts is service_verdicts.
 *
 * Room: peer. Calls serve, message, server. What this node is comes from the agent through
 * @describe.
 */
#ifndef KNELL_PEER_SERVICE_PEER_H
#define KNELL_PEER_SERVICE_PEER_H

#include "peer/serve.h"
#include "peer/server.h"

struct service_peer;

enum { SERVICE_PEER_PAYLOAD_BYTES_MAX = 65536 };

/**
 * service_peer_open - add the service to @serve; @name (of this node) stays the caller's.
 *
 * @describe fills an empty struct server with what this node says of itself, as far as @scope asks:
 * 0, or a negative errno with @self still to be freed. 0 or -ENOMEM.
 */
int service_peer_open(struct service_peer **service, struct serve *serve, const char *name,
		      int (*describe)(void *ctx, enum server_scope scope, struct server *self),
		      void *ctx);

/** service_peer_close - after serve_close(). NULL is allowed. */
void service_peer_close(struct service_peer *service);

#endif
