// SPDX-License-Identifier: BSD-2-Clause
/*
 * grpc.c - status codes, message framing, time-outs and words. See grpc.h.
 *
 * Room: peer. Pure. Called by call.c and serve.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "peer/grpc.h"

/* What is taken for a message before any of it has come. */
#define BODY_BYTES_MIN	   256
#define TIMEOUT_DIGITS_MAX 8
#define NS_PER_S	   1000000000ULL

const char *grpc_status_name(unsigned int status)
{
	static const char *const names[GRPC_STATUSES] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};

	return names[status < GRPC_STATUSES ? status : GRPC_UNKNOWN];
}

enum grpc_status grpc_status_of_errno(int err)
{
	switch (-err) {
	case 0:
		return GRPC_OK;
	case EHOSTDOWN:
	case ENETDOWN:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENOTCONN:
	case EPIPE:
	case ENETUNREACH:
	case EHOSTUNREACH:
		return GRPC_UNAVAILABLE;
	case ETIMEDOUT:
		return GRPC_DEADLINE_EXCEEDED;
	case ECANCELED:
		return GRPC_CANCELLED;
	case ENOBUFS:
	case ENOMEM:
	case EMSGSIZE:
		return GRPC_RESOURCE_EXHAUSTED;
	case EOPNOTSUPP:
		return GRPC_UNIMPLEMENTED;
	case EINVAL:
	case EBADMSG:
		return GRPC_INVALID_ARGUMENT;
	}
	return GRPC_INTERNAL;
}

enum grpc_status grpc_status_of_http(const char *status)
{
	static const struct {
		const char *http;
		enum grpc_status grpc;
	} map[] = {
		{"400", GRPC_INTERNAL},		 {"401", GRPC_UNAUTHENTICATED},
		{"403", GRPC_PERMISSION_DENIED}, {"404", GRPC_UNIMPLEMENTED},
		{"429", GRPC_UNAVAILABLE},	 {"502", GRPC_UNAVAILABLE},
		{"503", GRPC_UNAVAILABLE},	 {"504", GRPC_UNAVAILABLE},
	};
	size_t i;

	for (i = 0; status && i < sizeof(map) / sizeof(map[0]); i++)
		if (!strcmp(map[i].http, status))
			return map[i].grpc;
	return GRPC_UNKNOWN;
}

void grpc_prefix(uint8_t prefix[GRPC_PREFIX_BYTES], size_t bytes)
{
	prefix[0] = 0;
	prefix[1] = (uint8_t)(bytes >> 24);
	prefix[2] = (uint8_t)(bytes >> 16);
	prefix[3] = (uint8_t)(bytes >> 8);
	prefix[4] = (uint8_t)bytes;
}

static const struct unit {
	char letter;
	uint64_t ns;
} units[] = {
	{'n', 1},	 {'u', 1000},	       {'m', 1000000},
	{'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};

char *grpc_timeout_text(char text[GRPC_TIMEOUT_BYTES], uint64_t timeout_ns)
{
	const struct unit *unit = units, *last = &units[sizeof(units) / sizeof(units[0]) - 1];

	/* Rounded down: the server may give up a little early, never late. */
	while (timeout_ns / unit->ns > 99999999 && unit < last)
		unit++;
	snprintf(text, GRPC_TIMEOUT_BYTES, "%" PRIu64 "%c",
		 timeout_ns / unit->ns > 99999999 ? 99999999 : timeout_ns / unit->ns, unit->letter);
	return text;
}

int grpc_timeout_parse(const char *text, uint64_t *timeout_ns)
{
	uint64_t number = 0;
	size_t digits, i;

	for (digits = 0; text[digits] >= '0' && text[digits] <= '9'; digits++) {
		if (digits == TIMEOUT_DIGITS_MAX)
			return -EINVAL;
		number = number * 10 + (uint64_t)(text[digits] - '0');
	}
	if (!digits || !text[digits] || text[digits + 1])
		return -EINVAL;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].letter != text[digits])
			continue;
		/* 99999999 hours are 11408 years: more than 64 bits of nanoseconds hold. */
		*timeout_ns = number > UINT64_MAX / units[i].ns ? UINT64_MAX : number * units[i].ns;
		return 0;
	}
	return -EINVAL;
}

char *grpc_words_encode(char to[GRPC_WORDS_BYTES], const char *words)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t used = 0;

	for (; *words && used + 4 <= GRPC_WORDS_BYTES; words++) {
		unsigned char c = (unsigned char)*words;

		if (c >= ' ' && c <= '~' && c != '%') {
			to[used++] = (char)c;
			continue;
		}
		to[used++] = '%';
		to[used++] = hex[c >> 4];
		to[used++] = hex[c & 15];
	}
	to[used] = '\0';
	return to;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *grpc_words_decode(char to[GRPC_WORDS_BYTES], const char *encoded)
{
	size_t used = 0;

	while (*encoded && used + 1 < GRPC_WORDS_BYTES) {
		int high = *encoded == '%' ? hex_digit(encoded[1]) : -1;
		int low = high >= 0 ? hex_digit(encoded[2]) : -1;

		/* A NUL would hide what follows. */
		if (low >= 0 && (high || low)) {
			to[used++] = (char)(high << 4 | low);
			encoded += 3;
		} else {
			to[used++] = *encoded++;
		}
	}
	to[used] = '\0';
	return to;
}

static int begin_body(struct grpc_reader *reader)
{
	size_t limit = reader->limit_bytes ? reader->limit_bytes : GRPC_MESSAGE_BYTES_MAX;

	if (reader->prefix[0])
		return -EOPNOTSUPP;
	reader->body_bytes = (size_t)reader->prefix[1] << 24 | (size_t)reader->prefix[2] << 16 |
			     (size_t)reader->prefix[3] << 8 | reader->prefix[4];
	reader->body_used = 0;
	return reader->body_bytes > limit ? -EMSGSIZE : 0;
}

static int take_prefix(struct grpc_reader *reader, const uint8_t **data, size_t *len)
{
	size_t part = GRPC_PREFIX_BYTES - reader->prefix_used;

	if (part > *len)
		part = *len;
	memcpy(reader->prefix + reader->prefix_used, *data, part);
	reader->prefix_used += part;
	*data += part;
	*len -= part;
	return reader->prefix_used == GRPC_PREFIX_BYTES ? begin_body(reader) : 0;
}

static int make_room(struct grpc_reader *reader, size_t bytes)
{
	size_t room = reader->body_room ? reader->body_room : BODY_BYTES_MIN;
	uint8_t *grown;

	while (room < bytes)
		room *= 2;
	if (room > reader->body_bytes)
		room = reader->body_bytes;
	if (room <= reader->body_room)
		return 0;
	grown = realloc(reader->body, room);
	if (!grown)
		return -ENOMEM;
	reader->body = grown;
	reader->body_room = room;
	return 0;
}

static int take_body(struct grpc_reader *reader, const uint8_t **data, size_t *len)
{
	size_t part = reader->body_bytes - reader->body_used;
	int err;

	if (part > *len)
		part = *len;
	err = make_room(reader, reader->body_used + part);
	if (err)
		return err;
	if (part)
		memcpy(reader->body + reader->body_used, *data, part);
	reader->body_used += part;
	*data += part;
	*len -= part;
	return 0;
}

int grpc_read(struct grpc_reader *reader, const uint8_t *data, size_t len,
	      bool (*message)(void *ctx, const uint8_t *data, size_t len), void *ctx)
{
	const uint8_t *body;
	int err;

	while (len) {
		if (reader->prefix_used < GRPC_PREFIX_BYTES) {
			err = take_prefix(reader, &data, &len);
			if (err || reader->prefix_used < GRPC_PREFIX_BYTES)
				return err;
		}
		if (!reader->body_used && len >= reader->body_bytes) {
			/* Here as a whole: no copy. */
			body = data;
			data += reader->body_bytes;
			len -= reader->body_bytes;
		} else {
			err = take_body(reader, &data, &len);
			if (err || reader->body_used < reader->body_bytes)
				return err;
			body = reader->body;
		}
		reader->prefix_used = 0;
		reader->body_used = 0;
		if (!message(ctx, body, reader->body_bytes))
			return -ECANCELED;
	}
	return 0;
}

bool grpc_read_partial(const struct grpc_reader *reader)
{
	return reader->prefix_used > 0;
}

void grpc_read_free(struct grpc_reader *reader)
{
	free(reader->body);
	*reader = (struct grpc_reader){.limit_bytes = reader->limit_bytes};
}
