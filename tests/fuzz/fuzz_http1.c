// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_http1.c - the reader of HTTP/1.1 requests.
 *
 * Room: tests/fuzz. Calls io/http1_parse. Input: a byte for the size of the pieces, then what a
 * client sends. Whatever the pieces, the same must come out of it, and what is told must keep its
 * promises.
 */
#include <string.h>
#include "fuzz.h"
#include "io/http1_parse.h"
#include "io/text.h"

enum { REQUESTS_MAX = 64 };

struct seen {
	struct text told;
	bool in_request, ended;
	uint64_t expected, got;
};

static void on_head(void *ctx, const struct http1_head *head)
{
	struct seen *seen = ctx;
	size_t i, bytes = strlen(head->target);

	FUZZ_HOLDS(!seen->in_request);
	FUZZ_HOLDS(head->field_count <= HTTP1_FIELDS_MAX);
	seen->in_request = true;
	seen->expected = head->body_bytes;
	seen->got = 0;
	text_printf(&seen->told, "%s %s", head->method, head->target);
	for (i = 0; i < head->field_count; i++) {
		FUZZ_HOLDS(head->fields[i].name[0]);
		bytes += strlen(head->fields[i].name) + strlen(head->fields[i].value);
		FUZZ_HOLDS(!strpbrk(head->fields[i].value, "\r\n"));
		text_printf(&seen->told, " %s=%s", head->fields[i].name, head->fields[i].value);
	}
	FUZZ_HOLDS(bytes <= HTTP1_HEAD_BYTES_MAX);
	FUZZ_HOLDS(!http1_field_value(head, "content-length") ||
		   !http1_field_value(head, "transfer-encoding"));
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	struct seen *seen = ctx;

	FUZZ_HOLDS(seen->in_request && !seen->ended);
	seen->got += len;
	text_add(&seen->told, data, len);
}

static void on_end(void *ctx)
{
	struct seen *seen = ctx;

	FUZZ_HOLDS(seen->in_request && !seen->ended);
	FUZZ_HOLDS(seen->expected == HTTP1_CHUNKED || seen->expected == seen->got);
	seen->ended = true;
	text_puts(&seen->told, "|");
}

static const struct http1_parser_callbacks callbacks = {on_head, on_body, on_end};

static enum http1_fault read_all(struct seen *seen, const uint8_t *data, size_t size, size_t piece)
{
	struct http1_parser *parser = NULL;
	enum http1_fault fault = HTTP1_SOUND;
	unsigned int requests = 0;
	size_t at = 0;

	FUZZ_HOLDS(!http1_parser_open(&parser, &callbacks, seen));
	while (at < size && !fault && requests < REQUESTS_MAX) {
		size_t len = size - at < piece ? size - at : piece;
		/* A copy of its own, so that a read beyond its end is seen. */
		uint8_t *copy = malloc(len);
		size_t used;

		FUZZ_HOLDS(copy);
		memcpy(copy, data + at, len);
		used = http1_parser_read(parser, copy, len, &fault);
		free(copy);
		FUZZ_HOLDS(used <= len);
		FUZZ_HOLDS(used == len || seen->ended || fault);
		at += used;
		if (seen->ended) {
			seen->ended = false;
			seen->in_request = false;
			requests++;
			http1_parser_next(parser);
		}
	}
	http1_parser_close(parser);
	return fault;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = {0}, pieces = {0};
	enum http1_fault fault;

	if (!size)
		return 0;
	fault = read_all(&whole, data + 1, size - 1, SIZE_MAX);
	/* Of two faults in one head either may be found first. */
	FUZZ_HOLDS(!read_all(&pieces, data + 1, size - 1, (size_t)data[0] + 1) == !fault);
	if (!fault) {
		FUZZ_HOLDS(whole.told.len == pieces.told.len);
		FUZZ_HOLDS(!whole.told.len ||
			   !memcmp(whole.told.bytes, pieces.told.bytes, whole.told.len));
	}
	text_free(&whole.told);
	text_free(&pieces.told);
	return 0;
}
