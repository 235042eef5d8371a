/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * message.h - protobuf messages in and out, within bounds.
 *
 * Room: peer. Calls protobuf-c and serve. Called by the services and by server.c.
 *
 * What comes in is hostile until it is read: two bytes of a message can ask for a hundred bytes of
 * memory, and texts need not be UTF-8.
 */
#ifndef KNELL_PEER_MESSAGE_H
#define KNELL_PEER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include "peer/serve.h"

/* What reading a message may take: this, and as much for each byte of it. */
#define MESSAGE_MEMORY_BYTES	      ((size_t)64 << 10)
#define MESSAGE_MEMORY_BYTES_PER_BYTE 4

/**
 * message_read - unpack; NULL when it is malformed or takes more memory than it deserves. Give it
 * back by message_free().
 */
void *message_read(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t count);

/** message_free - NULL is allowed. */
void message_free(void *message);

/** message_pack - *@bytes to be freed, and their count. 0 or -ENOMEM. */
int message_pack(const ProtobufCMessage *message, uint8_t **bytes, size_t *count);

/** message_reply - serve_reply() of a message. 0 or a negative errno. */
int message_reply(struct serve_call *call, const ProtobufCMessage *message);

/** message_answer - the one reply of a unary call, and its end. @call is gone. */
void message_answer(struct serve_call *call, const ProtobufCMessage *message);

/** message_refuse - INVALID_ARGUMENT: no such message. @call is gone. */
void message_refuse(struct serve_call *call, const ProtobufCMessageDescriptor *type);

/**
 * message_text - copy a text that comes from elsewhere, cut to fit between characters; control
 * characters, and all that is not UTF-8, become '?'. Returns @to.
 */
char *message_text(char *to, size_t size, const char *from);

/** message_text_dup - the same on the heap, @bytes_max long at most. NULL: no memory. */
char *message_text_dup(const char *from, size_t bytes_max);

#endif
