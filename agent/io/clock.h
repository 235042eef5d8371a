/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. The kernel's clocks in nanoseconds.
 * May call: libc. Called by: whoever needs the time of this very moment. On the loop that is
 * seldom: loop_now_ns() is the time of the batch, and costs nothing.
 */
#ifndef KNELL_IO_CLOCK_H
#define KNELL_IO_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC, CLOCK_REALTIME, ... */
uint64_t clock_ns(clockid_t clock);

#endif
