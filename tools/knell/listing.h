/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listing.h - all peers of an instance, read at one moment, with the names the agent gives them.
 *
 * Room: tools/knell. May call detect/pins, text/words, agent. Called by peer.c.
 */
#ifndef KNELL_LISTING_H
#define KNELL_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "command.h"
#include "detect/pins.h"

struct listing_entry {
	struct knell_peer_key key;
	struct knell_peer peer;
};

struct listing {
	struct listing_entry *entries; /* owned, by address, then namespace */
	size_t count, room;
	json_t *names; /* owned; NULL: no agent */
	struct knell_config config;
	struct knell_node node;
	__u64 now_ns;	/* CLOCK_MONOTONIC, taken after the entries */
	bool elsewhere; /* the instance watches another network namespace than the caller's */
};

/** listing_read - fill a zeroed @listing; what goes wrong is said. Free it in either case. */
enum command_status listing_read(struct command_context *context, const struct pins *pins,
				 struct listing *listing);
void listing_free(struct listing *listing);

/** listing_name - the agent's name for an address; NULL when there is none. Borrowed. */
const char *listing_name(const struct listing *listing, const __u8 *addr);

/** listing_resolve - address of PEER, given as such or by a name of the agent's; else said why. */
enum command_status listing_resolve(struct command_context *context, const struct listing *listing,
				    const char *peer, __u8 *addr);

/** listing_isolated - this node itself is cut off: then its verdicts blame nobody. */
bool listing_isolated(const struct listing *listing);

#endif
