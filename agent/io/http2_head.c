// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. The head of one message while it comes in, bounded. See http2_head.h.
 * May call: nothing. Called by: http2.
 */
#include "http2_head.h"

#include <errno.h>
#include <string.h>

#include "http2.h"

enum { FIELD_OVERHEAD_BYTES = 32 }; /* RFC 9113, 6.5.2 */

static const struct {
	const char *name;
	size_t len;
} names[HTTP2_NAMES] = {
#define NAME(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}
	[HTTP2_METHOD] = NAME(":method"),
	[HTTP2_PATH] = NAME(":path"),
	[HTTP2_STATUS] = NAME(":status"),
	[HTTP2_CONTENT_TYPE] = NAME("content-type"),
	[HTTP2_GRPC_ENCODING] = NAME("grpc-encoding"),
	[HTTP2_GRPC_TIMEOUT] = NAME("grpc-timeout"),
	[HTTP2_GRPC_STATUS] = NAME("grpc-status"),
	[HTTP2_GRPC_MESSAGE] = NAME("grpc-message"),
#undef NAME
};

static enum http2_name find(const uint8_t *name, size_t len)
{
	int i;

	for (i = 0; i < HTTP2_NAMES; i++)
		if (names[i].len == len && !memcmp(names[i].name, name, len))
			break;
	return i;
}

int http2_head_take(struct http2_head *head, const uint8_t *name, size_t name_len,
		    const uint8_t *value, size_t value_len)
{
	enum http2_name which;
	char *kept;

	head->bytes += name_len + value_len + FIELD_OVERHEAD_BYTES;
	if (head->bytes > HTTP2_HEADER_BYTES_MAX)
		return -E2BIG;
	which = find(name, name_len);
	if (which == HTTP2_NAMES || head->value[which])
		return 0;
	if ((which == HTTP2_PATH && value_len > HTTP2_PATH_BYTES_MAX) ||
	    value_len >= sizeof(head->text) - head->used)
		return -E2BIG;
	if (memchr(value, '\0', value_len))
		return -EINVAL;
	kept = head->text + head->used;
	memcpy(kept, value, value_len);
	kept[value_len] = '\0';
	head->used += value_len + 1;
	head->value[which] = kept;
	return 0;
}

void http2_head_clear(struct http2_head *head)
{
	memset(head->value, 0, sizeof(head->value));
	head->bytes = 0;
	head->used = 0;
}
