// SPDX-License-Identifier: BSD-2-Clause
/*
 * poll.c - verdicts found by comparing the pinned peers map with what it was. See poll.h.
 *
 * Room: tools/knell. May call detect/pins, io/clock, text/words. Called by event.c.
 */
#include <errno.h>
#include <stdlib.h>

/* Out of memory must be an answer, not an exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "io/clock.h"
#include "poll.h"
#include "text/words.h"

#define NS_PER_US 1000ULL

/* What a peer looked like when it was last compared. */
struct poll_seen {
	struct knell_peer_key key;
	__u32 seq;
	__u32 stalls;
	__u16 state;
	unsigned int round;
	UT_hash_handle hh;
};

static __u64 gap_us(__u64 from_ns, __u64 to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / NS_PER_US : 0;
}

static int add(json_t *event, const char *key, __u64 value)
{
	return json_object_set_new(event, key, json_integer((json_int_t)value));
}

static int add_evidence(json_t *event, const struct verdict_peer *verdict, __u64 ts_ns)
{
	const struct verdict_tally *silence = &verdict->silence;
	int failed = 0;

	failed |= add(event, "seq", verdict->seq);
	failed |= add(event, "epoch", verdict->epoch);
	failed |= add(event, "phi_md", silence->phi_md);
	failed |= add(event, "unanswered", silence->sends);
	failed |= add(event, "tuples", verdict->tuple_count);
	failed |= add(event, "loss_ppm", verdict->loss_ppm);
	failed |= add(event, "flaps", verdict->flaps);
	if (verdict->heard_ns)
		failed |= add(event, "heard_age_us", gap_us(verdict->heard_ns, ts_ns));
	if (silence->began_ns)
		failed |= add(event, "silence_us", gap_us(silence->began_ns, ts_ns));
	return failed;
}

/* An event in the agent's form; NULL without memory. */
static json_t *event_of(const struct poll *poll, const char *kind, const struct knell_peer_key *key,
			const struct verdict_peer *verdict, unsigned int from, __u64 ts_ns)
{
	__u64 now_ns = clock_ns(CLOCK_MONOTONIC), wall_ns = clock_ns(CLOCK_REALTIME);
	char addr[WORDS_ADDRESS_BYTES], wall[WORDS_WALL_BYTES];
	json_t *event;

	words_wall(wall, sizeof(wall), ts_ns < now_ns ? wall_ns - (now_ns - ts_ns) : wall_ns);
	event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "event", kind, "wall", wall,
			  "node", poll->node.nodename, "addr",
			  words_address(addr, sizeof(addr), key->addr), "from", words_state(from),
			  "to", words_state(verdict->state), "reason",
			  words_reason(verdict->reason));
	if (!event)
		return NULL;
	if (add(event, "ts_ns", ts_ns) | add(event, "netns", key->netns) |
	    add_evidence(event, verdict, ts_ns)) {
		json_decref(event);
		return NULL;
	}
	return event;
}

static int tell(struct poll *poll, json_t *event, __u64 missed)
{
	if (!event)
		return -ENOMEM;
	if (add(event, "missed", missed)) {
		json_decref(event);
		return -ENOMEM;
	}
	return poll->show(poll->ctx, event) ? 1 : 0;
}

static int compare(struct poll *poll, const struct poll_seen *was, const struct knell_peer_key *key,
		   const struct knell_peer *peer)
{
	const struct verdict_peer *verdict = &peer->verdict;
	int found = 0;

	if (verdict->seq != was->seq)
		found = tell(poll,
			     event_of(poll, "verdict", key, verdict, was->state, verdict->since_ns),
			     verdict->seq - was->seq - 1);
	if (!found && peer->stalls != was->stalls)
		found = tell(poll,
			     event_of(poll, "stalled", key, verdict, verdict->state,
				      clock_ns(CLOCK_MONOTONIC)),
			     peer->stalls - was->stalls - 1);
	return found;
}

static struct poll_seen *remember(struct poll *poll, const struct knell_peer_key *key)
{
	struct poll_seen *seen = calloc(1, sizeof(*seen)), *added = NULL;

	if (!seen)
		return NULL;
	seen->key = *key;
	HASH_ADD(hh, poll->seen, key, sizeof(seen->key), seen);
	HASH_FIND(hh, poll->seen, key, sizeof(*key), added);
	if (!added)
		free(seen);
	return added;
}

static int visit(void *ctx, const struct knell_peer_key *key, const struct knell_peer *peer)
{
	struct poll *poll = ctx;
	struct poll_seen *seen = NULL;
	int found = 0;

	HASH_FIND(hh, poll->seen, key, sizeof(*key), seen);
	/* A peer that is new in a later round starts from nothing: what it did since is news. */
	if (!seen) {
		seen = remember(poll, key);
		if (!seen)
			return -ENOMEM;
	}
	if (poll->round)
		found = compare(poll, seen, key, peer);
	seen->seq = peer->verdict.seq;
	seen->state = peer->verdict.state;
	seen->stalls = peer->stalls;
	seen->round = poll->round;
	return found;
}

static void forget(struct poll *poll, bool all)
{
	struct poll_seen *seen, *next;

	for (seen = poll->seen; seen; seen = next) {
		next = seen->hh.next;
		if (!all && seen->round == poll->round)
			continue;
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow uthash. */
		HASH_DEL(poll->seen, seen);
		free(seen);
	}
}

void poll_init(struct poll *poll)
{
	uname(&poll->node);
}

int poll_round(struct poll *poll, const struct pins *pins)
{
	int found = pins_each_peer(pins, visit, poll);

	if (found)
		return found;
	forget(poll, false);
	poll->round++;
	return 0;
}

void poll_free(struct poll *poll)
{
	forget(poll, true);
}
