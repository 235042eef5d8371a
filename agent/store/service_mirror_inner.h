/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * service_mirror_inner.h - what the parts of the service share. Nobody else includes it.
 *
 * Room: store. service_mirror.c: the table, changes, the journal; service_mirror_write.c and
 * service_mirror_read.c: bytes in and out.
 */
#ifndef KNELL_STORE_SERVICE_MIRROR_INNER_H
#define KNELL_STORE_SERVICE_MIRROR_INNER_H

#include "peer/message.h"
#include "store/mirror_inner.h"
#include "store/service_mirror.h"

struct service_mirror {
	struct mirror *mirror;
};

/** service_mirror_asker - the peer that asks. */
struct mirror_member *service_mirror_asker(const struct service_mirror *service,
					   const struct serve_call *call);

/** service_mirror_refuse - end @call with what @err means to a peer. @call is gone. */
void service_mirror_refuse(struct serve_call *call, int err);

/* ---- methods; ctx is the service ---- */

void service_mirror_write(void *ctx, struct serve_call *call);
void service_mirror_read(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes);

#endif
