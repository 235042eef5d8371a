// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One line per event to a file descriptor.
 * May call: nothing. Called by: the edges only.
 */
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static size_t clamp(int printed, size_t room)
{
	if (printed < 0)
		return 0;
	return (size_t)printed < room ? (size_t)printed : room - 1;
}

static void __attribute__((format(printf, 4, 0)))
write_line(const struct log *log, enum log_level level, const char *text, const char *fields,
	   va_list args)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char line[LOG_LINE_BYTES];
	int saved_errno = errno;
	size_t room = sizeof(line) - 1; /* the newline */
	size_t used;

	if (level > log->level)
		return;
	used = clamp(snprintf(line, room, "knelld: %s: %s", names[level], text), room);
	if (fields && used + 1 < room) {
		line[used++] = ' ';
		used += clamp(vsnprintf(line + used, room - used, fields, args), room - used);
	}
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	if (write(log->fd, line, used) < 0)
		errno = saved_errno;
}

void log_error(const struct log *log, const char *text, const char *fields, ...)
{
	va_list args;

	va_start(args, fields);
	write_line(log, LOG_LEVEL_ERROR, text, fields, args);
	va_end(args);
}

void log_warning(const struct log *log, const char *text, const char *fields, ...)
{
	va_list args;

	va_start(args, fields);
	write_line(log, LOG_LEVEL_WARNING, text, fields, args);
	va_end(args);
}

void log_info(const struct log *log, const char *text, const char *fields, ...)
{
	va_list args;

	va_start(args, fields);
	write_line(log, LOG_LEVEL_INFO, text, fields, args);
	va_end(args);
}

void log_debug(const struct log *log, const char *text, const char *fields, ...)
{
	va_list args;

	va_start(args, fields);
	write_line(log, LOG_LEVEL_DEBUG, text, fields, args);
	va_end(args);
}
