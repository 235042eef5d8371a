// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reads the words of a knell-wire command line (see wire_args.h). Calls libc only.
 */
#include "wire_args.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOJOURN_MAX_MS 3600000.0
#define NS_PER_MS      1e6
#define DIGITS_MAX     12

static bool refuse(const char *text, const char *why)
{
	fprintf(stderr, "knell-wire: '%s' is not %s\n", text, why);
	return false;
}

/* A plain decimal from min to max; what it prints again must be JSON, so no 1e3, 0x10 or .5. */
static bool number_read(const char *text, double min, double max, double *number)
{
	size_t digits = strspn(text, "0123456789");
	const char *rest = text + digits;

	if (!digits || digits > DIGITS_MAX || (text[0] == '0' && digits > 1))
		return false;
	if (*rest == '.') {
		digits = strspn(++rest, "0123456789");
		if (!digits || digits > DIGITS_MAX)
			return false;
		rest += digits;
	}
	if (*rest)
		return false;
	*number = strtod(text, NULL);
	return *number >= min && *number <= max;
}

bool wire_args_share(const char *text, __u64 *share)
{
	double percent;

	if (!number_read(text, 0, 100, &percent))
		return refuse(text, "a percentage: give 0 to 100, as in 2.5");

	*share = (__u64)(percent / 100 * WIRE_SHARE_ONE + 0.5);
	return true;
}

bool wire_args_sojourn(const char *text, __u64 *ns)
{
	double ms;

	if (!number_read(text, 1 / NS_PER_MS, SOJOURN_MAX_MS, &ms))
		return refuse(text, "a mean time: give ms above 0, up to an hour");

	*ns = (__u64)(ms * NS_PER_MS + 0.5);
	return true;
}

bool wire_args_dirs(const char *text, bool dirs[WIRE_DIRS])
{
	bool both = !strcmp(text, "both");

	dirs[WIRE_IN] = both || !strcmp(text, "in");
	dirs[WIRE_OUT] = both || !strcmp(text, "out");
	if (!dirs[WIRE_IN] && !dirs[WIRE_OUT])
		return refuse(text, "a direction: say in, out or both");

	return true;
}

bool wire_args_address(const char *text, __u8 address[16], int *family)
{
	static const __u8 v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

	*family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (*family == AF_INET) {
		memcpy(address, v4_mapped, sizeof(v4_mapped));
		address += sizeof(v4_mapped);
	}
	if (inet_pton(*family, text, address) == 1)
		return true;
	return refuse(text, "an address: give IPv4 or IPv6 digits");
}

bool wire_args_port(const char *text, __u16 *port)
{
	double number;

	if (!number_read(text, 1, 65535, &number) || strchr(text, '.'))
		return refuse(text, "a TCP port: give 1 to 65535");

	*port = htons((__u16)number);
	return true;
}
