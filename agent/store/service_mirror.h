/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service_mirror.h - knell.v1.Mirror: what this node does for peers that keep the same objects.
 *
 * Room: store. Calls peer/serve, the engine (dir*). Opened by the agent, asked by the peers'
 * mirror.c.
 */
#ifndef KNELL_STORE_SERVICE_MIRROR_H
#define KNELL_STORE_SERVICE_MIRROR_H

#include "peer/serve.h"
#include "store/mirror.h"

struct service_mirror;

/** service_mirror_open - answer peers out of @mirror's engine. 0 or -ENOMEM. */
int service_mirror_open(struct service_mirror **service, struct serve *serve,
			struct mirror *mirror);

/** service_mirror_close - after serve_close(), before mirror_close(). NULL is allowed. */
void service_mirror_close(struct service_mirror *service);

#endif
