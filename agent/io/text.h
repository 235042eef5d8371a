/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Text that grows. May call: nothing. Called by: http1, s3.
 *
 * Running out of memory is noted and not told until the end: check `failed` once, when the text is
 * whole.
 */
#ifndef KNELL_IO_TEXT_H
#define KNELL_IO_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialised is empty. `bytes` has a NUL after `len` bytes, or is NULL when there are none.
 */
struct text {
	char *bytes;
	size_t len, room;
	bool failed; /* something is missing: there was no memory for it */
};

void text_add(struct text *text, const void *bytes, size_t len);
void text_puts(struct text *text, const char *words);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Empties it and keeps its memory. */
void text_clear(struct text *text);

/* Frees its memory; it is empty then. */
void text_free(struct text *text);

#endif
