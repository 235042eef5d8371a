// SPDX-License-Identifier: BSD-2-Clause
/*
 * message.c - protobuf messages in and out, within bounds. See message.h.
 *
 * Room: peer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "peer/message.h"

enum { WORDS_BYTES = 128, SMALL_BYTES = 1024 };

static void *take(void *ctx, size_t size)
{
	size_t *budget = ctx;

	if (size > *budget)
		return NULL;
	*budget -= size;
	/* protobuf-c asks for nothing, and takes NULL for a failure. */
	return malloc(size ? size : 1);
}

static void give(void *ctx, void *pointer)
{
	(void)ctx;
	free(pointer);
}

void *message_read(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t count)
{
	size_t budget = MESSAGE_MEMORY_BYTES + count * MESSAGE_MEMORY_BYTES_PER_BYTE;
	ProtobufCAllocator allocator = {take, give, &budget};

	return protobuf_c_message_unpack(type, &allocator, count, bytes);
}

void message_free(void *message)
{
	ProtobufCAllocator allocator = {take, give, NULL};

	if (message)
		protobuf_c_message_free_unpacked(message, &allocator);
}

int message_pack(const ProtobufCMessage *message, uint8_t **bytes, size_t *count)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(size ? size : 1);

	if (!packed)
		return -ENOMEM;
	*count = protobuf_c_message_pack(message, packed);
	*bytes = packed;
	return 0;
}

int message_reply(struct serve_call *call, const ProtobufCMessage *message)
{
	uint8_t small[SMALL_BYTES], *bytes = small;
	size_t count = protobuf_c_message_get_packed_size(message);
	int err = 0;

	if (count <= sizeof(small))
		protobuf_c_message_pack(message, small);
	else
		err = message_pack(message, &bytes, &count);
	if (err)
		return err;
	err = serve_reply(call, bytes, count);
	if (bytes != small)
		free(bytes);
	return err;
}

void message_answer(struct serve_call *call, const ProtobufCMessage *message)
{
	int err = message_reply(call, message);

	serve_finish(call, grpc_status_of_errno(err), err ? strerror(-err) : NULL);
}

void message_refuse(struct serve_call *call, const ProtobufCMessageDescriptor *type)
{
	char words[WORDS_BYTES];

	snprintf(words, sizeof(words), "the request is no %s", type->name);
	serve_finish(call, GRPC_INVALID_ARGUMENT, words);
}

/*
 * Bytes of the character at @text, 0 when it is not UTF-8. What lies beyond the NUL is not read,
 * because that is no continuation.
 */
static size_t character_bytes(const unsigned char *text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t bytes = *text < 0x80		? 1
		       : (*text & 0xe0) == 0xc0 ? 2
		       : (*text & 0xf0) == 0xe0 ? 3
		       : (*text & 0xf8) == 0xf0 ? 4
						: 0;
	uint32_t point = bytes > 1 ? *text & (0x7f >> bytes) : *text;
	size_t i;

	for (i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text[i] & 0x3f);
	}
	if (!bytes || point < least[bytes] || point > 0x10ffff ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	return bytes;
}

char *message_text(char *to, size_t size, const char *from)
{
	size_t used = 0, bytes;

	while (*from) {
		bytes = character_bytes((const unsigned char *)from);
		if (used + (bytes ? bytes : 1) >= size)
			break;
		if (!bytes || (unsigned char)*from < ' ' || *from == 0x7f) {
			to[used++] = '?';
			from++;
			continue;
		}
		memcpy(to + used, from, bytes);
		used += bytes;
		from += bytes;
	}
	to[used] = '\0';
	return to;
}

char *message_text_dup(const char *from, size_t bytes_max)
{
	size_t size = strnlen(from, bytes_max) + 1;
	char *copy = malloc(size);

	return copy ? message_text(copy, size, from) : NULL;
}
