/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_value.h - the values of settings: names, paths, numbers, times; and how one is refused.
 *
 * Room: agent. Pure; calls libc only. Called by config.c.
 *
 * Each reader returns 0, or -EINVAL with its reason written, which names what was there and what
 * may be; the output is then unchanged.
 */
#ifndef KNELL_CONFIG_VALUE_H
#define KNELL_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct config;

/* One pass over a file. */
struct config_reading {
	struct config *config;
	const char *path;
	FILE *file;
	int line;	 /* 0: of the file as a whole */
	const char *key; /* whose value is being read */
	char *why;
	size_t why_size;
};

/* What a time may be. */
struct config_span {
	uint64_t min_ns;
	uint64_t max_ns;
	uint64_t step_ns; /* only multiples of it; 0: any */
	bool never;	  /* 0 may stand there too */
};

/** config_refuse - write the reason, with file and line before it. Returns -EINVAL. */
int config_refuse(struct config_reading *reading, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** config_value_name - a name as certificates have it, into CONFIG_NAME_MAX + 1 bytes. */
int config_value_name(struct config_reading *reading, char *name, const char *value);

/** config_value_path - an absolute path. */
int config_value_path(struct config_reading *reading, char *path, size_t size, const char *value);

/** config_value_number - decimal, from @min to @max. */
int config_value_number(struct config_reading *reading, unsigned int *number, const char *value,
			unsigned int min, unsigned int max);

/** config_value_time - "500ms", "3s", "5m", "1h"; "0" where @span says so. */
int config_value_time(struct config_reading *reading, uint64_t *ns, const char *value,
		      const struct config_span *span);

/** config_value_flag - "yes" or "no". */
int config_value_flag(struct config_reading *reading, bool *flag, const char *value);

#endif
