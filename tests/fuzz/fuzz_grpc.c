// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_grpc.c - what gRPC lays over HTTP/2: the framing of messages, time-outs, status words.
 *
 * Room: tests/fuzz. Calls peer/grpc. Input: a byte of kind (enum kind), then what it reads.
 * KIND_FRAMES: a byte for the limit, a byte for the size of the pieces, then the bytes of a stream;
 * a plain reader in one pass says what must come out of it.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "fuzz.h"
#include "peer/grpc.h"

#define LIMIT_UNIT 64
#define ALMOST	   0.999999 /* a double is not exact up there */

enum kind { KIND_FRAMES, KIND_TIMEOUT, KIND_WORDS, KIND_STATUS, KINDS };

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

/* ---- framing ---- */

struct expected {
	struct input stream;
	size_t limit;
	size_t messages;
	size_t stop_after; /* 0: never */
	bool stopped;
};

/* The next message of the stream, read without any state; what grpc_read() must have made of it. */
static int next_message(struct expected *expected, const uint8_t **body, size_t *bytes)
{
	const uint8_t *at = expected->stream.at;
	size_t left = (size_t)(expected->stream.end - at);

	if (left < GRPC_PREFIX_BYTES)
		return -EAGAIN;
	if (at[0])
		return -EOPNOTSUPP;
	*bytes = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
	if (*bytes > expected->limit)
		return -EMSGSIZE;
	if (left - GRPC_PREFIX_BYTES < *bytes)
		return -EAGAIN;
	*body = at + GRPC_PREFIX_BYTES;
	expected->stream.at += GRPC_PREFIX_BYTES + *bytes;
	return 0;
}

static bool on_message(void *ctx, const uint8_t *data, size_t len)
{
	struct expected *expected = ctx;
	const uint8_t *body = NULL;
	size_t bytes = 0;

	FUZZ_HOLDS(!expected->stopped);
	FUZZ_HOLDS(!next_message(expected, &body, &bytes));
	FUZZ_HOLDS(bytes == len && (!len || !memcmp(body, data, len)));
	expected->stopped = ++expected->messages == expected->stop_after;
	return !expected->stopped;
}

static int read_in_pieces(struct grpc_reader *reader, struct input input, size_t piece,
			  struct expected *expected)
{
	int err = 0;

	while (!err && input.at < input.end) {
		size_t left = (size_t)(input.end - input.at), len = piece < left ? piece : left;
		/* A copy of its own, so that a read beyond its end is seen. */
		uint8_t *copy = malloc(len);

		FUZZ_HOLDS(copy);
		memcpy(copy, input.at, len);
		input.at += len;
		err = grpc_read(reader, copy, len, on_message, expected);
		free(copy);
		FUZZ_HOLDS(reader->body_room <= expected->limit);
	}
	return err;
}

static void frames(struct input input)
{
	size_t limit = (size_t)take(&input) * LIMIT_UNIT, piece = (size_t)take(&input) + 1, bytes;
	struct grpc_reader reader = {.limit_bytes = limit};
	struct expected expected = {.stream = input,
				    .limit = limit ? limit : GRPC_MESSAGE_BYTES_MAX,
				    .stop_after = piece % 4 ? 0 : piece / 4};
	const uint8_t *body;
	int err = read_in_pieces(&reader, input, piece, &expected);

	FUZZ_HOLDS(expected.stopped == (err == -ECANCELED));
	if (!expected.stopped) {
		int left = next_message(&expected, &body, &bytes);

		FUZZ_HOLDS(left == (err ? err : -EAGAIN));
		if (!err)
			FUZZ_HOLDS(grpc_read_partial(&reader) ==
				   (expected.stream.at < expected.stream.end));
	}
	grpc_read_free(&reader);
}

/* ---- texts ---- */

static double ns_of_unit(char unit)
{
	switch (unit) {
	case 'H':
		return 3600e9;
	case 'M':
		return 60e9;
	case 'S':
		return 1e9;
	case 'm':
		return 1e6;
	case 'u':
		return 1e3;
	}
	return 1;
}

/* What is understood can be said, and is understood as no more than that. */
static void timeout(const char *text)
{
	char said[GRPC_TIMEOUT_BYTES];
	uint64_t timeout_ns = 0, again_ns = 0;
	double meant_ns;

	if (grpc_timeout_parse(text, &timeout_ns)) {
		FUZZ_HOLDS(!timeout_ns);
		return;
	}
	FUZZ_HOLDS(strlen(text) <= 9);
	meant_ns = (double)strtoul(text, NULL, 10) * ns_of_unit(text[strlen(text) - 1]);
	if (meant_ns >= (double)UINT64_MAX)
		FUZZ_HOLDS(timeout_ns == UINT64_MAX);
	else
		FUZZ_HOLDS(timeout_ns >= (uint64_t)(meant_ns * ALMOST));
	grpc_timeout_text(said, timeout_ns);
	FUZZ_HOLDS(!grpc_timeout_parse(said, &again_ns));
	FUZZ_HOLDS(again_ns <= timeout_ns && timeout_ns - again_ns <= timeout_ns / 1000);
}

static bool is_hex(char c)
{
	return c && strchr("0123456789abcdefABCDEF", c);
}

/* As many characters as there are, each well-formed escape being one: nothing is hidden by a NUL.
 */
static size_t decoded_length(const char *text)
{
	size_t len = 0;

	for (; *text; text++, len++)
		if (*text == '%' && is_hex(text[1]) && is_hex(text[2]) &&
		    (text[1] != '0' || text[2] != '0'))
			text += 2;
	return len < GRPC_WORDS_BYTES ? len : GRPC_WORDS_BYTES - 1;
}

static void words(const char *text)
{
	char decoded[GRPC_WORDS_BYTES], encoded[GRPC_WORDS_BYTES], again[GRPC_WORDS_BYTES];
	size_t i, len;

	FUZZ_HOLDS(grpc_words_decode(decoded, text) == decoded);
	FUZZ_HOLDS(strlen(decoded) == decoded_length(text));
	FUZZ_HOLDS(grpc_words_encode(encoded, decoded) == encoded);
	len = strlen(encoded);
	FUZZ_HOLDS(len < sizeof(encoded));
	for (i = 0; i < len; i++)
		FUZZ_HOLDS(encoded[i] >= ' ' && encoded[i] <= '~');
	/* Cut to fit, perhaps, but not changed. */
	grpc_words_decode(again, encoded);
	FUZZ_HOLDS(!strncmp(again, decoded, strlen(again)));
}

static void status(const char *text)
{
	FUZZ_HOLDS(grpc_status_of_http(text) < GRPC_STATUSES);
	FUZZ_HOLDS(grpc_status_name((unsigned char)text[0])[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, data + size};
	enum kind kind = take(&input) % KINDS;
	size_t len = (size_t)(input.end - input.at);
	char *text;

	if (kind == KIND_FRAMES) {
		frames(input);
		return 0;
	}
	text = malloc(len + 1);
	FUZZ_HOLDS(text);
	memcpy(text, input.at, len);
	text[len] = '\0';
	if (kind == KIND_TIMEOUT)
		timeout(text);
	else if (kind == KIND_WORDS)
		words(text);
	else
		status(text);
	free(text);
	return 0;
}
