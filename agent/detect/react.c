// SPDX-License-Identifier: BSD-2-Clause
/*
 * react.c - from a verdict to its consequences.
 *
 * Room: detect. Read the table at the bottom from top to bottom: that is the order in which things
 * happen. First comes what must not wait (connections that would hang whoever uses them), then what
 * helps to know more, and last the telling.
 */
#include <netinet/in.h>
#include <string.h>
#include "detect/react.h"
#include "io/clock.h"
#include "text/words.h"

#define IN(state) (1U << (state))

struct matter {
	struct react *react;
	const struct knell_record *record;
	struct roster_peer *peer;
	struct react_outcome *outcome;
	const char *words; /* the verdict, for those whose calls end by it */
};

static void keep_state(const struct matter *matter)
{
	matter->peer->state = matter->record->to;
	matter->peer->since_ns = matter->record->ts_ns;
	matter->peer->hold_until_ns = matter->record->hold_until_ns;
	if (matter->record->to == VERDICT_ISOLATED)
		matter->peer->was_isolated = true;
}

static void stop_dialling(const struct matter *matter)
{
	conn_allow(matter->react->conns, matter->peer, false);
}

static void evict_all(const struct matter *matter)
{
	matter->outcome->evicted +=
		conn_evict_peer(matter->react->conns, matter->peer, matter->words);
}

static void drop_idle(const struct matter *matter)
{
	matter->outcome->evicted += conn_drop_idle(matter->react->conns, matter->peer);
}

static void turn_away(const struct matter *matter)
{
	conn_turn_away(matter->react->conns, matter->peer, matter->words);
}

static void evict_stalled(const struct matter *matter)
{
	if (!conn_evict_cookie(matter->react->conns, matter->record->cookie, matter->words))
		matter->outcome->evicted++;
}

/*
 * Who is back from `isolated` was not evicted. Its heartbeat connection may sleep in its backoff
 * for a minute more, and a power-off in that minute would go unnoticed: a new one is dialled at
 * once.
 */
static void wake_heartbeat(const struct matter *matter)
{
	struct react *react = matter->react;
	uint64_t cookie;

	/* Otherwise it is the kernel side that says which connection has stalled. */
	if (!matter->peer->was_isolated)
		return;
	matter->peer->was_isolated = false;
	cookie = heartbeat_overslept(react->heartbeat, matter->peer->index);
	if (cookie && !conn_evict_cookie(react->conns, cookie, "it slept in its backoff"))
		matter->outcome->evicted++;
}

static void stamp_reaction(const struct matter *matter)
{
	matter->outcome->reaction_ns = clock_ns(CLOCK_MONOTONIC) - matter->record->ts_ns;
}

static void resume_dialling(const struct matter *matter)
{
	conn_allow(matter->react->conns, matter->peer, true);
}

static void turn_uploads(const struct matter *matter)
{
	if (matter->react->uploads)
		matter->react->uploads(matter->react->subscriber_ctx, matter->peer);
}

static void ask_the_others(const struct matter *matter)
{
	heartbeat_all(matter->react->heartbeat);
}

/*
 * Where to knock: a member's agent, or the port where the host has answered us before. Without one
 * there is no probing: behind a firewall that drops, a SYN to any other port proves nothing.
 */
static bool door_of(struct sockaddr_storage *addr, const struct matter *matter)
{
	const struct knell_record *record = matter->record;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;

	if (matter->peer) {
		*addr = matter->peer->addr;
		return true;
	}
	*addr = (struct sockaddr_storage){.ss_family = AF_INET6};
	v6->sin6_port = htons(record->answer_port);
	memcpy(&v6->sin6_addr, record->key.addr, sizeof(v6->sin6_addr));
	return record->answer_port != 0;
}

static void probe_fast(const struct matter *matter)
{
	struct sockaddr_storage addr;

	if (door_of(&addr, matter))
		probe_start(matter->react->probes, &matter->record->key, &addr, PROBE_FAST);
}

static void probe_slow(const struct matter *matter)
{
	struct sockaddr_storage addr;

	if (door_of(&addr, matter))
		probe_start(matter->react->probes, &matter->record->key, &addr, PROBE_SLOW);
}

static void watch_on(const struct matter *matter)
{
	/* A foreign service has no heartbeat that would end the watch, and counts such visits. */
	if (matter->peer)
		probe_watch(matter->react->probes, &matter->record->key);
	else
		probe_end(matter->react->probes, &matter->record->key);
}

/* A single unanswered segment is nothing to tell a person about. */
static bool is_blip(const struct knell_record *record)
{
	return record->to == VERDICT_SUSPECT ||
	       (record->from == VERDICT_SUSPECT && record->to <= VERDICT_DEGRADED);
}

static void write_log(const struct matter *matter)
{
	const struct knell_record *record = matter->record;
	const struct log *log = matter->react->log;
	char text[WORDS_RECORD_BYTES];

	words_record_text(text, sizeof(text), record, matter->peer ? matter->peer->name : NULL);
	if (record->kind == KNELL_RECORD_VERDICT && is_blip(record))
		log_debug(log, text, NULL);
	else
		log_info(log, text, "evicted=%u reaction_us=%llu repaired=%d",
			 matter->outcome->evicted,
			 (unsigned long long)matter->outcome->reaction_ns / 1000,
			 matter->outcome->repaired);
}

static void tell_subscribers(const struct matter *matter)
{
	matter->react->subscriber(matter->react->subscriber_ctx, matter->outcome);
}

#define ANY	(~0U)
#define SILENT	(IN(VERDICT_LOST) | IN(VERDICT_DEAD))
#define TALKING (IN(VERDICT_NEW) | IN(VERDICT_ALIVE) | IN(VERDICT_DEGRADED))

static const struct row {
	uint32_t kind;	 /* enum knell_record_kind */
	unsigned int to; /* states in which it applies */
	bool member;	 /* for members of the cluster only */
	bool news;	 /* not for what an earlier agent has told already */
	void (*act)(const struct matter *matter);
} rows[] = {
	{KNELL_RECORD_VERDICT, ANY, true, false, keep_state},
	/* 1: the connection cache */
	{KNELL_RECORD_VERDICT, SILENT, true, false, stop_dialling},
	{KNELL_RECORD_VERDICT, IN(VERDICT_DEAD), true, false, evict_all},
	{KNELL_RECORD_VERDICT, IN(VERDICT_LOST), true, false, drop_idle},
	{KNELL_RECORD_VERDICT, SILENT | IN(VERDICT_ISOLATED), true, false, turn_away},
	{KNELL_RECORD_STALLED, ANY, true, false, evict_stalled},
	{KNELL_RECORD_VERDICT, TALKING, true, false, wake_heartbeat},
	{KNELL_RECORD_VERDICT, ANY, false, false, stamp_reaction},
	{KNELL_RECORD_STALLED, ANY, false, false, stamp_reaction},
	{KNELL_RECORD_VERDICT, TALKING, true, false, resume_dialling},
	/* 2: uploads */
	{KNELL_RECORD_VERDICT, IN(VERDICT_DEAD) | IN(VERDICT_ISOLATED) | TALKING, true, false,
	 turn_uploads},
	/* 3: know more */
	{KNELL_RECORD_VERDICT, IN(VERDICT_SUSPECT), false, false, ask_the_others},
	{KNELL_RECORD_VERDICT, IN(VERDICT_SUSPECT) | IN(VERDICT_LOST), false, false, probe_fast},
	{KNELL_RECORD_VERDICT, IN(VERDICT_DEAD) | IN(VERDICT_ISOLATED), false, false, probe_slow},
	{KNELL_RECORD_VERDICT, TALKING, false, false, watch_on},
	/* 4: subscribers */
	{KNELL_RECORD_VERDICT, ANY, false, true, write_log},
	{KNELL_RECORD_STALLED, ANY, false, true, write_log},
	{KNELL_RECORD_VERDICT, ANY, false, true, tell_subscribers},
	{KNELL_RECORD_STALLED, ANY, false, true, tell_subscribers},
};

void react_verdict(void *ctx, const struct knell_record *record, enum ring_origin origin)
{
	struct react *react = ctx;
	struct roster_peer *peer = roster_by_key(react->roster, &record->key);
	struct react_outcome outcome = {
		.record = record, .peer = peer, .repaired = origin == RING_REPAIRED};
	char words[WORDS_RECORD_BYTES];
	const struct matter matter = {react, record, peer, &outcome, words};
	const struct row *row;

	words_verdict(words, sizeof(words), record, peer ? peer->name : NULL);
	for (row = rows; row < rows + sizeof(rows) / sizeof(rows[0]); row++)
		if (row->kind == record->kind && row->to & IN(record->to) &&
		    (!row->member || peer) && (!row->news || origin != RING_KNOWN))
			row->act(&matter);
}
