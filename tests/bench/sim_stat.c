// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim_stat.c - metrics of a failure detector. See sim_stat.h.
 *
 * Room: the simulator (tests/bench).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "knell/verdict.h"
#include "sim_stat.h"

static void sample_add(struct sim_stat_sample *sample, double value)
{
	if (sample->count == sample->room) {
		size_t room = sample->room ? sample->room * 2 : 64;
		double *grown = realloc(sample->value, room * sizeof(*grown));

		/* A figure from half the sample would be a lie. */
		if (!grown)
			abort();
		sample->value = grown;
		sample->room = room;
	}
	sample->value[sample->count++] = value;
	sample->sorted = false;
}

static void sample_free(struct sim_stat_sample *sample)
{
	free(sample->value);
	memset(sample, 0, sizeof(*sample));
}

void sim_stat_init(struct sim_stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	stat->lost.state = VERDICT_LOST;
	stat->dead.state = VERDICT_DEAD;
}

void sim_stat_free(struct sim_stat *stat)
{
	struct sim_stat_level *levels[] = {&stat->lost, &stat->dead};

	for (int i = 0; i < 2; i++) {
		sample_free(&levels[i]->detection_ms);
		sample_free(&levels[i]->recurrence_s);
		sample_free(&levels[i]->mistake_ms);
	}
}

static void mistake(struct sim_stat_level *level, uint64_t end_ns)
{
	double lasted_ms = (double)(end_ns - level->since_ns) / 1e6;

	if (level->erred)
		sample_add(&level->recurrence_s,
			   (double)(level->since_ns - level->last_mistake_ns) / 1e9);
	sample_add(&level->mistake_ms, lasted_ms);
	level->wrong_s += lasted_ms / 1e3;
	level->erred = true;
	level->last_mistake_ns = level->since_ns;
	level->mistakes++;
}

static void level_state(struct sim_stat_level *level, bool crashed, uint32_t state, uint64_t now_ns)
{
	bool suspected = state >= level->state && state <= VERDICT_DEAD;

	if (suspected == level->suspected)
		return;
	if (suspected)
		level->since_ns = now_ns;
	else if (!crashed)
		mistake(level, now_ns);
	level->suspected = suspected;
}

void sim_stat_state(struct sim_stat *stat, uint32_t state, uint64_t now_ns)
{
	level_state(&stat->lost, stat->crashed, state, now_ns);
	level_state(&stat->dead, stat->crashed, state, now_ns);
	if (state == VERDICT_ISOLATED)
		stat->isolated++;
}

void sim_stat_crash(struct sim_stat *stat, uint64_t now_ns)
{
	struct sim_stat_level *levels[] = {&stat->lost, &stat->dead};

	for (int i = 0; i < 2; i++) {
		if (!levels[i]->suspected)
			continue;
		mistake(levels[i], now_ns);
		levels[i]->since_ns = now_ns;
	}
	stat->crashed = true;
	stat->crashed_ns = now_ns;
}

void sim_stat_return(struct sim_stat *stat)
{
	struct sim_stat_level *levels[] = {&stat->lost, &stat->dead};

	for (int i = 0; i < 2; i++) {
		struct sim_stat_level *level = levels[i];

		if (level->suspected)
			sample_add(&level->detection_ms,
				   (double)(level->since_ns - stat->crashed_ns) / 1e6);
		else
			level->undetected++;
		level->suspected = false;
	}
	stat->crashed = false;
}

static int ascending(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double sim_stat_percentile(struct sim_stat_sample *sample, double share)
{
	size_t rank;

	if (!sample->count)
		return NAN;
	if (!sample->sorted) {
		qsort(sample->value, sample->count, sizeof(*sample->value), ascending);
		sample->sorted = true;
	}
	rank = (size_t)ceil(share * (double)sample->count);
	return sample->value[rank ? rank - 1 : 0];
}

double sim_stat_recurrence(const struct sim_stat *stat, const struct sim_stat_level *level,
			   bool *at_least)
{
	*at_least = !level->mistakes;
	return stat->alive_s / (level->mistakes ? (double)level->mistakes : SIM_STAT_RULE_OF_THREE);
}

double sim_stat_accuracy(const struct sim_stat *stat, const struct sim_stat_level *level)
{
	return stat->alive_s > 0 ? 1 - level->wrong_s / stat->alive_s : NAN;
}
