// SPDX-License-Identifier: BSD-2-Clause
/*
 * probe.c - knock on a silent peer's door from fresh ports. See probe.h for why it cannot lie.
 *
 * Room: detect.
 *
 * Happy path: start -> a connect every interval, up to PROBE_SOCKETS at once, the oldest giving way
 * -> the peer answers (SYN-ACK or RST), the kernel publishes "alive", react.c calls probe_stop.
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
	UT_hash_handle hh;
};

struct probe_set {
	struct loop *loop;
	const struct pins *pins;
	struct sweep *sweep;
	uint64_t interval_ns;
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

	return (probe->pace == PROBE_SLOW ? PROBE_SLOW_NS : set->interval_ns) * (crowd + 1);
}

static void knock(struct probe *probe)
{
	unsigned int slots = probe->pace == PROBE_SLOW ? PROBE_SLOW_SOCKETS : PROBE_SOCKETS;
	struct probe_set *set = probe->set;
	struct tcp_opts opts = {.prepare = prepare, .prepare_ctx = set};
	unsigned int slot = probe->next % slots;

	hang_up(probe, slot);
	probe->next = slot + 1;
	if (tcp_connect(set->loop, (const struct sockaddr *)&probe->addr, &opts, &callbacks, probe,
			&probe->sockets[slot]))
		probe->sockets[slot] = NULL;
	if (probe->pace == PROBE_FAST)
		sweep_kick(set->sweep);
	loop_arm(set->loop, &probe->tick, loop_now_ns(set->loop) + interval_ns(probe));
}

static void on_tick(struct timer *timer)
{
	knock(LOOP_OWNER(timer, struct probe, tick));
}

int probe_open(struct probe_set **probes, struct loop *loop, const struct pins *pins,
	       struct sweep *sweep, uint32_t interval_us)
{
	struct probe_set *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->pins = pins;
	fresh->sweep = sweep;
	fresh->interval_ns = interval_us * NS_PER_US;
	*probes = fresh;
	return 0;
}

static void probe_end(struct probe *probe)
{
	unsigned int slot;

	for (slot = 0; slot < PROBE_SOCKETS; slot++)
		hang_up(probe, slot);
	loop_disarm(probe->set->loop, &probe->tick);
	HASH_DEL(probe->set->probes, probe);
	free(probe);
}

void probe_close(struct probe_set *probes)
{
	struct probe *probe, *next;

	if (!probes)
		return;
	HASH_ITER(hh, probes->probes, probe, next)
		probe_end(probe);
	free(probes);
}

void probe_start(struct probe_set *probes, const struct knell_peer_key *key,
		 const struct sockaddr_storage *addr, enum probe_pace pace)
{
	struct probe *probe;
	unsigned int slot;

	HASH_FIND(hh, probes->probes, key, sizeof(*key), probe);
	if (probe) {
		if (pace == PROBE_SLOW && probe->pace == PROBE_FAST)
			for (slot = PROBE_SLOW_SOCKETS; slot < PROBE_SOCKETS; slot++)
				hang_up(probe, slot);
		probe->pace = pace;
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
	knock(probe);
}

void probe_stop(struct probe_set *probes, const struct knell_peer_key *key)
{
	struct probe *probe;

	HASH_FIND(hh, probes->probes, key, sizeof(*key), probe);
	if (probe)
		probe_end(probe);
}
