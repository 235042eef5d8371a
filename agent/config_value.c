// SPDX-License-Identifier: BSD-2-Clause
/*
 * config_value.c - the values of settings. See config_value.h.
 *
 * Room: agent. Calls libc only; called by config.c.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "config_value.h"

/* "168h": what a time needs in a reason. */
#define TIME_BYTES 32

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{"h", 3600000000000ULL},
	{"m", 60000000000ULL},
	{"s", 1000000000ULL},
	{"ms", 1000000ULL},
};

#define UNITS (sizeof(units) / sizeof(units[0]))

int config_refuse(struct config_reading *reading, const char *format, ...)
{
	int used = reading->line ? snprintf(reading->why, reading->why_size,
					    "%s:%d: ", reading->path, reading->line)
				 : snprintf(reading->why, reading->why_size, "%s: ", reading->path);
	va_list args;

	va_start(args, format);
	if (used >= 0 && (size_t)used < reading->why_size)
		vsnprintf(reading->why + used, reading->why_size - used, format, args);
	va_end(args);
	return -EINVAL;
}

int config_value_name(struct config_reading *reading, char *name, const char *value)
{
	size_t length = strlen(value), i;

	if (!length || length > CONFIG_NAME_MAX)
		return config_refuse(reading, "name \"%s\" must have 1 to %d characters", value,
				     CONFIG_NAME_MAX);
	for (i = 0; i < length; i++)
		if (!isalnum((unsigned char)value[i]) && value[i] != '-' && value[i] != '.')
			return config_refuse(reading,
					     "name \"%s\" may hold letters, digits, '-' and '.'",
					     value);
	memcpy(name, value, length + 1);
	return 0;
}

int config_value_path(struct config_reading *reading, char *path, size_t size, const char *value)
{
	size_t length = strlen(value);

	if (value[0] != '/')
		return config_refuse(reading, "%s \"%s\" must be an absolute path", reading->key,
				     value);
	if (length >= size)
		return config_refuse(reading, "%s is longer than %zu characters: %s", reading->key,
				     size - 1, value);
	memcpy(path, value, length + 1);
	return 0;
}

int config_value_number(struct config_reading *reading, unsigned int *number, const char *value,
			unsigned int min, unsigned int max)
{
	char *rest;
	unsigned long got = strtoul(value, &rest, 10);

	if (!isdigit((unsigned char)*value) || *rest || got < min || got > max)
		return config_refuse(reading, "%s \"%s\" must be a number from %u to %u",
				     reading->key, value, min, max);
	*number = got;
	return 0;
}

/* In the largest unit that leaves no rest. */
static char *time_text(char text[TIME_BYTES], uint64_t ns)
{
	size_t i;

	for (i = 0; i < UNITS - 1 && ns % units[i].ns; i++)
		;
	snprintf(text, TIME_BYTES, "%" PRIu64 "%s", ns / units[i].ns, units[i].name);
	return text;
}

static int time_parse(const char *value, uint64_t *ns)
{
	size_t digits = strspn(value, "0123456789"), i;
	uint64_t number = strtoull(value, NULL, 10);

	if (!digits)
		return -EINVAL;
	if (!number && !value[digits]) {
		*ns = 0;
		return 0;
	}
	for (i = 0; i < UNITS; i++)
		if (!strcmp(value + digits, units[i].name))
			return __builtin_mul_overflow(number, units[i].ns, ns) ? -EINVAL : 0;
	return -EINVAL;
}

int config_value_time(struct config_reading *reading, uint64_t *ns, const char *value,
		      const struct config_span *span)
{
	char min[TIME_BYTES], max[TIME_BYTES], step[TIME_BYTES];
	uint64_t got;
	bool within = !time_parse(value, &got) &&
		      (got ? got >= span->min_ns && got <= span->max_ns : span->never);

	if (!within)
		return config_refuse(reading,
				     "%s \"%s\" must be a time from %s to %s%s, with its unit: "
				     "ms, s, m or h",
				     reading->key, value, time_text(min, span->min_ns),
				     time_text(max, span->max_ns),
				     span->never ? ", or 0 for never" : "");
	if (span->step_ns && got % span->step_ns)
		return config_refuse(reading, "%s \"%s\" must be a multiple of %s", reading->key,
				     value, time_text(step, span->step_ns));
	*ns = got;
	return 0;
}

int config_value_flag(struct config_reading *reading, bool *flag, const char *value)
{
	bool yes = !strcmp(value, "yes");

	if (!yes && strcmp(value, "no"))
		return config_refuse(reading, "%s \"%s\" must be yes or no", reading->key, value);
	*flag = yes;
	return 0;
}
