/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One line per event to a file descriptor: `knelld: level: text key=value ...`.
 * May call: nothing. Called by: the edges only (main, the table of reactions); what lies deeper
 * returns errors.
 *
 * Never waits for whoever reads the lines: what does not fit into the pipe now is dropped.
 */
#ifndef KNELL_IO_LOG_H
#define KNELL_IO_LOG_H

#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
	int fd;		      /* usually STDERR_FILENO */
	enum log_level level; /* what is less urgent than this is not written */
	/* Lines dropped and not yet told of; the owner's, so that a log may be const. NULL: not
	 * told. */
	unsigned int *dropped;
};

/*
 * Writes one line in one write(2): `text`, then the tail made from the printf format `fields`
 * ("peer=%s ms=%u"; NULL for none). Control characters become '?', so text that came from a peer
 * cannot forge a line; a line longer than LOG_LINE_BYTES is cut. A line that cannot be written at
 * once is dropped; the next one that can ends in `log_dropped=N`. Leaves errno alone.
 */
void log_error(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));
void log_warning(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));
void log_info(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));
void log_debug(const struct log *log, const char *text, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));

enum { LOG_LINE_BYTES = 1024 }; /* at most PIPE_BUF: written whole or not at all */

#endif
