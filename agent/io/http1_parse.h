/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. HTTP/1.1 requests out of bytes: heads, bodies, where one ends.
 * May call: libhttp-parser, which nobody else includes. Called by: http1.
 *
 * Pure: no socket, no clock. Hostile input: whatever two readers could understand in two ways is
 * refused here.
 */
#ifndef KNELL_IO_HTTP1_PARSE_H
#define KNELL_IO_HTTP1_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http1_parser;

enum {
	HTTP1_HEAD_BYTES_MAX = 32 << 10, /* request line and fields, without what separates them */
	HTTP1_FIELDS_MAX = 128,
};

/* The length of a body that ends when it ends. */
#define HTTP1_CHUNKED UINT64_MAX

struct http1_field {
	const char *name; /* lower case */
	const char *value;
};

struct http1_head {
	const char *method;
	const char *target;
	const struct http1_field *fields;
	size_t field_count;
	uint64_t body_bytes; /* or HTTP1_CHUNKED */
	bool expects_continue;
	bool is_1_1; /* or HTTP/1.0 */
	bool keep_alive;
};

/* What can be wrong with a request before anybody looks into it. */
enum http1_fault {
	HTTP1_SOUND,
	HTTP1_MALFORMED,
	HTTP1_TOO_LARGE, /* the head */
	HTTP1_TOO_SLOW,	 /* told by http1 only */
	HTTP1_VERSION,	 /* neither 1.0 nor 1.1 */
	HTTP1_CODING,	 /* a transfer coding that is not chunked */
	HTTP1_OUT_OF_MEMORY,
};

/* Any of them may call http1_parser_stop(), none may close the parser. */
struct http1_parser_callbacks {
	/* `head` is valid until http1_parser_next(). */
	void (*on_head)(void *ctx, const struct http1_head *head);
	void (*on_body)(void *ctx, const uint8_t *data, size_t len);
	void (*on_end)(void *ctx);
};

/* 0 and *parser, or -ENOMEM. */
int http1_parser_open(struct http1_parser **parser, const struct http1_parser_callbacks *callbacks,
		      void *ctx);

/* NULL is allowed. */
void http1_parser_close(struct http1_parser *parser);

/*
 * Reads up to the end of the present request, and tells how many bytes that took. *fault is set
 * when the bytes make no sense; nothing may be read after that.
 */
size_t http1_parser_read(struct http1_parser *parser, const uint8_t *data, size_t len,
			 enum http1_fault *fault);

/* A request has begun. */
bool http1_parser_begun(const struct http1_parser *parser);

/* After on_end: forgets the request and is ready for the next. */
void http1_parser_next(struct http1_parser *parser);

/* No callback any more. */
void http1_parser_stop(struct http1_parser *parser);

/* The value of the first field of that name, or NULL. */
const char *http1_field_value(const struct http1_head *head, const char *name);

#endif
