/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll.h - verdicts found by comparing the pinned peers map with what it was.
 *
 * Room: tools/knell. May call detect/pins, text/words. Called by event.c when no agent runs. The
 * ring has one consumer, the agent; the map is the truth for everybody else.
 */
#ifndef KNELL_POLL_H
#define KNELL_POLL_H

#include <stdbool.h>
#include <sys/utsname.h>
#include <jansson.h>

#include "detect/pins.h"

struct poll_seen;

struct poll {
	/* Takes an event of the agent's form over; true: that was enough. */
	bool (*show)(void *ctx, json_t *event);
	void *ctx;
	struct poll_seen *seen; /* hash by peer key */
	unsigned int round;
	struct utsname node;
};

/** poll_init - @poll has show and ctx set, the rest zero. */
void poll_init(struct poll *poll);

/**
 * poll_round - read all peers once and show what changed; the first round only takes stock.
 *
 * Returns 0, 1 when show had enough, or a negative errno.
 */
int poll_round(struct poll *poll, const struct pins *pins);

/** poll_free - forget what was seen. */
void poll_free(struct poll *poll);

#endif
