/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.h - S3 at an address: connections, and one call at a time on each.
 *
 * Room: s3. Calls io/listen, io/http1, call. Opened by node.c where the configuration has [s3].
 */
#ifndef KNELL_S3_SERVER_H
#define KNELL_S3_SERVER_H

#include <sys/socket.h>
#include "io/loop.h"
#include "io/tls_context.h"
#include "s3/credentials.h"
#include "store/store.h"

enum { S3_CONNECTIONS_MAX = 4096 };

struct s3_server;

/* All of it must outlive the server. */
struct s3_options {
	struct loop *loop;
	struct store *store;
	const struct sockaddr *addr;
	struct tls_context *tls; /* NULL: in the clear */
	const struct s3_credentials *credentials;
	const char *region;
	const char *domain; /* buckets may be labels below it; NULL or "": in the path only */
};

/** s3_open - 0, or a negative errno as listen_open(). */
int s3_open(struct s3_server **server, const struct s3_options *options);

/** s3_port - where it listens, in host byte order. */
unsigned int s3_port(const struct s3_server *server);

/** s3_close - end all connections; before the store is closed. NULL is allowed. */
void s3_close(struct s3_server *server);

#endif
