/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * roster.h - who belongs to the cluster, and what the kernel last said of each.
 *
 * Room: peer. Calls nobody. Read by everyone in peer/, control.c and the console; the state is
 * written by detect/react.c alone.
 */
#ifndef KNELL_PEER_ROSTER_H
#define KNELL_PEER_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "knell/abi.h"

#define ROSTER_ENDPOINT_BYTES 64 /* "[v6 address]:port" */

struct roster_peer {
	const char *name;
	struct sockaddr_storage addr; /* where its agent listens */
	struct knell_peer_key key;
	size_t index;	/* position in the roster, stable for life */
	uint16_t state; /* enum verdict_state */
	uint64_t since_ns;
	bool was_isolated;	/* and has not been heard since */
	uint64_t hold_until_ns; /* flapping: nothing new but the heartbeat before that */
};

struct roster {
	struct roster_peer *peers;
	size_t count;
	uint64_t netns; /* cookie of the namespace the peers are reached from */
};

/** roster_open - room for @count peers. 0 or -ENOMEM. Names are not copied: they stay the caller's.
 */
int roster_open(struct roster *roster, size_t count, uint64_t netns);
void roster_close(struct roster *roster);

/** roster_set - fill place @index. */
void roster_set(struct roster *roster, size_t index, const char *name,
		const struct sockaddr_storage *addr);

/** roster_by_key / roster_by_name - NULL when there is no such peer. By name also takes an address.
 */
struct roster_peer *roster_by_key(const struct roster *roster, const struct knell_peer_key *key);
struct roster_peer *roster_by_name(const struct roster *roster, const char *name);

/** roster_isolated - this node is cut off, as far as the verdicts tell: some say so, and nobody is
 * heard. An own link that is down need not show here.
 */
bool roster_isolated(const struct roster *roster);

/** roster_key - the key under which the kernel knows @addr; IPv4 becomes v4-mapped. */
void roster_key(struct knell_peer_key *key, uint64_t netns, const struct sockaddr_storage *addr);

/** roster_endpoint - "10.77.0.2:7400" or "[fd77::2]:7400". Returns @text. */
char *roster_endpoint(char text[ROSTER_ENDPOINT_BYTES], const struct sockaddr_storage *addr);

#endif
