/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One line per event to a file descriptor: `knelld: level: text key=value ...`.
 * May call: nothing. Called by: the edges only (main, the table of reactions); what lies deeper
 * returns errors.
 */
#ifndef KNELL_IO_LOG_H
#define KNELL_IO_LOG_H

#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
	int fd;		      /* usually STDERR_FILENO */
	enum log_level level; /* what is less urgent than this is not written */
};

/*
 * Writes one line in one write(2): `text`, then the tail made from the printf format `fields`
 * ("peer=%s ms=%u"; NULL for none). Control characters become '?', so text that came from a peer
 * cannot forge a line; a line longer than LOG_LINE_BYTES is cut. Errors of the write are ignored:
 * there is nobody to tell. Leaves errno alone.
 */
void log_error(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));
void log_warning(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));
void log_info(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));
void log_debug(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));

enum { LOG_LINE_BYTES = 1024 };

#endif
