// SPDX-License-Identifier: BSD-2-Clause
/*
 * uri.c - percent-encoding. See uri.h.
 *
 * Room: s3. Pure; calls io/text. Called by request, sigv4, the operations.
 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "s3/uri.h"

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)tolower((unsigned char)digit);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

long uri_decode(char *out, const char *text, size_t len, bool plus)
{
	size_t i, used = 0;

	for (i = 0; i < len; i++) {
		char byte = text[i];

		if (byte == '%') {
			int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			byte = (char)(high << 4 | low);
			i += 2;
		} else if (byte == '+' && plus) {
			byte = ' ';
		}
		if (!byte)
			return -EINVAL;
		out[used++] = byte;
	}
	out[used] = '\0';
	return (long)used;
}

void uri_encode(struct text *text, const char *bytes, size_t len, bool slash)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i, plain = 0;

	for (i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		char triple[3] = {'%', digits[byte >> 4], digits[byte & 15]};

		if ((byte < 0x80 && isalnum(byte)) || (byte && strchr("-._~", byte)) ||
		    (slash && byte == '/'))
			continue;
		text_add(text, bytes + plain, i - plain);
		text_add(text, triple, sizeof(triple));
		plain = i + 1;
	}
	text_add(text, bytes + plain, len - plain);
}

/* The shortest spelling of a character that exists (RFC 3629), by how many bytes follow the first.
 */
static bool is_character(uint32_t point, unsigned int more)
{
	switch (more) {
	case 2:
		return point >= 0x800 && (point < 0xd800 || point >= 0xe000);
	case 3:
		return point >= 0x10000 && point <= 0x10ffff;
	}
	return true;
}

/* How many bytes the character at @at has, 0 when it is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
	unsigned int more = *at < 0x80 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3, i;
	uint32_t point = more ? *at & (0x3fU >> more) : *at;

	if ((*at >= 0x80 && *at < 0xc2) || *at > 0xf4 || left <= more)
		return 0;
	for (i = 1; i <= more; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3f);
	}
	return is_character(point, more) ? more + 1 : 0;
}

bool uri_is_utf8(const char *bytes, size_t len)
{
	const unsigned char *at = (const unsigned char *)bytes, *end = at + len;
	size_t used = 1;

	for (; at < end && used; at += used)
		used = utf8_length(at, (size_t)(end - at));
	return used;
}
