// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim_replay.c - replay of a recorded trace. See sim_replay.h for the format.
 *
 * Room: the simulator (tests/bench). A happy path reads lines until the end of the file; the one
 * failure mode is a line that is not understood or goes back in time, which stops the replay.
 */
#include <inttypes.h>
#include <string.h>

#include "sim_replay.h"

#define LINE_BYTES 128

enum event { EVENT_NONE, EVENT_UNANSWERED, EVENT_HEARD, EVENT_DIED, EVENT_WRONG };

struct replay {
	const struct sim_peer_plan *plan;
	FILE *out;
	struct sim_stat *stat;
	struct verdict_peer peer;
};

static const char *const STATE_NAMES[VERDICT_STATES] = {"new",	"alive", "degraded", "suspect",
							"lost", "dead",	 "isolated"};

static enum event parse(char *line, uint64_t *ns, uint32_t *tuple)
{
	char word[16], rest[2];
	int fields;

	line[strcspn(line, "#\n")] = '\0';
	if (line[strspn(line, " \t\r")] == '\0')
		return EVENT_NONE;
	fields = sscanf(line, "%" SCNu64 " %15s %" SCNu32 " %1s", ns, word, tuple, rest);
	if (fields == 3 && !strcmp(word, "unanswered"))
		return EVENT_UNANSWERED;
	if (fields == 2 && !strcmp(word, "heard"))
		return EVENT_HEARD;
	if (fields == 2 && !strcmp(word, "died"))
		return EVENT_DIED;
	return EVENT_WRONG;
}

static void print_transition(const struct replay *replay, uint32_t from, uint64_t now_ns,
			     const struct verdict_tally *evidence, uint32_t tuples)
{
	if (!replay->out)
		return;
	fprintf(replay->out,
		"%" PRIu64 " %s -> %s phi %u sends %u tuples %u tau_us %" PRIu64 " loss_ppm %u\n",
		now_ns, STATE_NAMES[from], STATE_NAMES[replay->peer.state], evidence->phi_md,
		evidence->sends, tuples,
		(uint64_t)verdict_tau_ns(&replay->plan->rule, &replay->peer) / 1000,
		replay->peer.loss_ppm);
}

/* The PINGs that were answered since @then_ns; after one fading step each nothing else changes. */
static void calm(struct replay *replay, uint64_t then_ns, uint64_t now_ns)
{
	uint64_t step_ns = replay->plan->heartbeat_ns;

	for (uint64_t at_ns = then_ns + step_ns; at_ns < now_ns; at_ns += step_ns) {
		if (replay->peer.loss_ppm >> VERDICT_LOSS_SHIFT == 0 &&
		    replay->peer.learnt_tau_ns <= replay->plan->rule.tau_ns)
			break;
		verdict_calm(&replay->peer, at_ns);
	}
}

static void apply(struct replay *replay, enum event event, uint64_t now_ns, uint32_t tuple)
{
	struct verdict_peer *peer = &replay->peer;
	struct verdict_view view = {.heard_ns = now_ns, .silent = 1, .peers = 2};
	struct verdict_tally before = peer->silence;
	uint32_t from = peer->state, tuples = peer->tuple_count;
	int changed;

	if (event == EVENT_DIED) {
		sim_stat_crash(replay->stat, now_ns);
		return;
	}
	if (event == EVENT_UNANSWERED) {
		replay->stat->silences += !peer->silence.sends;
		/* The others were heard after this silence began, also if it begins now. */
		view.heard_ns++;
		changed = verdict_unanswered(peer, &replay->plan->rule, &view, now_ns, tuple, 1,
					     VERDICT_REASON_RETRANSMIT);
		before = peer->silence;
		tuples = peer->tuple_count;
	} else {
		if (replay->stat->crashed)
			sim_stat_return(replay->stat);
		changed = verdict_heard(peer, &replay->plan->rule, &view, now_ns, now_ns,
					VERDICT_REASON_ACK);
	}
	if (!changed)
		return;
	sim_stat_state(replay->stat, peer->state, now_ns);
	print_transition(replay, from, now_ns, &before, tuples);
}

int sim_replay_run(FILE *trace, const struct sim_peer_plan *plan, FILE *out, struct sim_stat *stat)
{
	struct replay replay = {.plan = plan, .out = out, .stat = stat};
	uint64_t first_ns = 0, now_ns = 0, then_ns = 0;
	enum event then = EVENT_NONE;
	char line[LINE_BYTES];
	uint32_t tuple = 0;
	int number = 0, events = 0;

	while (fgets(line, sizeof(line), trace)) {
		enum event event = parse(line, &now_ns, &tuple);

		number++;
		if (event == EVENT_NONE)
			continue;
		if (event == EVENT_WRONG || now_ns < then_ns)
			return number;
		if (!events++)
			first_ns = now_ns;
		if (!stat->crashed && events > 1)
			stat->alive_s += (double)(now_ns - then_ns) / 1e9;
		if (event == EVENT_HEARD && then == EVENT_HEARD)
			calm(&replay, then_ns, now_ns);
		apply(&replay, event, now_ns, tuple);
		if (plan->fixed_tau)
			replay.peer.learnt_tau_ns = 0;
		then_ns = now_ns;
		then = event;
	}
	if (stat->crashed)
		sim_stat_return(stat);
	if (out)
		fprintf(out, "%d events over %.3f s\n", events, (double)(then_ns - first_ns) / 1e9);
	return 0;
}
