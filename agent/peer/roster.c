// SPDX-License-Identifier: BSD-2-Clause
/*
 * roster.c - who belongs to the cluster. See roster.h.
 *
 * Room: peer. A cluster has tens of members, seldom hundreds: a walk is as fast as a hash here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "peer/roster.h"
#include "text/words.h"

int roster_open(struct roster *roster, size_t count, uint64_t netns)
{
	struct roster_peer *peers = calloc(count ? count : 1, sizeof(*peers));

	if (!peers)
		return -ENOMEM;
	roster->peers = peers;
	roster->count = count;
	roster->netns = netns;
	return 0;
}

void roster_close(struct roster *roster)
{
	free(roster->peers);
	roster->peers = NULL;
	roster->count = 0;
}

void roster_key(struct knell_peer_key *key, uint64_t netns, const struct sockaddr_storage *addr)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(key, 0, sizeof(*key));
	key->netns = netns;
	if (addr->ss_family == AF_INET) {
		memcpy(key->addr, v4_mapped, sizeof(v4_mapped));
		memcpy(key->addr + sizeof(v4_mapped), &((const struct sockaddr_in *)addr)->sin_addr,
		       sizeof(struct in_addr));
	} else {
		memcpy(key->addr, &((const struct sockaddr_in6 *)addr)->sin6_addr,
		       sizeof(struct in6_addr));
	}
}

void roster_set(struct roster *roster, size_t index, const char *name,
		const struct sockaddr_storage *addr)
{
	struct roster_peer *peer = &roster->peers[index];

	peer->name = name;
	peer->addr = *addr;
	peer->index = index;
	roster_key(&peer->key, roster->netns, addr);
}

struct roster_peer *roster_by_key(const struct roster *roster, const struct knell_peer_key *key)
{
	size_t i;

	for (i = 0; i < roster->count; i++)
		if (!memcmp(&roster->peers[i].key, key, sizeof(*key)))
			return &roster->peers[i];
	return NULL;
}

struct roster_peer *roster_by_name(const struct roster *roster, const char *name)
{
	struct knell_peer_key key = {.netns = roster->netns};
	size_t i;

	for (i = 0; i < roster->count; i++)
		if (!strcmp(roster->peers[i].name, name))
			return &roster->peers[i];
	return words_address_parse(name, key.addr) ? NULL : roster_by_key(roster, &key);
}

char *roster_endpoint(char text[ROSTER_ENDPOINT_BYTES], const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)addr;
	char host[INET6_ADDRSTRLEN];

	if (addr->ss_family == AF_INET)
		snprintf(text, ROSTER_ENDPOINT_BYTES, "%s:%u",
			 inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)),
			 ntohs(v4->sin_port));
	else
		snprintf(text, ROSTER_ENDPOINT_BYTES, "[%s]:%u",
			 inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)),
			 ntohs(v6->sin6_port));
	return text;
}

bool roster_isolated(const struct roster *roster)
{
	bool cut_off = false;
	size_t i;

	for (i = 0; i < roster->count; i++) {
		if (roster->peers[i].state == VERDICT_ALIVE ||
		    roster->peers[i].state == VERDICT_DEGRADED)
			return false;
		cut_off |= roster->peers[i].state == VERDICT_ISOLATED;
	}
	return cut_off;
}
