/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_repair.h - how far this node has what its peers have, as `knell cluster repair` gets it.
 *
 * Room: agent. Calls store/mirror and jansson. Called by control.c.
 */
#ifndef KNELL_CONTROL_REPAIR_H
#define KNELL_CONTROL_REPAIR_H

#include <jansson.h>
#include "store/mirror.h"

/**
 * control_repair_tell - one JSON object, by the last look; @mirror NULL: @node keeps objects alone.
 *
 * What is not known has no member: the figures of a node that is alone, the journals of a peer that
 * was never met. "in_step": nothing is away, and nobody has anything to read. NULL when memory is
 * out.
 */
json_t *control_repair_tell(const struct mirror *mirror, const char *node);

#endif
