// SPDX-License-Identifier: BSD-2-Clause
/*
 * ring.c - verdicts from the kernel, in order, none lost and none twice.
 *
 * Room: detect. The map is the truth, the ring is the hint.
 *
 * Happy path: the ring's descriptor becomes readable -> every record in it goes to the reader, and
 * its sequence number is remembered per peer. The consumer position lives in the pinned ring, so
 * an agent that is started again goes on where the killed one stopped; what that one was told
 * stands in the map and is read back without being news.
 * Failure modes: a record did not fit: the kernel counted it, or the next one shows a gap; either
 * way the peers map is walked and the reader is told of each peer whose number there is higher.
 * A record that is older than what the map already told is dropped.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <uthash.h>
#include "detect/ring.h"
#include "io/loop_poll.h"

/* How often losses are looked for when no record comes to reveal them. */
#define RING_CHECK_NS 100000000ULL
/* Every so many checks the kernel is asked to judge again: suspicions that nothing feeds expire. */
#define RING_CHECKS_PER_REVIEW 100

struct known {
	struct knell_peer_key key;
	uint32_t seq;	/* the last one the reader was told */
	uint64_t ts_ns; /* and its stamp: an entry that was made anew counts from zero again */
	uint16_t state;
	UT_hash_handle hh;
};

struct ring {
	struct loop *loop;
	const struct pins *pins;
	struct ring_buffer *buffer;
	struct loop_poll *poll;
	struct timer check;
	struct known *known; /* uthash by key */
	ring_reader reader;
	void *ctx;
	uint64_t newest_ns;    /* stamp of the newest record that came through the ring */
	uint64_t lost;	       /* records */
	uint64_t counted_lost; /* the kernel's counter when last looked at */
	unsigned int checks;
	bool gap;
	bool started;
};

static struct known *known_of(struct ring *ring, const struct knell_peer_key *key, bool *fresh)
{
	struct known *known;

	HASH_FIND(hh, ring->known, key, sizeof(*key), known);
	*fresh = !known;
	if (known)
		return known;
	known = calloc(1, sizeof(*known));
	if (!known)
		return NULL;
	known->key = *key;
	HASH_ADD(hh, ring->known, key, sizeof(known->key), known);
	return known;
}

static int on_record(void *ctx, void *data, size_t size)
{
	const struct knell_record *record = data;
	struct ring *ring = ctx;
	struct known *known;
	bool fresh;

	if (size < sizeof(*record))
		return 0;
	if (record->ts_ns > ring->newest_ns)
		ring->newest_ns = record->ts_ns;
	if (record->kind != KNELL_RECORD_VERDICT) {
		ring->reader(ring->ctx, record, RING_LIVE);
		return 0;
	}
	known = known_of(ring, &record->key, &fresh);
	if (!known)
		return 0;
	if (!fresh && record->seq <= known->seq && record->ts_ns <= known->ts_ns)
		return 0;
	if (!fresh && record->seq != known->seq + 1)
		ring->gap = true;
	known->seq = record->seq;
	known->ts_ns = record->ts_ns;
	known->state = record->to;
	ring->reader(ring->ctx, record, RING_LIVE);
	return 0;
}

/* What the reader must know of a peer, as far as the map tells it. */
static void record_from_map(struct knell_record *record, const struct knell_peer_key *key,
			    const struct knell_peer *peer, uint16_t from)
{
	const struct verdict_peer *verdict = &peer->verdict;

	*record = (struct knell_record){
		.kind = KNELL_RECORD_VERDICT,
		.seq = verdict->seq,
		.ts_ns = verdict->since_ns,
		.key = *key,
		.epoch = verdict->epoch,
		.from = from,
		.to = verdict->state,
		.reason = verdict->reason,
		.phi_md = verdict->silence.phi_md,
		.sends = verdict->silence.sends,
		.tuples = verdict->tuple_count,
		.loss_ppm = verdict->loss_ppm,
		.flaps = verdict->flaps,
		.heard_ns = verdict->heard_ns,
		.began_ns = verdict->silence.began_ns,
		.tau_ns = verdict->learnt_tau_ns,
		.hold_until_ns = verdict->hold_until_ns,
		.noted = (__u16)verdict->noted,
		.answer_port = peer->answer_port,
	};
}

/*
 * At start, a peer of which the ring holds nothing: an earlier reader took its records, unless they
 * did not fit while nobody read. The ring drops the newest, so those are newer than all it holds.
 */
static bool was_told(const struct ring *ring, const struct knell_peer *peer)
{
	return !ring->started && (!ring->newest_ns || peer->verdict.since_ns <= ring->newest_ns);
}

static uint64_t records_missed(const struct ring *ring, const struct knell_peer *peer,
			       const struct known *known, bool fresh)
{
	if (fresh && !ring->started)
		return 1;
	return peer->verdict.seq > known->seq ? peer->verdict.seq - known->seq : peer->verdict.seq;
}

static int repair_peer(void *ctx, const struct knell_peer_key *key, const struct knell_peer *peer)
{
	struct knell_record record;
	struct ring *ring = ctx;
	enum ring_origin origin = RING_REPAIRED;
	struct known *known;
	bool fresh;

	known = known_of(ring, key, &fresh);
	if (!known || (peer->verdict.seq <= known->seq && peer->verdict.since_ns <= known->ts_ns))
		return 0;
	record_from_map(&record, key, peer, known->state);
	if (fresh && was_told(ring, peer))
		origin = RING_KNOWN;
	else
		ring->lost += records_missed(ring, peer, known, fresh);
	known->seq = peer->verdict.seq;
	known->ts_ns = peer->verdict.since_ns;
	known->state = peer->verdict.state;
	ring->reader(ring->ctx, &record, origin);
	return 0;
}

static void repair(struct ring *ring)
{
	ring->gap = false;
	pins_each_peer(ring->pins, repair_peer, ring);
}

int ring_standing(const struct ring *ring, const struct knell_peer_key *key,
		  struct knell_record *record)
{
	struct knell_peer peer;
	int err = pins_peer(ring->pins, key, &peer);

	if (!err)
		record_from_map(record, key, &peer, peer.verdict.state);
	return err;
}

void ring_check(struct ring *ring)
{
	__u64 stats[KNELL_STATS];

	/* What is still in the ring comes first: the map would overtake it. */
	ring_buffer__consume(ring->buffer);
	if (!pins_stats(ring->pins, stats) && stats[KNELL_STAT_RING_LOST] != ring->counted_lost) {
		ring->counted_lost = stats[KNELL_STAT_RING_LOST];
		ring->gap = true;
	}
	if (ring->gap)
		repair(ring);
}

static void on_readable(void *ctx, uint32_t revents)
{
	struct ring *ring = ctx;

	(void)revents;
	ring_buffer__consume(ring->buffer);
	if (ring->gap)
		repair(ring);
}

static void on_check(struct timer *timer)
{
	struct ring *ring = LOOP_OWNER(timer, struct ring, check);

	if (++ring->checks % RING_CHECKS_PER_REVIEW == 0)
		pins_review(ring->pins);
	ring_check(ring);
	loop_arm(ring->loop, &ring->check, loop_now_ns(ring->loop) + RING_CHECK_NS);
}

int ring_open(struct ring **ring, struct loop *loop, const struct pins *pins, ring_reader reader,
	      void *ctx)
{
	struct ring *fresh = calloc(1, sizeof(*fresh));
	__u64 stats[KNELL_STATS] = {};

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->pins = pins;
	fresh->reader = reader;
	fresh->ctx = ctx;
	fresh->check.fire = on_check;
	fresh->buffer = ring_buffer__new(pins->map[PINS_RING], on_record, fresh, NULL);
	if (!fresh->buffer) {
		free(fresh);
		return -errno;
	}
	pins_stats(pins, stats);
	fresh->counted_lost = stats[KNELL_STAT_RING_LOST];
	*ring = fresh;
	return 0;
}

int ring_start(struct ring *ring)
{
	int err = loop_poll(ring->loop, ring_buffer__epoll_fd(ring->buffer), POLLIN, on_readable,
			    ring, &ring->poll);

	if (err)
		return err;
	ring_buffer__consume(ring->buffer);
	repair(ring);
	ring->started = true;
	loop_arm(ring->loop, &ring->check, loop_now_ns(ring->loop) + RING_CHECK_NS);
	return 0;
}

void ring_close(struct ring *ring)
{
	struct known *known, *next;

	if (!ring)
		return;
	known = ring->known;
	loop_disarm(ring->loop, &ring->check);
	loop_poll_stop(ring->poll);
	ring_buffer__free(ring->buffer);
	HASH_CLEAR(hh, ring->known);
	for (; known; known = next) {
		next = known->hh.next;
		free(known);
	}
	free(ring);
}

uint64_t ring_lost(const struct ring *ring)
{
	return ring->lost;
}
