// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim_replay.c - replay of a recorded trace. See sim_replay.h for the format.
 *
 * Room: the simulator (tests/bench). A happy path reads lines until the end of the file; the one
 * failure mode is a line that is not understood or goes back in time, which stops the replay.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
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

static bool read_number(const char *text, uint64_t max, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno && *number <= max;
}

static enum event parse(char *line, uint64_t *ns, uint32_t *tuple)
{
	const char *word[4] = {NULL};
	uint64_t number = 0;
	char *rest = line;

	line[strcspn(line, "#\n")] = '\0';
	for (int i = 0; i < 4 && (i == 0 || word[i - 1]); i++)
		word[i] = strtok_r(rest, " \t\r", &rest);
	if (!word[0])
		return EVENT_NONE;
	if (!word[1] || word[3] || !read_number(word[0], UINT64_MAX, ns) ||
	    (word[2] && !read_number(word[2], UINT32_MAX, &number)))
		return EVENT_WRONG;
	*tuple = (uint32_t)number;
	if (!strcmp(word[1], "unanswered"))
		return word[2] ? EVENT_UNANSWERED : EVENT_WRONG;
	if (word[2])
		return EVENT_WRONG;
	if (!strcmp(word[1], "heard"))
		return EVENT_HEARD;
	return strcmp(word[1], "died") ? EVENT_WRONG : EVENT_DIED;
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
