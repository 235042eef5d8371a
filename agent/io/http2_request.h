/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. The headers of one request while they come in, bounded.
 * May call: nothing. Called by: http2.
 */
#ifndef KNELL_IO_HTTP2_REQUEST_H
#define KNELL_IO_HTTP2_REQUEST_H

#include <stddef.h>
#include <stdint.h>

/*
 * Zero-initialised is empty. A connection receives one block of headers at a time, so it needs
 * only one of these.
 */
struct http2_request {
	char *method; /* NULL until seen */
	char *path;
	size_t bytes;
};

/*
 * Takes one header field. 0, -E2BIG when the headers exceed HTTP2_HEADER_BYTES_MAX or the path
 * HTTP2_PATH_BYTES_MAX, -ENOMEM.
 */
int http2_request_header(struct http2_request *request, const uint8_t *name, size_t name_len,
			 const uint8_t *value, size_t value_len);

/* Makes it empty again. */
void http2_request_clear(struct http2_request *request);

#endif
