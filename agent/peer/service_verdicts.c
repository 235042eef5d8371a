// SPDX-License-Identifier: BSD-2-Clause
/*
 * service_verdicts.c - knell.v1.Peer/Verdicts. See service_verdicts.h.
 *
 * Room: peer.
 *
 * Happy path: the standing verdict of every peer, then each as it comes, until the client has had
 * enough.
 * Failure modes: the standing verdicts of a large cluster are more than a call may have queued:
 * they go on a moment later, a few times. Too many follow, or one does not read:
 * RESOURCE_EXHAUSTED. The standing verdict of a peer cannot be read: what the roster holds of it is
 * told, without evidence.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include "io/clock.h"
#include "knell/v1/peer.pb-c.h"
#include "peer/message.h"
#include "peer/service_verdicts.h"
#include "text/words.h"

#define NS_PER_US UINT64_C(1000)

#define STANDING_PAUSE_NS   UINT64_C(20000000)
#define STANDING_PAUSES_MAX 100

struct follower {
	LIST_ENTRY(follower) entry;
	struct service_verdicts *service;
	struct serve_call *call;
	size_t standing_told; /* peers of the roster */
	unsigned int pauses;
	struct timer resume;
};

struct service_verdicts {
	struct loop *loop;
	const char *name;
	const struct roster *roster;
	int (*standing)(void *ctx, const struct roster_peer *peer, struct knell_record *record);
	void *ctx;
	size_t follower_count;
	LIST_HEAD(, follower) followers;
};

static uint64_t span_us(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / NS_PER_US : 0;
}

/* The evidence. @wall_offset_ns: what to add to a monotonic stamp. */
static void fill_evidence(Knell__V1__Verdict *verdict, const struct knell_record *record,
			  uint64_t wall_offset_ns)
{
	verdict->reason = (char *)words_reason(record->reason);
	verdict->phi_md = record->phi_md;
	verdict->unanswered = record->sends;
	verdict->tuples = record->tuples;
	verdict->loss_ppm = record->loss_ppm;
	verdict->flaps = record->flaps;
	verdict->tau_us = record->tau_ns / NS_PER_US;
	verdict->heard = record->heard_ns != 0;
	if (record->heard_ns)
		verdict->heard_age_us = span_us(record->heard_ns, record->ts_ns);
	if (record->began_ns)
		verdict->silence_us = span_us(record->began_ns, record->ts_ns);
	verdict->hold_us = span_us(record->ts_ns, record->hold_until_ns);
	verdict->monotonic_ns = record->ts_ns;
	verdict->wall_ns = record->ts_ns ? record->ts_ns + wall_offset_ns : 0;
	verdict->socket_cookie = record->cookie;
	verdict->local_port = record->local_port;
	verdict->remote_port = record->remote_port;
}

/* Texts are borrowed: @address must live as long as @verdict. */
static Knell__V1__Verdict verdict_of(const struct service_verdicts *service,
				     const struct service_verdicts_news *news, bool standing,
				     char address[WORDS_ADDRESS_BYTES])
{
	uint64_t wall_offset_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	const struct knell_record *record = news->record;
	Knell__V1__Verdict verdict = KNELL__V1__VERDICT__INIT;

	verdict.kind = record->kind == KNELL_RECORD_STALLED ? KNELL__V1__VERDICT__KIND__STALLED
							    : KNELL__V1__VERDICT__KIND__VERDICT;
	verdict.standing = standing;
	verdict.node = (char *)service->name;
	if (news->peer)
		verdict.peer = (char *)news->peer->name;
	verdict.address = words_address(address, WORDS_ADDRESS_BYTES, record->key.addr);
	verdict.netns = record->key.netns;
	verdict.seq = record->seq;
	verdict.epoch = record->epoch;
	verdict.from = (char *)words_state(record->from);
	verdict.to = (char *)words_state(record->to);
	verdict.reaction_us = news->reaction_ns / NS_PER_US;
	verdict.conns_evicted = news->evicted;
	verdict.repaired = news->repaired;
	fill_evidence(&verdict, record, wall_offset_ns);
	return verdict;
}

static void forget(struct follower *follower)
{
	follower->service->follower_count--;
	LIST_REMOVE(follower, entry);
	loop_disarm(follower->service->loop, &follower->resume);
	free(follower);
}

static void on_gone(void *ctx)
{
	forget(ctx);
}

static void let_go(struct follower *follower, int err)
{
	serve_finish(follower->call, grpc_status_of_errno(err), "the follower does not read");
	forget(follower);
}

static int tell_standing_of(const struct follower *follower, const struct roster_peer *peer)
{
	const struct service_verdicts *service = follower->service;
	struct service_verdicts_news news = {.peer = peer};
	char address[WORDS_ADDRESS_BYTES];
	struct knell_record record;
	Knell__V1__Verdict verdict;

	news.record = &record;
	if (service->standing(service->ctx, peer, &record))
		record = (struct knell_record){.kind = KNELL_RECORD_VERDICT,
					       .key = peer->key,
					       .from = peer->state,
					       .to = peer->state,
					       .ts_ns = peer->since_ns};
	verdict = verdict_of(service, &news, true, address);
	return message_reply(follower->call, &verdict.base);
}

static void tell_standing(struct follower *follower)
{
	struct loop *loop = follower->service->loop;
	const struct roster *roster = follower->service->roster;
	int err = 0;

	while (follower->standing_told < roster->count && !err) {
		err = tell_standing_of(follower, &roster->peers[follower->standing_told]);
		if (!err)
			follower->standing_told++;
	}
	if (err == -ENOBUFS && follower->pauses++ < STANDING_PAUSES_MAX)
		loop_arm(loop, &follower->resume, loop_now_ns(loop) + STANDING_PAUSE_NS);
	else if (err)
		let_go(follower, err);
}

static void on_resume(struct timer *timer)
{
	tell_standing(LOOP_OWNER(timer, struct follower, resume));
}

static void run_verdicts(void *ctx, struct serve_call *call, const uint8_t *bytes, size_t count)
{
	const ProtobufCMessageDescriptor *type = &knell__v1__verdicts_request__descriptor;
	Knell__V1__VerdictsRequest *request = message_read(type, bytes, count);
	struct service_verdicts *service = ctx;
	struct follower *follower;
	bool new_only;

	if (!request) {
		message_refuse(call, type);
		return;
	}
	new_only = request->new_only;
	message_free(request);
	follower = service->follower_count < SERVICE_VERDICTS_FOLLOWERS_MAX
			   ? calloc(1, sizeof(*follower))
			   : NULL;
	if (!follower) {
		serve_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many follow already");
		return;
	}
	follower->service = service;
	follower->call = call;
	follower->resume.fire = on_resume;
	LIST_INSERT_HEAD(&service->followers, follower, entry);
	service->follower_count++;
	serve_watch(call, on_gone, follower);
	if (!new_only)
		tell_standing(follower);
}

static const struct serve_method methods[] = {
	{.path = "/knell.v1.Peer/Verdicts", .run = run_verdicts},
};

int service_verdicts_open(struct service_verdicts **service, struct loop *loop, struct serve *serve,
			  const char *name, const struct roster *roster,
			  int (*standing)(void *ctx, const struct roster_peer *peer,
					  struct knell_record *record),
			  void *ctx)
{
	struct service_verdicts *fresh = malloc(sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	*fresh = (struct service_verdicts){
		.loop = loop, .name = name, .roster = roster, .standing = standing, .ctx = ctx};
	err = serve_add(serve, methods, sizeof(methods) / sizeof(methods[0]), fresh);
	if (err)
		free(fresh);
	else
		*service = fresh;
	return err;
}

void service_verdicts_close(struct service_verdicts *service)
{
	struct follower *follower, *next;

	if (!service)
		return;
	for (follower = LIST_FIRST(&service->followers); follower; follower = next) {
		next = LIST_NEXT(follower, entry);
		forget(follower);
	}
	free(service);
}

void service_verdicts_tell(struct service_verdicts *service,
			   const struct service_verdicts_news *news)
{
	struct follower *follower, *next;
	char address[WORDS_ADDRESS_BYTES];
	Knell__V1__Verdict verdict;
	int err;

	if (LIST_EMPTY(&service->followers))
		return;
	verdict = verdict_of(service, news, false, address);
	for (follower = LIST_FIRST(&service->followers); follower; follower = next) {
		next = LIST_NEXT(follower, entry);
		err = message_reply(follower->call, &verdict.base);
		if (err)
			let_go(follower, err);
	}
}
