// SPDX-License-Identifier: BSD-2-Clause
/*
 * address.c - prefixes as people write them. See address.h.
 *
 * Room: detect. Pure; may call words. See address.h for who calls it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/address.h"
#include "text/words.h"

#define ALL_BITS (KNELL_ADDR_BYTES * 8)

static int parse_bits(const char *text, unsigned int max, unsigned int *bits)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*text) || strlen(text) > 3)
		return -EINVAL;
	value = strtoul(text, &end, 10);
	if (*end || value > max)
		return -EINVAL;
	*bits = (unsigned int)value;
	return 0;
}

/* Clears what lies beyond the prefix; true when there was something. */
static int clear_host_bits(struct knell_watch_key *key)
{
	unsigned int bit, had = 0;

	for (bit = key->prefix_bits; bit < ALL_BITS; bit++) {
		__u8 mask = (__u8)(0x80 >> (bit % 8));

		had |= key->addr[bit / 8] & mask;
		key->addr[bit / 8] &= (__u8)~mask;
	}
	return had != 0;
}

int address_prefix(const char *text, struct knell_watch_key *key, char why[ADDRESS_WHY_BYTES])
{
	struct knell_watch_key parsed = {.prefix_bits = ALL_BITS};
	char address[WORDS_ADDRESS_BYTES], prefix[WORDS_PREFIX_BYTES];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	unsigned int max = memchr(text, ':', length) ? ALL_BITS : ALL_BITS - KNELL_V4_PREFIX_BITS;

	snprintf(address, sizeof(address), "%.*s", (int)length, text);
	if (length >= sizeof(address) || words_address_parse(address, parsed.addr)) {
		snprintf(why, ADDRESS_WHY_BYTES,
			 "'%.64s' is neither an address nor a prefix: write 10.77.0.2, "
			 "10.77.0.0/24 or fd00::/64",
			 text);
		return -EINVAL;
	}
	if (slash && parse_bits(slash + 1, max, &parsed.prefix_bits)) {
		snprintf(why, ADDRESS_WHY_BYTES, "'%.64s': the prefix length is a number up to %u",
			 text, max);
		return -EINVAL;
	}
	if (slash)
		parsed.prefix_bits += ALL_BITS - max;
	if (clear_host_bits(&parsed)) {
		snprintf(why, ADDRESS_WHY_BYTES,
			 "'%.64s' has bits set beyond its prefix: write %s, or %s for the host "
			 "alone",
			 text, words_prefix(prefix, sizeof(prefix), &parsed), address);
		return -EINVAL;
	}
	*key = parsed;
	return 0;
}
