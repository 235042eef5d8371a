/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service_verdicts.h - knell.v1.Peer/Verdicts: the verdicts of this node, with evidence, to whoever
 * follows them.
 *
 * Room: peer. Calls serve, message, roster, text/words. Told of verdicts by hooks.c.
 */
#ifndef KNELL_PEER_SERVICE_VERDICTS_H
#define KNELL_PEER_SERVICE_VERDICTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/loop.h"
#include "knell/abi.h"
#include "peer/roster.h"
#include "peer/serve.h"

struct service_verdicts;

enum { SERVICE_VERDICTS_FOLLOWERS_MAX = 256 };

/* One verdict, after the fact. */
struct service_verdicts_news {
	const struct knell_record *record;
	const struct roster_peer *peer; /* NULL: watched, but not one of the cluster */
	bool repaired;
	unsigned int evicted;
	uint64_t reaction_ns;
};

/**
 * service_verdicts_open - add the method to @serve. @name (of this node) stays the caller's.
 *
 * @standing reads the present verdict on a peer, evidence included; 0 or a negative errno.
 */
int service_verdicts_open(struct service_verdicts **service, struct loop *loop, struct serve *serve,
			  const char *name, const struct roster *roster,
			  int (*standing)(void *ctx, const struct roster_peer *peer,
					  struct knell_record *record),
			  void *ctx);

/** service_verdicts_close - after serve_close(). NULL is allowed. */
void service_verdicts_close(struct service_verdicts *service);

/** service_verdicts_tell - every follower, at once. */
void service_verdicts_tell(struct service_verdicts *service,
			   const struct service_verdicts_news *news);

#endif
