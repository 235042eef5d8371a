// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim_report.c - print what a run has shown. See sim_report.h.
 *
 * Room: the simulator (tests/bench).
 */
#include <inttypes.h>
#include <math.h>

#include "sim_report.h"

#define CELL_BYTES 64

static void cell(char *text, struct sim_stat_sample *sample)
{
	if (!sample->count) {
		snprintf(text, CELL_BYTES, "-");
		return;
	}
	snprintf(text, CELL_BYTES, "%.4g/%.4g/%.4g/%.4g", sim_stat_percentile(sample, 0),
		 sim_stat_percentile(sample, 0.5), sim_stat_percentile(sample, 0.99),
		 sim_stat_percentile(sample, 1));
}

static void row(FILE *out, const char *name, const char *lost, const char *dead)
{
	fprintf(out, "%-34s %-32s %s\n", name, lost, dead);
}

static void row_sample(FILE *out, const char *name, struct sim_stat_sample *lost,
		       struct sim_stat_sample *dead)
{
	char left[CELL_BYTES], right[CELL_BYTES];

	cell(left, lost);
	cell(right, dead);
	row(out, name, left, right);
}

static void row_recurrence(FILE *out, const struct sim_stat *stat)
{
	const struct sim_stat_level *levels[] = {&stat->lost, &stat->dead};
	char text[2][CELL_BYTES];
	bool at_least;

	for (int i = 0; i < 2; i++) {
		double mean = sim_stat_recurrence(stat, levels[i], &at_least);

		snprintf(text[i], CELL_BYTES, "%s%.4g", at_least ? ">= T/3 = " : "", mean);
	}
	row(out, "T_MR s mean", text[0], text[1]);
}

void sim_report_table(FILE *out, const char *profile, const char *what, struct sim_stat *stat)
{
	struct sim_stat_level *lost = &stat->lost, *dead = &stat->dead;
	char left[CELL_BYTES], right[CELL_BYTES];

	fprintf(out, "%s, %s: %.4g peer-seconds, %" PRIu64 " silences, %" PRIu64 " isolated\n",
		profile, what, stat->alive_s, stat->silences, stat->isolated);
	row(out, "", "lost", "dead");
	snprintf(left, CELL_BYTES, "%zu of %" PRIu64, lost->detection_ms.count,
		 lost->detection_ms.count + lost->undetected);
	snprintf(right, CELL_BYTES, "%zu of %" PRIu64, dead->detection_ms.count,
		 dead->detection_ms.count + dead->undetected);
	row(out, "deaths detected", left, right);
	row_sample(out, "T_D ms min/p50/p99/max", &lost->detection_ms, &dead->detection_ms);
	snprintf(left, CELL_BYTES, "%" PRIu64, lost->mistakes);
	snprintf(right, CELL_BYTES, "%" PRIu64, dead->mistakes);
	row(out, "mistakes", left, right);
	row_recurrence(out, stat);
	row_sample(out, "T_MR s min/p50/p99/max", &lost->recurrence_s, &dead->recurrence_s);
	row_sample(out, "T_M ms min/p50/p99/max", &lost->mistake_ms, &dead->mistake_ms);
	snprintf(left, CELL_BYTES, "%.9f", sim_stat_accuracy(stat, lost));
	snprintf(right, CELL_BYTES, "%.9f", sim_stat_accuracy(stat, dead));
	row(out, "P_A", left, right);
}

static void head(FILE *out, const char *level, const char *figure, const char *profile,
		 const char *what, uint64_t n)
{
	fprintf(out,
		"{\"figure\":\"sim_%s_%s\",\"profile\":\"%s\",\"case\":\"%s\",\"n\":%" PRIu64 ",",
		level, figure, profile, what, n);
}

static void spread(FILE *out, struct sim_stat_sample *sample, const char *unit)
{
	fprintf(out, "\"min\":%.6g,\"p50\":%.6g,\"p99\":%.6g,\"max\":%.6g,\"unit\":\"%s\"}\n",
		sim_stat_percentile(sample, 0), sim_stat_percentile(sample, 0.5),
		sim_stat_percentile(sample, 0.99), sim_stat_percentile(sample, 1), unit);
}

static void figures_of(FILE *out, const char *name, const char *profile, const char *what,
		       const struct sim_stat *stat, struct sim_stat_level *level)
{
	bool at_least;
	double recurrence = sim_stat_recurrence(stat, level, &at_least);

	if (level->detection_ms.count) {
		head(out, name, "ms", profile, what, level->detection_ms.count);
		spread(out, &level->detection_ms, "ms");
	}
	if (stat->alive_s <= 0)
		return;
	head(out, name, "mistake_s", profile, what, level->mistakes);
	fprintf(out, "\"%s\":%.6g,", at_least ? "at_least" : "mean", recurrence);
	if (level->recurrence_s.count)
		spread(out, &level->recurrence_s, "s");
	else
		fprintf(out, "\"unit\":\"s\"}\n");
	if (level->mistakes) {
		head(out, name, "mistake_ms", profile, what, level->mistakes);
		spread(out, &level->mistake_ms, "ms");
	}
	head(out, name, "accuracy", profile, what, level->mistakes);
	fprintf(out, "\"mean\":%.10f,\"unit\":\"share\"}\n", sim_stat_accuracy(stat, level));
}

void sim_report_figures(FILE *out, const char *profile, const char *what, struct sim_stat *stat)
{
	figures_of(out, "lost", profile, what, stat, &stat->lost);
	figures_of(out, "dead", profile, what, stat, &stat->dead);
}
