// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim.c - simulate the decision rule over years of one peer's life, or replay a recorded trace.
 *
 * Room: tests/bench, a program of its own. It runs the lines of include/knell/verdict.h natively;
 * sim_peer.h says what of a host is modelled, sim_path.h what of a network, sim_replay.h what a
 * trace looks like, sim_stat.h what is measured. Called by people and by `make bench`.
 *
 *	sim --profile lan --model harsh --peer-seconds 1e8 --deaths 10000
 *	sim --profile lan --model ge:50:1000 --fixed-tau --json
 *	sim --replay tests/bench/traces/burst.trace
 *
 * Exit status: 0, 1 for a trace or file that cannot be used, 2 for wrong options.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim_path.h"
#include "sim_peer.h"
#include "sim_replay.h"
#include "sim_report.h"

#define NS_PER_S  1e9
#define NS_PER_MS 1000000ULL
#define NS_PER_US 1000ULL
/* Time in 64 bits of nanoseconds, and 53 bits of a double, leave room for a century. */
#define PEER_SECONDS_MAX 3e9
#define TICK_NS		 (4 * NS_PER_MS) /* HZ=250 */
#define OTHERS		 3
#define CASE_BYTES	 96

struct options {
	struct sim_peer_plan plan;
	const char *model, *replay, *figures, *record;
	double peer_seconds;
	uint64_t seed, deaths;
	bool json;
};

/* DESIGN "Profiles"; the rest is what a host with a tick of 4 ms does on such a path. */
static const struct profile {
	const char *name;
	uint32_t tau_ms, heartbeat_ms, probe_ms, rto_min_ms, rtt_us;
} PROFILES[] = {
	{"lan", 20, 100, 25, 20, 200},	   {"rack", 3, 20, 5, 8, 100},
	{"fast", 10, 50, 10, 20, 200},	   {"safe", 50, 100, 25, 20, 200},
	{"wan", 100, 200, 100, 20, 30000},
};

static const char USAGE[] =
	"usage: sim [--profile lan|rack|fast|safe|wan]\n"
	"           [--model harsh|clean|iid:P|ge:BAD_MS:GOOD_MS[:P]]\n"
	"           [--peer-seconds S] [--deaths N] [--seed N] [--fixed-tau] [--others N]\n"
	"           [--recycle] [--promote]\n"
	"           [--tick-us N] [--rto-min-us N] [--rtt-us N]\n"
	"           [--tau-us N] [--lost-md N] [--dead-md N] [--heartbeat-us N] [--probe-us N]\n"
	"           [--json] [--figures FILE] [--record FILE] [--replay FILE]\n";

enum option_id {
	OPT_PROFILE = 256,
	OPT_MODEL,
	OPT_SECONDS,
	OPT_DEATHS,
	OPT_SEED,
	OPT_FIXED_TAU,
	OPT_RECYCLE,
	OPT_PROMOTE,
	OPT_OTHERS,
	OPT_TICK,
	OPT_RTO_MIN,
	OPT_RTT,
	OPT_TAU,
	OPT_LOST,
	OPT_DEAD,
	OPT_HEARTBEAT,
	OPT_PROBE,
	OPT_JSON,
	OPT_FIGURES,
	OPT_RECORD,
	OPT_REPLAY,
};

static const struct option OPTIONS[] = {
	{"profile", required_argument, NULL, OPT_PROFILE},
	{"model", required_argument, NULL, OPT_MODEL},
	{"peer-seconds", required_argument, NULL, OPT_SECONDS},
	{"deaths", required_argument, NULL, OPT_DEATHS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"fixed-tau", no_argument, NULL, OPT_FIXED_TAU},
	{"recycle", no_argument, NULL, OPT_RECYCLE},
	{"promote", no_argument, NULL, OPT_PROMOTE},
	{"others", required_argument, NULL, OPT_OTHERS},
	{"tick-us", required_argument, NULL, OPT_TICK},
	{"rto-min-us", required_argument, NULL, OPT_RTO_MIN},
	{"rtt-us", required_argument, NULL, OPT_RTT},
	{"tau-us", required_argument, NULL, OPT_TAU},
	{"lost-md", required_argument, NULL, OPT_LOST},
	{"dead-md", required_argument, NULL, OPT_DEAD},
	{"heartbeat-us", required_argument, NULL, OPT_HEARTBEAT},
	{"probe-us", required_argument, NULL, OPT_PROBE},
	{"json", no_argument, NULL, OPT_JSON},
	{"figures", required_argument, NULL, OPT_FIGURES},
	{"record", required_argument, NULL, OPT_RECORD},
	{"replay", required_argument, NULL, OPT_REPLAY},
	{NULL, 0, NULL, 0},
};

static bool choose_profile(struct sim_peer_plan *plan, const char *name)
{
	for (size_t i = 0; i < sizeof(PROFILES) / sizeof(PROFILES[0]); i++) {
		const struct profile *profile = &PROFILES[i];

		if (strcmp(profile->name, name))
			continue;
		*plan = (struct sim_peer_plan){
			.name = profile->name,
			.rule = {.tau_ns = profile->tau_ms * NS_PER_MS,
				 .lost_md = VERDICT_LOST_MD,
				 .dead_md = VERDICT_DEAD_MD,
				 .dead_sends = VERDICT_DEAD_SENDS,
				 .min_tuples = VERDICT_MIN_TUPLES},
			.heartbeat_ns = profile->heartbeat_ms * NS_PER_MS,
			.probe_ns = profile->probe_ms * NS_PER_MS,
			.tick_ns = TICK_NS,
			.rto_min_ns = profile->rto_min_ms * NS_PER_MS,
			.rtt_ns = profile->rtt_us * NS_PER_US,
			.others = OTHERS,
		};
		return true;
	}
	return false;
}

/* One option whose argument is a number; false when it is none or out of range. */
static bool set_number(struct options *options, int id, const char *text)
{
	struct sim_peer_plan *plan = &options->plan;
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0) || value > PEER_SECONDS_MAX)
		return false;
	if (id == OPT_SECONDS)
		options->peer_seconds = value;
	else if (id == OPT_DEATHS)
		options->deaths = (uint64_t)value;
	else if (id == OPT_SEED)
		options->seed = (uint64_t)value;
	else if (id == OPT_OTHERS)
		plan->others = (uint32_t)value;
	else if (id == OPT_RTT)
		plan->rtt_ns = (uint64_t)value * NS_PER_US;
	else if (id == OPT_RTO_MIN)
		plan->rto_min_ns = (uint64_t)value * NS_PER_US;
	else if (id == OPT_TAU)
		plan->rule.tau_ns = (uint64_t)value * NS_PER_US;
	else if (id == OPT_LOST)
		plan->rule.lost_md = (uint32_t)value;
	else if (id == OPT_DEAD)
		plan->rule.dead_md = (uint32_t)value;
	else if (value < 1)
		return false;
	else if (id == OPT_TICK)
		plan->tick_ns = (uint64_t)value * NS_PER_US;
	else if (id == OPT_HEARTBEAT)
		plan->heartbeat_ns = (uint64_t)value * NS_PER_US;
	else
		plan->probe_ns = (uint64_t)value * NS_PER_US;
	return true;
}

static bool set_option(struct options *options, int id, const char *text)
{
	switch (id) {
	case OPT_PROFILE:
		return true;
	case OPT_MODEL:
		options->model = text;
		return true;
	case OPT_FIXED_TAU:
		options->plan.fixed_tau = true;
		return true;
	case OPT_RECYCLE:
		options->plan.recycle = true;
		return true;
	case OPT_PROMOTE:
		options->plan.promote = true;
		return true;
	case OPT_JSON:
		options->json = true;
		return true;
	case OPT_FIGURES:
		options->figures = text;
		return true;
	case OPT_RECORD:
		options->record = text;
		return true;
	case OPT_REPLAY:
		options->replay = text;
		return true;
	default:
		return set_number(options, id, text);
	}
}

/* The profile comes first, wherever it stands, because the others change what it sets. */
static bool parse_options(struct options *options, int argc, char **argv)
{
	const char *profile = "lan";
	int id;

	while ((id = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
		if (id == '?')
			return false;
		if (id == OPT_PROFILE)
			profile = optarg;
	}
	if (optind != argc || !choose_profile(&options->plan, profile))
		return false;
	optind = 1;
	while ((id = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
		if (!set_option(options, id, optarg))
			return false;
	return options->plan.rtt_ns < options->plan.heartbeat_ns;
}

static bool simulate(const struct options *options, struct sim_path *path, struct sim_stat *stat)
{
	double per_death = options->peer_seconds / (double)(options->deaths ? options->deaths : 1);
	double down = (double)SIM_PEER_DOWN_NS, lifetime = per_death * NS_PER_S;
	struct sim_path_rng rng = {options->seed ^ 0xdeadbeef};
	struct sim_peer peer;

	/* One stretch of life per death, which comes somewhere in its second half. */
	if (options->deaths && per_death < 1)
		return false;
	sim_path_start(path, options->seed);
	sim_peer_start(&peer, &options->plan, path, stat,
		       (uint64_t)(sim_path_uniform(&rng) * (double)options->plan.heartbeat_ns));
	for (uint64_t i = 0; i < options->deaths; i++) {
		double begin = (double)i * (lifetime + down);

		sim_peer_die(&peer,
			     (uint64_t)(begin + lifetime * (1 + sim_path_uniform(&rng)) / 2));
	}
	sim_peer_run(&peer,
		     (uint64_t)((double)options->deaths * down + options->peer_seconds * NS_PER_S));
	stat->alive_s = options->peer_seconds;
	return true;
}

static int replay(const struct options *options, struct sim_stat *stat)
{
	FILE *trace = fopen(options->replay, "re");
	int line;

	if (!trace) {
		fprintf(stderr, "sim: cannot read %s: %s\n", options->replay, strerror(errno));
		return 1;
	}
	line = sim_replay_run(trace, &options->plan, options->json ? NULL : stdout, stat);
	fclose(trace);
	if (line)
		fprintf(stderr,
			"sim: %s: line %d is not an event, or earlier than the one before\n",
			options->replay, line);
	return line ? 1 : 0;
}

static int run(struct options *options, struct sim_path *path, struct sim_stat *stat)
{
	bool done;

	if (options->replay)
		return replay(options, stat);
	if (options->record) {
		options->plan.record = fopen(options->record, "we");
		if (!options->plan.record) {
			fprintf(stderr, "sim: cannot write %s: %s\n", options->record,
				strerror(errno));
			return 1;
		}
	}
	done = simulate(options, path, stat);
	if (options->plan.record)
		fclose(options->plan.record);
	if (!done)
		fprintf(stderr, "sim: fewer than one peer-second per death\n");
	return done ? 0 : 2;
}

static int report(const struct options *options, struct sim_stat *stat)
{
	const char *profile = options->plan.name;
	char what[CASE_BYTES];
	FILE *figures;

	snprintf(what, sizeof(what), "%s%s", options->replay ? "replay" : options->model,
		 options->plan.fixed_tau ? ",fixed-tau" : "");
	if (options->json)
		sim_report_figures(stdout, profile, what, stat);
	else
		sim_report_table(stdout, profile, what, stat);
	if (!options->figures)
		return 0;
	figures = fopen(options->figures, "ae");
	if (!figures) {
		fprintf(stderr, "sim: cannot write %s: %s\n", options->figures, strerror(errno));
		return 1;
	}
	sim_report_figures(figures, profile, what, stat);
	return fclose(figures) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options options = {.model = "harsh", .peer_seconds = 1e6, .seed = 1};
	struct sim_path path;
	struct sim_stat stat;
	int status;

	if (!parse_options(&options, argc, argv) || !sim_path_parse(&path, options.model)) {
		fputs(USAGE, stderr);
		return 2;
	}
	sim_stat_init(&stat);
	status = run(&options, &path, &stat);
	if (!status)
		status = report(&options, &stat);
	sim_stat_free(&stat);
	return status;
}
