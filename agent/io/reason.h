/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Why a connection ends, in words: the first cause counts, what follows from it
 * does not. May call: nothing. Called by: tls, http2.
 */
#ifndef KNELL_IO_REASON_H
#define KNELL_IO_REASON_H

#include <stdbool.h>

enum { REASON_BYTES = 256 };

/* Zero-initialised is empty. */
struct reason {
	char words[REASON_BYTES];
	bool known;
};

/* Sets the cause; does nothing when it is known already. */
void reason_set(struct reason *reason, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Notes what may turn out to be the cause: reason_set() and later hints replace it. */
void reason_hint(struct reason *reason, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Makes the hint the cause, or sets this one when there is none. */
void reason_settle(struct reason *reason, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Drops the hint: it ended nothing. */
void reason_forget_hint(struct reason *reason);

#endif
