/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_report.h - the metrics of a run for people and for README's table.
 *
 * Room: the simulator (tests/bench). Called by sim.c.
 */
#ifndef KNELL_SIM_REPORT_H
#define KNELL_SIM_REPORT_H

#include <stdio.h>

#include "sim_stat.h"

/** sim_report_table - a text table, one column for lost and one for dead. */
void sim_report_table(FILE *out, const char *profile, const char *what, struct sim_stat *stat);

/**
 * sim_report_figures - one JSON line per figure, in DESIGN's format.
 *
 * sim_lost_ms and sim_dead_ms (T_D), sim_*_mistake_s (T_MR; without a mistake "n" is 0 and
 * "at_least" is T / 3), sim_*_mistake_ms (T_M), sim_*_accuracy (P_A as "mean").
 */
void sim_report_figures(FILE *out, const char *profile, const char *what, struct sim_stat *stat);

#endif
