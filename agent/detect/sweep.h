/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep.h - run the kernel's sweep over all TCP sockets, off the loop.
 *
 * Room: detect. Calls pins and io/loop. Called by probe.c while somebody is suspect.
 */
#ifndef KNELL_DETECT_SWEEP_H
#define KNELL_DETECT_SWEEP_H

#include "detect/pins.h"
#include "io/loop.h"

struct sweep;

int sweep_open(struct sweep **sweep, struct loop *loop, const struct pins *pins);
/** sweep_close - a sweep that is under way is left to finish by itself. */
void sweep_close(struct sweep *sweep);

/**
 * sweep_kick - look at all sockets once. What it finds changes the peers map and shows in the
 * ring. Does nothing while one is under way: with many sockets a sweep takes its time.
 */
void sweep_kick(struct sweep *sweep);

#endif
