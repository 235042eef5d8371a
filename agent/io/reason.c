// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Why a connection ends, in words.
 * May call: nothing. Called by: tls, http2.
 */
#include "reason.h"

#include <stdarg.h>
#include <stdio.h>

static void __attribute__((format(printf, 2, 0)))
write_words(struct reason *reason, const char *format, va_list args)
{
	if (!reason->known)
		vsnprintf(reason->words, sizeof(reason->words), format, args);
}

void reason_set(struct reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_words(reason, format, args);
	va_end(args);
	reason->known = true;
}

void reason_hint(struct reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_words(reason, format, args);
	va_end(args);
}

void reason_settle(struct reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!reason->words[0])
		write_words(reason, format, args);
	va_end(args);
	reason->known = true;
}

void reason_forget_hint(struct reason *reason)
{
	if (!reason->known)
		reason->words[0] = 0;
}
