// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One line per event to a file descriptor.
 * May call: nothing. Called by: the edges only.
 */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

_Static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a pipe takes a line whole or not at all");

enum { DROPPED_BYTES = sizeof(" log_dropped=4294967295") };

static size_t clamp(int printed, size_t room)
{
	if (printed < 0)
		return 0;
	return (size_t)printed < room ? (size_t)printed : room - 1;
}

/* A pipe that poll(2) calls writable has room for PIPE_BUF bytes. */
static bool written(int fd, const char *line, size_t length)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	return poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT && write(fd, line, length) > 0;
}

static void __attribute__((format(printf, 4, 0)))
write_line(const struct log *log, enum log_level level, const char *text, const char *fields,
	   va_list args)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	unsigned int dropped = log->dropped ? *log->dropped : 0;
	char line[LOG_LINE_BYTES];
	int saved_errno = errno;
	/* But for the newline, and what must be told even if the rest is cut. */
	size_t room = sizeof(line) - 1 - (dropped ? DROPPED_BYTES : 0);
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
	if (dropped)
		used += (size_t)snprintf(line + used, DROPPED_BYTES, " log_dropped=%u", dropped);
	line[used++] = '\n';
	if (log->dropped)
		*log->dropped = written(log->fd, line, used) ? 0 : dropped + 1;
	else
		written(log->fd, line, used);
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
