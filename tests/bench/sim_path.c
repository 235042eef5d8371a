// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim_path.c - path models of the simulator. See sim_path.h.
 *
 * Room: the simulator (tests/bench). May call libm.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim_path.h"

#define NS_PER_MS 1e6

/* DESIGN, "The decision rule": the harsh mixture. */
#define HARSH_GAP_NS	    (600 * 1e9)
#define HARSH_LOSS	    0.001
#define HARSH_SHORT_SHARE   0.90
#define HARSH_MEDIUM_SHARE  0.09
#define HARSH_SHORT_NS	    (20 * NS_PER_MS)
#define HARSH_MEDIUM_NS	    (100 * NS_PER_MS)
#define HARSH_TAIL_MIN_NS   (300 * NS_PER_MS)
#define HARSH_TAIL_EXPONENT 1.5

static uint64_t draw(struct sim_path_rng *rng)
{
	/* splitmix64 */
	uint64_t z = (rng->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

double sim_path_uniform(struct sim_path_rng *rng)
{
	return (double)((draw(rng) >> 11) + 1) * 0x1p-53;
}

static double exponential(struct sim_path_rng *rng, double mean)
{
	return -mean * log(sim_path_uniform(rng));
}

static double harsh_outage(struct sim_path_rng *rng)
{
	double kind = sim_path_uniform(rng);

	if (kind <= HARSH_SHORT_SHARE)
		return exponential(rng, HARSH_SHORT_NS);
	if (kind <= HARSH_SHORT_SHARE + HARSH_MEDIUM_SHARE)
		return exponential(rng, HARSH_MEDIUM_NS);
	return HARSH_TAIL_MIN_NS * pow(sim_path_uniform(rng), -1.0 / HARSH_TAIL_EXPONENT);
}

static void next_outage(struct sim_path *path)
{
	struct sim_path_rng *rng = &path->outages;
	uint64_t from = path->end_ns;

	switch (path->model) {
	case SIM_PATH_GE:
		path->start_ns = from + (uint64_t)exponential(rng, path->good_ns);
		path->end_ns = path->start_ns + (uint64_t)exponential(rng, path->bad_ns);
		break;
	case SIM_PATH_HARSH:
		path->start_ns = from + (uint64_t)exponential(rng, HARSH_GAP_NS);
		path->end_ns = path->start_ns + (uint64_t)harsh_outage(rng);
		break;
	case SIM_PATH_CLEAN:
	case SIM_PATH_IID:
		path->start_ns = SIM_PATH_NEVER_NS;
		path->end_ns = SIM_PATH_NEVER_NS;
		break;
	}
}

/* "1:2.5:3" and the like; how many, 0 when there is anything else or more than @room. */
static int read_numbers(const char *text, double *number, int room)
{
	char *end;

	for (int count = 0; count < room; text = end + 1) {
		number[count++] = strtod(text, &end);
		if (end == text)
			return 0;
		if (!*end)
			return count;
		if (*end != ':')
			return 0;
	}
	return 0;
}

bool sim_path_parse(struct sim_path *path, const char *text)
{
	double number[3] = {0};
	int count;

	memset(path, 0, sizeof(*path));
	if (!strcmp(text, "clean")) {
		path->model = SIM_PATH_CLEAN;
	} else if (!strcmp(text, "harsh")) {
		path->model = SIM_PATH_HARSH;
		path->loss = HARSH_LOSS;
	} else if (!strncmp(text, "iid:", 4)) {
		path->model = SIM_PATH_IID;
		if (read_numbers(text + 4, number, 1) != 1)
			return false;
		path->loss = number[0];
	} else if (!strncmp(text, "ge:", 3)) {
		path->model = SIM_PATH_GE;
		count = read_numbers(text + 3, number, 3);
		if (count < 2 || !(number[0] > 0) || !(number[1] > 0))
			return false;
		path->bad_ns = number[0] * NS_PER_MS;
		path->good_ns = number[1] * NS_PER_MS;
		path->loss = number[2];
	} else {
		return false;
	}
	return path->loss >= 0 && path->loss < 1;
}

void sim_path_start(struct sim_path *path, uint64_t seed)
{
	path->outages.state = seed * 2 + 0x1000;
	path->losses.state = draw(&path->outages) ^ 0x5bd1e995;
	path->end_ns = 0;
	path->cut_ns = SIM_PATH_NEVER_NS;
	next_outage(path);
}

bool sim_path_passes(struct sim_path *path, uint64_t now_ns)
{
	while (path->end_ns <= now_ns)
		next_outage(path);
	if (now_ns >= path->cut_ns || now_ns >= path->start_ns)
		return false;
	/* There and back. */
	for (int way = 0; way < 2 && path->loss > 0; way++)
		if (sim_path_uniform(&path->losses) <= path->loss)
			return false;
	return true;
}

/* First of the instants @from_ns + k * @step_ns that is not before @when_ns. */
static uint64_t grid_at(uint64_t from_ns, uint64_t step_ns, uint64_t when_ns)
{
	if (when_ns <= from_ns)
		return from_ns;
	return from_ns + (when_ns - from_ns + step_ns - 1) / step_ns * step_ns;
}

uint64_t sim_path_failure(struct sim_path *path, uint64_t now_ns, uint64_t step_ns,
			  uint64_t limit_ns)
{
	uint64_t failure = grid_at(now_ns, step_ns, limit_ns), hit;

	if (path->cut_ns < limit_ns)
		failure = grid_at(now_ns, step_ns, path->cut_ns);
	if (path->loss > 0) {
		double passes = (1 - path->loss) * (1 - path->loss);
		double runs = floor(log(sim_path_uniform(&path->losses)) / log(passes));
		uint64_t steps = (failure - now_ns) / step_ns;

		if (runs < (double)steps)
			failure = now_ns + (uint64_t)runs * step_ns;
	}
	while (path->end_ns <= now_ns)
		next_outage(path);
	while (path->start_ns < failure) {
		hit = grid_at(now_ns, step_ns, path->start_ns);
		if (hit < path->end_ns)
			return hit < failure ? hit : failure;
		next_outage(path);
	}
	return failure;
}
