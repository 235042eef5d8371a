// SPDX-License-Identifier: BSD-2-Clause
/*
 * jitter.c - chance, so that what began together does not go on together. See jitter.h.
 *
 * Room: peer. Calls libc only.
 */
#include <sys/random.h>
#include "peer/jitter.h"

uint64_t jitter_ns(uint64_t span_ns)
{
	uint32_t noise = 0;

	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) != sizeof(noise))
		return 0;
	/* span_ns * noise / 2^32, of which the product would not fit. */
	return (span_ns >> 32) * noise + ((span_ns & UINT32_MAX) * noise >> 32);
}
