// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. The kernel's clocks in nanoseconds.
 * May call: libc. Called by: whoever needs the time of this very moment.
 */
#include "clock.h"

#define NS_PER_S UINT64_C(1000000000)

uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}
