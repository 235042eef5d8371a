// SPDX-License-Identifier: BSD-2-Clause
/*
 * probe.c - knock on a silent peer's door from fresh ports. See probe.h for why it cannot lie.
 *
 * Room: detect.
 *
 * Happy path: start -> a connect every interval, up to PROBE_SOCKETS at once, the oldest giving way
 * -> the peer answers (SYN-ACK or RST), the kernel publishes "alive", react.c calls probe_watch,
 * and probe_stop when the heartbeat itself is answered again.
 * Failure modes: connect() fails here and now (no route, no ports): no evidence, try again at the
 * next tick. Nobody ever answers: slow pace for ever. Many peers silent at once: the interval grows
 * with their number, since then it is usually us.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "detect/probe.h"
#include "io/tcp.h"

#define PROBE_SOCKETS	   8
#define PROBE_SLOW_NS	   250000000ULL
#define PROBE_SLOW_SOCKETS 2
/* Long enough for a connection's backoff, short enough for a stopped program's accept queue. */
#define PROBE_WATCH_KNOCKS 20
/* Up to this many silent peers are each probed at the full pace. */
#define PROBE_FULL_PACE_PEERS 16
#define NS_PER_US	      1000ULL

struct probe {
	struct knell_peer_key key;
	struct probe_set *set;
	struct sockaddr_storage addr;
	struct timer tick;
	struct tcp *sockets[PROBE_SOCKETS];
	unsigned int next; /* slot that gives way */
	enum probe_pace pace;
	unsigned int watched; /* knocks since it was heard */
	UT_hash_handle hh;
};

struct probe_set {
	struct loop *loop;
	const struct pins *pins;
	struct sweep *sweep;
	uint64_t interval_ns;
	uint64_t heartbeat_ns;
	struct probe *probes; /* uthash by key */
};

static int prepare(void *ctx, int fd)
{
	const struct probe_set *set = ctx;

	return pins_role(set->pins, fd, KNELL_ROLE_PROBE);
}

static void hang_up(struct probe *probe, unsigned int slot)
{
	tcp_abort(probe->sockets[slot]);
	probe->sockets[slot] = NULL;
}

/* Answered or refused, the kernel has stamped it already; the socket has done its work. */
static void on_connect(void *ctx, int err)
{
	(void)ctx;
	(void)err;
}

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
}

static void on_close(void *ctx, int err)
{
	(void)ctx;
	(void)err;
}

static const struct tcp_callbacks callbacks = {
	.on_connect = on_connect,
	.on_data = on_data,
	.on_close = on_close,
};

static uint64_t interval_ns(const struct probe *probe)
{
	const struct probe_set *set = probe->set;
	unsigned int crowd = HASH_COUNT(set->probes) / PROBE_FULL_PACE_PEERS;
	const uint64_t paces[] = {
		[PROBE_FAST] = set->interval_ns,
		[PROBE_SLOW] = PROBE_SLOW_NS,
		[PROBE_WATCH] = set->heartbeat_ns,
	};

	return paces[probe->pace] * (crowd + 1);
}

static void release(struct probe *probe)
{
	unsigned int slot;

	for (slot = 0; slot < PROBE_SOCKETS; slot++)
		hang_up(probe, slot);
	loop_disarm(probe->set->loop, &probe->tick);
	HASH_DEL(probe->set->probes, probe);
	free(probe);
}

/* @sweeping: more than the answer to this knock may tell of the peer, so look there too. */
static void knock(struct probe *probe, bool sweeping)
{
	unsigned int slots = probe->pace == PROBE_FAST ? PROBE_SOCKETS : PROBE_SLOW_SOCKETS;
	struct probe_set *set = probe->set;
	struct tcp_opts opts = {.prepare = prepare, .prepare_ctx = set};
	unsigned int slot = probe->next % slots;

	hang_up(probe, slot);
	probe->next = slot + 1;
	if (tcp_connect(set->loop, (const struct sockaddr *)&probe->addr, &opts, &callbacks, probe,
			&probe->sockets[slot]))
		probe->sockets[slot] = NULL;
	if (sweeping)
		sweep_kick(set->sweep);
	loop_arm(set->loop, &probe->tick, loop_now_ns(set->loop) + interval_ns(probe));
}

/*
 * Whoever is silent and not yet dead may have been heard by a connection that does not tell; the
 * verdict waits for a recent look (verdict.h, `unasked`), an isolated peer's like any other.
 */
static bool may_be_heard(const struct knell_peer *peer)
{
	return peer->verdict.silence.sends && peer->verdict.state != VERDICT_DEAD;
}

static void on_tick(struct timer *timer)
{
	struct probe *probe = LOOP_OWNER(timer, struct probe, tick);
	/* Taken off the watch list meanwhile: nothing tells of such a peer any more. */
	struct knell_peer peer = {};
	bool gone = pins_peer(probe->set->pins, &probe->key, &peer) == -ENOENT;

	if (gone || (probe->pace == PROBE_WATCH && probe->watched++ == PROBE_WATCH_KNOCKS))
		release(probe);
	else
		knock(probe, may_be_heard(&peer));
}

int probe_open(struct probe_set **probes, struct loop *loop, const struct pins *pins,
	       struct sweep *sweep, uint32_t interval_us, uint32_t heartbeat_us)
{
	struct probe_set *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->pins = pins;
	fresh->sweep = sweep;
	fresh->interval_ns = interval_us * NS_PER_US;
	fresh->heartbeat_ns = heartbeat_us * NS_PER_US;
	*probes = fresh;
	return 0;
}

void probe_close(struct probe_set *probes)
{
	struct probe *probe, *next;

	if (!probes)
		return;
	HASH_ITER(hh, probes->probes, probe, next)
		release(probe);
	free(probes);
}

static void set_pace(struct probe *probe, enum probe_pace pace)
{
	unsigned int slot;

	if (pace != PROBE_FAST)
		for (slot = PROBE_SLOW_SOCKETS; slot < PROBE_SOCKETS; slot++)
			hang_up(probe, slot);
	/* Suspected again while only watched: do not wait for the next slow knock. */
	if (pace == PROBE_FAST && probe->pace != PROBE_FAST)
		loop_arm(probe->set->loop, &probe->tick, loop_now_ns(probe->set->loop));
	probe->pace = pace;
	probe->watched = 0;
}

void probe_start(struct probe_set *probes, const struct knell_peer_key *key,
		 const struct sockaddr_storage *addr, enum probe_pace pace)
{
	struct probe *probe;

	HASH_FIND(hh, probes->probes, key, sizeof(*key), probe);
	if (probe) {
		set_pace(probe, pace);
		return;
	}
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return;
	probe->key = *key;
	probe->set = probes;
	probe->addr = *addr;
	probe->pace = pace;
	probe->tick.fire = on_tick;
	HASH_ADD(hh, probes->probes, key, sizeof(probe->key), probe);
	knock(probe, pace == PROBE_FAST);
}

void probe_watch(struct probe_set *probes, const struct knell_peer_key *key)
{
	struct probe *probe;

	HASH_FIND(hh, probes->probes, key, sizeof(*key), probe);
	if (probe)
		set_pace(probe, PROBE_WATCH);
}

void probe_stop(struct probe_set *probes, const struct knell_peer_key *key)
{
	struct probe *probe;

	HASH_FIND(hh, probes->probes, key, sizeof(*key), probe);
	if (probe && probe->pace == PROBE_WATCH)
		release(probe);
}

void probe_end(struct probe_set *probes, const struct knell_peer_key *key)
{
	struct probe *probe;

	HASH_FIND(hh, probes->probes, key, sizeof(*key), probe);
	if (probe)
		release(probe);
}
