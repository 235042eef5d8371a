/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jitter.h - chance, so that what began together does not go on together.
 *
 * Room: peer. Calls libc only. Called by dial.c, conn_ping.c and conn_age.c.
 */
#ifndef KNELL_PEER_JITTER_H
#define KNELL_PEER_JITTER_H

#include <stdint.h>

/** jitter_ns - from 0 up to and without @span_ns, evenly; 0 when the kernel has no chance to give.
 */
uint64_t jitter_ns(uint64_t span_ns);

#endif
