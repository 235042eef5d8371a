// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim_peer.c - event-driven model of one peer. See sim_peer.h.
 *
 * Room: the simulator (tests/bench).
 *
 * Happy path: every PING is answered; nothing is simulated one by one, verdict_calm() is applied
 * for each answered PING until it changes nothing any more (loss below its smallest step, tau back
 * at the profile's), which gives the very state that calling it for all of them would. Failure
 * modes: a PING that fails opens an episode, in which every send is an event of its own. The
 * episode ends when the heartbeat is answered.
 */
#include <inttypes.h>
#include <string.h>

#include "sim_peer.h"

#define NEVER		      SIM_PATH_NEVER_NS
#define HEARTBEAT_TUPLE	      1
#define SYN_TICKS_MIN	      2
#define SYN_LINEAR	      4
#define BACKOFF_MAX	      20
#define WHEEL_FINE_TICKS      64 /* kernel timer wheel: one tick fine up to here, then eight */
#define WHEEL_COARSE_TICKS    8
#define RESENDS_WITH_NEW_DATA 2 /* after the tail loss probe and the first RTO no new data */

static uint64_t ticks_up(uint64_t ns, uint64_t tick_ns)
{
	return (ns + tick_ns - 1) / tick_ns;
}

uint64_t sim_peer_resend_after(const struct sim_peer_plan *plan, uint32_t resent)
{
	uint64_t rto = ticks_up(plan->rto_min_ns + plan->rtt_ns, plan->tick_ns), delay;
	/* The tail loss probe comes first and does not back off. */
	uint32_t backoff = resent ? resent - 1 : 0;

	delay = rto << (backoff < BACKOFF_MAX ? backoff : BACKOFF_MAX);
	delay += delay < WHEEL_FINE_TICKS / 2 ? 2 : 1;
	if (delay >= WHEEL_FINE_TICKS)
		delay = ticks_up(delay, WHEEL_COARSE_TICKS) * WHEEL_COARSE_TICKS;
	return delay * plan->tick_ns;
}

uint64_t sim_peer_syn_after(const struct sim_peer_plan *plan, uint32_t resent)
{
	uint64_t first = ticks_up(plan->probe_ns, plan->tick_ns);
	uint32_t backoff = resent > SYN_LINEAR ? resent - SYN_LINEAR : 0;

	if (first < SYN_TICKS_MIN)
		first = SYN_TICKS_MIN;
	return (first << (backoff < BACKOFF_MAX ? backoff : BACKOFF_MAX)) * plan->tick_ns;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct verdict_view view_at(const struct sim_peer *peer, uint64_t now_ns)
{
	const struct sim_peer_plan *plan = peer->plan;
	struct verdict_view view = {.heard_ns = peer->verdict.heard_ns,
				    .silent = peer->suspected_ns ? 1 : 0,
				    .peers = plan->others + 1};

	if (plan->others) {
		/* Their PINGs are spread evenly over one interval. */
		uint64_t spacing = plan->heartbeat_ns / plan->others;
		uint64_t answered = now_ns - now_ns % spacing;

		if (peer->suspected_ns && peer->suspected_ns + plan->rtt_ns <= now_ns &&
		    peer->suspected_ns + plan->rtt_ns > answered)
			answered = peer->suspected_ns + plan->rtt_ns;
		if (answered > view.heard_ns)
			view.heard_ns = answered;
	}
	return view;
}

static void settle(struct sim_peer *peer, int changed)
{
	if (peer->plan->fixed_tau)
		peer->verdict.learnt_tau_ns = 0;
	if (changed)
		sim_stat_state(peer->stat, peer->verdict.state, peer->now_ns);
}

static void mark_heard(struct sim_peer *peer, uint64_t heard_ns)
{
	if (!peer->plan->record || peer->heard_marked_ns == heard_ns)
		return;
	fprintf(peer->plan->record, "%" PRIu64 " heard\n", heard_ns);
	peer->heard_marked_ns = heard_ns;
}

static void unanswered(struct sim_peer *peer, uint32_t tuple, uint32_t reason)
{
	struct verdict_view view;

	if (!peer->verdict.silence.sends) {
		peer->stat->silences++;
		peer->suspected_ns = peer->now_ns;
		peer->probe_ns = peer->now_ns;
		mark_heard(peer, peer->verdict.heard_ns);
	}
	if (peer->plan->record)
		fprintf(peer->plan->record, "%" PRIu64 " unanswered %" PRIu32 "\n", peer->now_ns,
			tuple);
	view = view_at(peer, peer->now_ns);
	settle(peer, verdict_unanswered(&peer->verdict, &peer->plan->rule, &view, peer->now_ns,
					tuple, 1, reason));
}

static void heard(struct sim_peer *peer)
{
	struct verdict_view view = view_at(peer, peer->now_ns);
	int i;

	if (peer->verdict.silence.sends)
		mark_heard(peer, peer->now_ns);
	settle(peer, verdict_heard(&peer->verdict, &peer->plan->rule, &view, peer->now_ns,
				   peer->now_ns, VERDICT_REASON_ACK));
	peer->suspected_ns = 0;
	peer->heard_ns = NEVER;
	peer->probe_ns = NEVER;
	peer->probes = 0;
	for (i = 0; i < SIM_PEER_PROBES; i++)
		peer->probe[i].next_ns = NEVER;
}

/* PINGs at @peer->ping_ns and every interval after it, all before @until_ns, were answered. */
static void calm(struct sim_peer *peer, uint64_t until_ns)
{
	const struct sim_peer_plan *plan = peer->plan;
	struct verdict_peer *verdict = &peer->verdict;
	uint64_t last = until_ns - plan->heartbeat_ns;

	if (until_ns == peer->ping_ns)
		return;
	for (; peer->ping_ns < last; peer->ping_ns += plan->heartbeat_ns) {
		if (verdict->loss_ppm >> VERDICT_LOSS_SHIFT == 0 &&
		    verdict->learnt_tau_ns <= plan->rule.tau_ns)
			break;
		verdict_calm(verdict, peer->ping_ns + plan->rtt_ns);
	}
	peer->now_ns = last + plan->rtt_ns;
	heard(peer);
	peer->ping_ns = until_ns;
}

static void send_ping(struct sim_peer *peer)
{
	if (peer->resent < RESENDS_WITH_NEW_DATA && sim_path_passes(peer->path, peer->now_ns))
		peer->acked_ns = earlier(peer->acked_ns, peer->now_ns + peer->plan->rtt_ns);
	peer->ping_ns += peer->plan->heartbeat_ns;
}

static void resend(struct sim_peer *peer)
{
	unanswered(peer, HEARTBEAT_TUPLE, VERDICT_REASON_RETRANSMIT);
	if (sim_path_passes(peer->path, peer->now_ns))
		peer->acked_ns = earlier(peer->acked_ns, peer->now_ns + peer->plan->rtt_ns);
	peer->resent++;
	peer->resend_ns += sim_peer_resend_after(peer->plan, peer->resent);
}

static void send_syn(struct sim_peer *peer, struct sim_peer_probe *probe)
{
	if (sim_path_passes(peer->path, peer->now_ns))
		peer->heard_ns = earlier(peer->heard_ns, peer->now_ns + peer->plan->rtt_ns);
	probe->next_ns = peer->now_ns + sim_peer_syn_after(peer->plan, probe->resent);
}

static void new_probe(struct sim_peer *peer)
{
	struct sim_peer_probe *probe = &peer->probe[peer->probes++ % SIM_PEER_PROBES];

	probe->tuple = ++peer->tuple;
	probe->resent = 0;
	send_syn(peer, probe);
	peer->probe_ns = NEVER;
	if (peer->probes < SIM_PEER_PROBES || peer->plan->recycle)
		peer->probe_ns = peer->now_ns + peer->plan->probe_ns;
}

static void answered(struct sim_peer *peer)
{
	heard(peer);
	peer->acked_ns = NEVER;
	peer->resend_ns = NEVER;
	peer->resent = 0;
}

/* One event of an episode; nothing happens when it is later than @until_ns. */
static bool step(struct sim_peer *peer, uint64_t until_ns)
{
	struct sim_peer_probe *probe = &peer->probe[0];
	uint64_t next = earlier(earlier(peer->acked_ns, peer->heard_ns),
				earlier(peer->resend_ns, earlier(peer->ping_ns, peer->probe_ns)));
	uint32_t i;

	for (i = 1; i < SIM_PEER_PROBES; i++)
		if (peer->probe[i].next_ns < probe->next_ns)
			probe = &peer->probe[i];
	next = earlier(next, probe->next_ns);
	if (next > until_ns)
		return false;
	peer->now_ns = next;
	if (next == peer->acked_ns) {
		answered(peer);
	} else if (next == peer->heard_ns) {
		if (peer->plan->promote)
			answered(peer);
		else
			heard(peer);
	} else if (next == peer->ping_ns) {
		send_ping(peer);
	} else if (next == peer->resend_ns) {
		resend(peer);
	} else if (next == peer->probe_ns) {
		new_probe(peer);
	} else {
		unanswered(peer, probe->tuple, VERDICT_REASON_SYN);
		probe->resent++;
		send_syn(peer, probe);
	}
	return true;
}

void sim_peer_start(struct sim_peer *peer, const struct sim_peer_plan *plan, struct sim_path *path,
		    struct sim_stat *stat, uint64_t phase_ns)
{
	memset(peer, 0, sizeof(*peer));
	peer->plan = plan;
	peer->path = path;
	peer->stat = stat;
	peer->now_ns = phase_ns;
	peer->tuple = HEARTBEAT_TUPLE;
	peer->ping_ns = phase_ns + plan->heartbeat_ns;
	answered(peer);
}

void sim_peer_run(struct sim_peer *peer, uint64_t until_ns)
{
	while (peer->resend_ns != NEVER || peer->ping_ns < until_ns) {
		if (peer->resend_ns != NEVER) {
			if (!step(peer, peer->path->cut_ns == NEVER ? NEVER : until_ns))
				break;
			continue;
		}
		calm(peer, sim_path_failure(peer->path, peer->ping_ns, peer->plan->heartbeat_ns,
					    until_ns));
		if (peer->ping_ns >= until_ns)
			break;
		peer->resend_ns = peer->ping_ns + sim_peer_resend_after(peer->plan, 0);
		peer->ping_ns += peer->plan->heartbeat_ns;
	}
}

void sim_peer_die(struct sim_peer *peer, uint64_t when_ns)
{
	uint64_t down_until = when_ns + SIM_PEER_DOWN_NS, until;

	peer->path->cut_ns = when_ns;
	sim_peer_run(peer, when_ns);
	sim_stat_crash(peer->stat, when_ns);
	if (!peer->verdict.silence.sends)
		mark_heard(peer, peer->verdict.heard_ns);
	/* The last answer may have been under way; a trace does not go back in time. */
	if (peer->plan->record)
		fprintf(peer->plan->record, "%" PRIu64 " died\n",
			when_ns > peer->heard_marked_ns ? when_ns : peer->heard_marked_ns);
	/* In steps, because nothing that comes after the verdict matters any more. */
	for (until = when_ns; until < down_until && peer->verdict.state != VERDICT_DEAD;)
		sim_peer_run(peer, until += peer->plan->heartbeat_ns);
	sim_stat_return(peer->stat);
	peer->path->cut_ns = NEVER;
	peer->now_ns = down_until;
	peer->ping_ns = down_until + peer->plan->heartbeat_ns;
	answered(peer);
}
