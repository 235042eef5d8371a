/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pins.h - the pinned state of one loaded instance, opened by name.
 *
 * Room: detect. May call libbpf. Called by knelld (detect/), by the command line (tools/knell/) and
 * by the tests. Never loads anything: that is load.c.
 */
#ifndef KNELL_DETECT_PINS_H
#define KNELL_DETECT_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include "knell/abi.h"

enum pins_map {
	PINS_PEERS,
	PINS_WATCH,
	PINS_CONFIG,
	PINS_NODE,
	PINS_NOTES,
	PINS_STATS,
	PINS_SOCKS,
	PINS_ROLES,
	PINS_RING,
	PINS_MAPS
};

struct pins {
	char dir[192];
	int map[PINS_MAPS]; /* fds, -1 when closed */
	int sweep;	    /* link fd of the sweep iterator */
	int review;	    /* link fd of the review iterator */
	int claim;	    /* the directory, locked by pins_claim */
};

/** pins_map_name - the map's name, which is also its file name below the pin directory. */
const char *pins_map_name(enum pins_map map);

/**
 * pins_open - open what `knell load` left below @dir.
 *
 * Returns 0; -ENOENT when nothing is loaded there; -EPROTO when the pins are of another ABI (the
 * number found is then in *@abi_found when not NULL); -EPERM/-EACCES without the capability.
 * On failure *@pins is unchanged.
 */
int pins_open(struct pins *pins, const char *dir, unsigned int *abi_found);

/** pins_close - close every fd; safe on a struct of PINS_CLOSED. */
void pins_close(struct pins *pins);

#define PINS_CLOSED                                                                     \
	{                                                                               \
		.map = {-1, -1, -1, -1, -1, -1, -1, -1, -1}, .sweep = -1, .review = -1, \
		.claim = -1,                                                            \
	}

/**
 * pins_claim - be the one agent of this instance: its ring has one reader, its notes one writer.
 *
 * Holds until pins_close or the process ends, however it ends. -EBUSY when another has it.
 */
int pins_claim(struct pins *pins);

/** pins_peer - read one peer under its lock. 0, -ENOENT or another negative errno. */
int pins_peer(const struct pins *pins, const struct knell_peer_key *key, struct knell_peer *peer);

/**
 * pins_each_peer - call @visit for every peer, each read under its lock.
 *
 * Stops when @visit returns non-zero and returns that; else 0 or a negative errno.
 */
int pins_each_peer(const struct pins *pins,
		   int (*visit)(void *ctx, const struct knell_peer_key *key,
				const struct knell_peer *peer),
		   void *ctx);

/** pins_config - read the instance's configuration. */
int pins_config(const struct pins *pins, struct knell_config *config);

/** pins_set_config - replace it; the kernel side reads the new one at its next event. */
int pins_set_config(const struct pins *pins, const struct knell_config *config);

/** pins_node - read what is known over all peers. */
int pins_node(const struct pins *pins, struct knell_node *node);

/** pins_stats - sums over all CPUs, KNELL_STATS of them. */
int pins_stats(const struct pins *pins, __u64 *sums);

/**
 * pins_watch_add / pins_watch_del - put a prefix into the watch list, or take it out.
 *
 * @prefix_bits counts within the 128-bit v4-mapped address. Taking out also forgets the peers
 * that no remaining prefix covers. -ENOENT when it was not there, -E2BIG when the list is full.
 */
int pins_watch_add(const struct pins *pins, const struct knell_watch_key *key, __u32 flags);
int pins_watch_del(const struct pins *pins, const struct knell_watch_key *key);
int pins_each_watch(const struct pins *pins,
		    int (*visit)(void *ctx, const struct knell_watch_key *key,
				 const struct knell_watch *watch),
		    void *ctx);

/**
 * pins_review - let the kernel judge every peer again: after the link changed or a note was made.
 *
 * pins_note writes the agent's note (enum verdict_reason, 0 takes it back), pins_link the state of
 * the node's own link; both review at once.
 */
int pins_review(const struct pins *pins);
int pins_note(const struct pins *pins, const struct knell_peer_key *key, __u32 reason);
int pins_link(const struct pins *pins, bool down);

/** pins_watch_flags - of the longest prefix that covers @addr, 0 when none does. */
__u32 pins_watch_flags(const struct pins *pins, const __u8 addr[KNELL_ADDR_BYTES]);

/** pins_role - mark a socket before connect or on its first PING; @role is enum knell_role. */
int pins_role(const struct pins *pins, int socket, __u32 role);

#endif
