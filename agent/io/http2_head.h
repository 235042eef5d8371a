/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. The head (or the trailers) of one message while it comes in, bounded: the fields
 * that somebody here reads, and no others.
 * May call: nothing. Called by: http2; read by those who ask and answer.
 */
#ifndef KNELL_IO_HTTP2_HEAD_H
#define KNELL_IO_HTTP2_HEAD_H

#include <stddef.h>
#include <stdint.h>

enum http2_name {
	HTTP2_METHOD,
	HTTP2_PATH,
	HTTP2_STATUS,
	HTTP2_CONTENT_TYPE,
	HTTP2_GRPC_ENCODING,
	HTTP2_GRPC_TIMEOUT,
	HTTP2_GRPC_STATUS,
	HTTP2_GRPC_MESSAGE,
	HTTP2_NAMES,
};

enum { HTTP2_HEAD_TEXT_BYTES = 4096 };

/*
 * Zero-initialised is empty. A connection receives one block of fields at a time, so it needs only
 * one of these. Of a name that comes twice the first counts.
 */
struct http2_head {
	const char *value[HTTP2_NAMES]; /* NULL: absent; into text */
	size_t bytes;			/* of the whole block, as RFC 9113, 6.5.2 counts */
	size_t used;
	char text[HTTP2_HEAD_TEXT_BYTES];
};

/*
 * Takes one field. 0, or -E2BIG when the block exceeds HTTP2_HEADER_BYTES_MAX, the path
 * HTTP2_PATH_BYTES_MAX or what is kept the room for it; -EINVAL for a kept value that holds a NUL.
 */
int http2_head_take(struct http2_head *head, const uint8_t *name, size_t name_len,
		    const uint8_t *value, size_t value_len);

/* Makes it empty again. */
void http2_head_clear(struct http2_head *head);

#endif
