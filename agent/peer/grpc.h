/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grpc.h - the parts of gRPC over HTTP/2 that are neither client nor server: status codes, message
 * framing, and the spelling of time-outs and status messages.
 *
 * Room: peer. Pure, calls nobody. Called by call.c and serve.c. Source: the gRPC project's
 * PROTOCOL-HTTP2.md and statuscodes.md.
 */
#ifndef KNELL_PEER_GRPC_H
#define KNELL_PEER_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
	GRPC_STATUSES = 17,
};

enum {
	GRPC_PREFIX_BYTES = 5, /* compressed flag, length (big-endian) */
	GRPC_MESSAGE_BYTES_MAX = 4
				 << 20, /* of one message; the limit that gRPC servers default to */
	GRPC_TIMEOUT_BYTES = 16,	/* "12345678u" */
	GRPC_WORDS_BYTES = 256,
};

/** grpc_status_name - "UNAVAILABLE"; "status 99" is "UNKNOWN". Static. */
const char *grpc_status_name(unsigned int status);

/** grpc_status_of_errno - what a negative errno of this program means to a caller; 0 is GRPC_OK.
 * EHOSTDOWN, ENETDOWN, ECONNREFUSED, ENOTCONN, EPIPE, ECONNRESET, ENETUNREACH, EHOSTUNREACH:
 * UNAVAILABLE. ETIMEDOUT: DEADLINE_EXCEEDED. ECANCELED: CANCELLED. ENOBUFS, ENOMEM:
 * RESOURCE_EXHAUSTED.
 */
enum grpc_status grpc_status_of_errno(int err);

/** grpc_status_of_http - for a response without a grpc-status (http-grpc-status-mapping.md). */
enum grpc_status grpc_status_of_http(const char *status);

/** grpc_prefix - the frame prefix of an uncompressed message of @bytes. */
void grpc_prefix(uint8_t prefix[GRPC_PREFIX_BYTES], size_t bytes);

/** grpc_timeout_text - @timeout_ns as grpc-timeout spells it, at most 8 digits. Returns @text. */
char *grpc_timeout_text(char text[GRPC_TIMEOUT_BYTES], uint64_t timeout_ns);

/** grpc_timeout_parse - the reverse; 0 and *@timeout_ns, or -EINVAL. */
int grpc_timeout_parse(const char *text, uint64_t *timeout_ns);

/** grpc_words_encode / grpc_words_decode - a status message, percent-encoded as grpc-message is;
 * cut to fit. Decoding never fails: what is not well-formed stays as it is. Both return @to.
 */
char *grpc_words_encode(char to[GRPC_WORDS_BYTES], const char *words);
char *grpc_words_decode(char to[GRPC_WORDS_BYTES], const char *encoded);

/* Messages out of bytes; zero-initialised is empty. */
struct grpc_reader {
	size_t limit_bytes; /* of one message; 0: GRPC_MESSAGE_BYTES_MAX */
	uint8_t prefix[GRPC_PREFIX_BYTES];
	size_t prefix_used;
	uint8_t *body; /* NULL, or as long as the prefix says */
	size_t body_used;
	size_t body_bytes;
	size_t body_room;
};

/**
 * grpc_read - take @len bytes; @message is called for each whole message, which is valid during the
 * call, and returns false to stop (the reader may be gone by then).
 *
 * Memory is taken as the bytes come, not as the prefix promises: twice what has come at most. 0, or
 * -EMSGSIZE (longer than the limit), -EOPNOTSUPP (compressed), -ENOMEM, -ECANCELED
 * (stopped).
 */
int grpc_read(struct grpc_reader *reader, const uint8_t *data, size_t len,
	      bool (*message)(void *ctx, const uint8_t *data, size_t len), void *ctx);

/** grpc_read_partial - bytes of an unfinished message are there. */
bool grpc_read_partial(const struct grpc_reader *reader);

/** grpc_read_free - forget all. */
void grpc_read_free(struct grpc_reader *reader);

#endif
