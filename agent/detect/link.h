/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * link.h - this node's own link, over rtnetlink: look at yourself first.
 *
 * Room: detect. Calls libmnl and io/loop. main.c hands what it says to pins_link and the log.
 *
 * The carrier of the link that leads to the peers decides `isolated` at once. Neighbour entries
 * that fail only corroborate: they are counted and told, and decide nothing.
 */
#ifndef KNELL_DETECT_LINK_H
#define KNELL_DETECT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "io/loop.h"

struct link;

struct link_callbacks {
	/* The state of the link; first for the state at start, then on every change. */
	void (*on_link)(void *ctx, bool down);
	/* The kernel gave up on a neighbour; @addr is IPv4 or IPv6. */
	void (*on_neighbour_failed)(void *ctx, const struct sockaddr_storage *addr);
};

/**
 * link_open - watch @name, or when that is "" the interface that holds @local.
 *
 * -ENODEV when there is no such interface (then nothing is watched), or another negative errno.
 * The first on_link comes from the loop.
 */
int link_open(struct link **link, struct loop *loop, const char *name,
	      const struct sockaddr_storage *local, const struct link_callbacks *callbacks,
	      void *ctx);
void link_close(struct link *link);

#endif
