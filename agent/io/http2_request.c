// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. The headers of one request while they come in, bounded.
 * May call: nothing. Called by: http2.
 */
#include "http2_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http2.h"

enum { FIELD_OVERHEAD_BYTES = 32 }; /* RFC 9113, 6.5.2 */

static int keep(char **kept, const uint8_t *value, size_t len)
{
	char *copy;

	if (len > HTTP2_PATH_BYTES_MAX)
		return -E2BIG;
	copy = strndup((const char *)value, len);
	if (!copy)
		return -ENOMEM;
	free(*kept);
	*kept = copy;
	return 0;
}

int http2_request_header(struct http2_request *request, const uint8_t *name, size_t name_len,
			 const uint8_t *value, size_t value_len)
{
	request->bytes += name_len + value_len + FIELD_OVERHEAD_BYTES;
	if (request->bytes > HTTP2_HEADER_BYTES_MAX)
		return -E2BIG;
	if (name_len == 7 && memcmp(name, ":method", 7) == 0)
		return keep(&request->method, value, value_len);
	if (name_len == 5 && memcmp(name, ":path", 5) == 0)
		return keep(&request->path, value, value_len);
	return 0;
}

void http2_request_clear(struct http2_request *request)
{
	free(request->method);
	free(request->path);
	*request = (struct http2_request){0};
}
