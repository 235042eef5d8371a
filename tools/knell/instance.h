/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance.h - the pinned instance that a verb works on.
 *
 * Room: tools/knell. May call detect/pins and detect/load. Called by watch, peer, event, version.
 */
#ifndef KNELL_INSTANCE_H
#define KNELL_INSTANCE_H

#include "command.h"
#include "detect/pins.h"

/**
 * instance_open - pins_open on the chosen directory; what goes wrong is said in words.
 *
 * COMMAND_OK: the caller closes *@pins.
 */
enum command_status instance_open(struct command_context *context, struct pins *pins);

#endif
