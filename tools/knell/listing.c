// SPDX-License-Identifier: BSD-2-Clause
/*
 * listing.c - all peers of an instance, read at one moment. See listing.h.
 *
 * Room: tools/knell. May call detect/pins, io/clock, text/words, agent. Called by peer.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "detect/load.h"
#include "io/clock.h"
#include "listing.h"
#include "text/words.h"

#define FIRST_PEERS 64

static int collect(void *ctx, const struct knell_peer_key *key, const struct knell_peer *peer)
{
	struct listing *listing = ctx;
	struct listing_entry *grown;
	size_t room;

	if (listing->count == listing->room) {
		room = listing->room ? listing->room * 2 : FIRST_PEERS;
		grown = realloc(listing->entries, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		listing->entries = grown;
		listing->room = room;
	}
	listing->entries[listing->count++] = (struct listing_entry){.key = *key, .peer = *peer};
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct knell_peer_key *a = &((const struct listing_entry *)left)->key;
	const struct knell_peer_key *b = &((const struct listing_entry *)right)->key;
	int order = memcmp(a->addr, b->addr, sizeof(a->addr));

	if (order)
		return order;
	return a->netns < b->netns ? -1 : a->netns > b->netns;
}

enum command_status listing_read(struct command_context *context, const struct pins *pins,
				 struct listing *listing)
{
	int error = pins_config(pins, &listing->config);
	__u64 own_netns;

	if (!error)
		error = pins_node(pins, &listing->node);
	if (!error)
		error = pins_each_peer(pins, collect, listing);
	/* After the entries were read, so that no age comes out negative. */
	listing->now_ns = clock_ns(CLOCK_MONOTONIC);
	if (error)
		return command_fail(context, "cannot read the peers under %s: %s", pins->dir,
				    strerror(-error));
	if (listing->count)
		qsort(listing->entries, listing->count, sizeof(*listing->entries), compare);
	listing->elsewhere = listing->config.netns && !load_netns(&own_netns) &&
			     own_netns != listing->config.netns;
	listing->names = agent_names(context);
	return COMMAND_OK;
}

void listing_free(struct listing *listing)
{
	free(listing->entries);
	json_decref(listing->names);
}

const char *listing_name(const struct listing *listing, const __u8 *addr)
{
	char text[WORDS_ADDRESS_BYTES];
	const json_t *one;
	size_t i;

	words_address(text, sizeof(text), addr);
	for (i = 0; i < json_array_size(listing->names); i++) {
		one = json_array_get(listing->names, i);
		if (!strcmp(agent_text(one, "addr", ""), text))
			return agent_text(one, "name", NULL);
	}
	return NULL;
}

bool listing_isolated(const struct listing *listing)
{
	size_t i;

	for (i = 0; i < listing->count; i++)
		if (listing->entries[i].peer.verdict.state == VERDICT_ISOLATED)
			return true;
	return listing->config.link_down_ns != 0;
}

enum command_status listing_resolve(struct command_context *context, const struct listing *listing,
				    const char *peer, __u8 *addr)
{
	const json_t *one;
	size_t i;

	if (!words_address_parse(peer, addr))
		return COMMAND_OK;
	for (i = 0; i < json_array_size(listing->names); i++) {
		one = json_array_get(listing->names, i);
		if (!strcmp(agent_text(one, "name", ""), peer) &&
		    !words_address_parse(agent_text(one, "addr", ""), addr))
			return COMMAND_OK;
	}
	if (listing->names)
		return command_fail(context,
				    "the agent knows no peer '%.64s': see 'knell peer show'", peer);
	return command_fail(context,
			    "'%.64s' is not an address, and no agent at %s knows names: give the "
			    "address",
			    peer, context->socket_path);
}
