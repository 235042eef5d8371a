/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * local.h - gRPC for the programs of this very host: no TLS, no certificate, no peer.
 *
 * Room: peer. Calls io/listen, io/http2, serve. Opened by node.c where the configuration names a
 * place ([grpc] local).
 */
#ifndef KNELL_PEER_LOCAL_H
#define KNELL_PEER_LOCAL_H

#include <sys/socket.h>
#include "io/loop.h"
#include "peer/serve.h"

struct local;

/**
 * local_open - serve at @addr: AF_UNIX or a loopback address.
 *
 * @door outlives @serve. 0, -ENOMEM, or as listen_open().
 */
int local_open(struct local **local, struct loop *loop, const struct sockaddr *addr,
	       struct serve *serve, struct serve_door *door);

/** local_close - end all connections in order, after what their programs have been answered: after
 * serve_close(). NULL is allowed.
 */
void local_close(struct local *local);

#endif
