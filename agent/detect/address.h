/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * address.h - prefixes as people write them.
 *
 * Room: detect. Pure; may call words. Called by config.c, tools/knell/watch.c and the unit tests.
 */
#ifndef KNELL_ADDRESS_H
#define KNELL_ADDRESS_H

#include <stddef.h>
#include "knell/abi.h"

#define ADDRESS_WHY_BYTES 256

/**
 * address_prefix - read "10.77.0.0/24", "fd00::/64", "::ffff:10.77.0.0/120" or a bare address.
 *
 * IPv4 becomes v4-mapped; a bare address is a host's prefix. Bits set beyond the prefix are refused
 * and the prefix that was probably meant is named. Returns 0, or -EINVAL with one line in @why;
 * then *@key is unchanged.
 */
int address_prefix(const char *text, struct knell_watch_key *key, char why[ADDRESS_WHY_BYTES]);

#endif
