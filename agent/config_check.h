/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_check.h - what no single setting can tell: whether all that must be there is, and whether
 * it fits together.
 *
 * Room: agent. Pure. Called by config.c when a file has been read.
 */
#ifndef KNELL_CONFIG_CHECK_H
#define KNELL_CONFIG_CHECK_H

#include "config_value.h"

/** config_check - 0, or -EINVAL with the reason written. */
int config_check(struct config_reading *reading);

#endif
