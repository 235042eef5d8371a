// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Text that grows. See text.h.
 * May call: nothing. Called by: http1, s3.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_BYTES_MIN = 256 };

static bool make_room(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : ROOM_BYTES_MIN;
	char *grown;

	if (text->failed)
		return false;
	if (text->room - text->len > more)
		return true;
	while (room - text->len <= more)
		room *= 2;
	grown = realloc(text->bytes, room);
	if (!grown) {
		text->failed = true;
		return false;
	}
	text->bytes = grown;
	text->room = room;
	return true;
}

void text_add(struct text *text, const void *bytes, size_t len)
{
	if (!make_room(text, len))
		return;
	if (len)
		memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

void text_puts(struct text *text, const char *words)
{
	text_add(text, words, strlen(words));
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len >= 0 && make_room(text, (size_t)len))
		text->len +=
			(size_t)vsnprintf(text->bytes + text->len, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
}

void text_clear(struct text *text)
{
	text->len = 0;
	text->failed = false;
	if (text->bytes)
		text->bytes[0] = '\0';
}

void text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){0};
}
