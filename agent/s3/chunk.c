// SPDX-License-Identifier: BSD-2-Clause
/*
 * chunk.c - bodies in aws-chunked form. See chunk.h.
 *
 * Room: s3. Pure; calls sigv4, OpenSSL. Called by body.
 *
 *     SIZE[;chunk-signature=HEX]\r\n DATA \r\n ... 0[;chunk-signature=HEX]\r\n
 *     then \r\n, or trailers: NAME:VALUE\r\n ... [x-amz-trailer-signature:HEX\r\n] \r\n
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include "io/text.h"
#include "s3/chunk.h"

#define SIGNATURE	  ";chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature"

enum { SIZE_DIGITS_MAX = 15 };

int chunk_begin(struct chunk_reader *reader, const struct s3_auth *auth)
{
	*reader = (struct chunk_reader){
		.auth = auth,
		.has_signatures = auth->payload != S3_PAYLOAD_UNSIGNED_TRAILER,
		.has_trailers = auth->payload != S3_PAYLOAD_CHUNKS,
	};
	memcpy(reader->before, auth->signature, sizeof(reader->before));
	reader->hash = EVP_MD_CTX_new();
	if (!reader->hash)
		return -ENOMEM;
	reader->trailers = calloc(CHUNK_TRAILERS_MAX, sizeof(*reader->trailers));
	return reader->trailers ? 0 : -ENOMEM;
}

void chunk_free(struct chunk_reader *reader)
{
	EVP_MD_CTX_free(reader->hash);
	free(reader->trailers);
	reader->hash = NULL;
	reader->trailers = NULL;
}

/* The signature of what has `hash`, chained to the one before. */
static enum s3_error check_signature(struct chunk_reader *reader, const char *kind,
				     const char *hash, const char *claimed)
{
	struct text string = {0};
	char signature[SIGV4_HEX_BYTES];
	bool same;

	text_printf(&string, "%s\n%s\n%s\n%s\n%s", kind, reader->auth->amz_date,
		    reader->auth->scope, reader->before, hash);
	if (string.failed) {
		text_free(&string);
		return S3_SLOW_DOWN;
	}
	sigv4_sign(signature, reader->auth->key, string.bytes, string.len);
	text_free(&string);
	same = sigv4_same(signature, claimed);
	memcpy(reader->before, signature, sizeof(reader->before));
	return same ? S3_OK : S3_SIGNATURE_MISMATCH;
}

static enum s3_error check_chunk(struct chunk_reader *reader)
{
	char hashes[2 * SIGV4_HEX_BYTES] = SIGV4_EMPTY_HASH "\n";
	uint8_t hash[SIGV4_HASH_BYTES];

	if (!reader->has_signatures)
		return S3_OK;
	EVP_DigestFinal_ex(reader->hash, hash, NULL);
	sigv4_hex(hashes + SIGV4_HEX_BYTES, hash, sizeof(hash));
	return check_signature(reader, "AWS4-HMAC-SHA256-PAYLOAD", hashes, reader->expected);
}

static enum s3_error check_trailers(struct chunk_reader *reader, const char *claimed)
{
	struct text canonical = {0};
	uint8_t hash[SIGV4_HASH_BYTES];
	char hex[SIGV4_HEX_BYTES];
	enum s3_error error = S3_SLOW_DOWN;
	size_t i;

	text_puts(&canonical, "");
	for (i = 0; i < reader->trailer_count; i++)
		text_printf(&canonical, "%s:%s\n", reader->trailers[i].name,
			    reader->trailers[i].value);
	if (!canonical.failed) {
		SHA256((const unsigned char *)canonical.bytes, canonical.len, hash);
		sigv4_hex(hex, hash, sizeof(hash));
		error = check_signature(reader, "AWS4-HMAC-SHA256-TRAILER", hex, claimed);
	}
	text_free(&canonical);
	reader->trailer_signed = !error;
	return error;
}

/* One line up to its '\n', without "\r\n"; false while it is not whole, or too long. */
static bool take_line(struct chunk_reader *reader, const uint8_t **data, const uint8_t *end,
		      enum s3_error *error)
{
	while (*data < end) {
		char byte = (char)*(*data)++;

		if (byte == '\n') {
			if (reader->line_len && reader->line[reader->line_len - 1] == '\r')
				reader->line_len--;
			reader->line[reader->line_len] = '\0';
			reader->line_len = 0;
			return true;
		}
		if (!byte || reader->line_len == sizeof(reader->line) - 1) {
			*error = S3_MALFORMED_CHUNK;
			return false;
		}
		reader->line[reader->line_len++] = byte;
	}
	return false;
}

static enum s3_error begin_chunk(struct chunk_reader *reader)
{
	const char *line = reader->line, *signature;
	size_t digits = strspn(line, "0123456789abcdefABCDEF");

	if (!digits || digits > SIZE_DIGITS_MAX || (line[digits] && line[digits] != ';'))
		return S3_MALFORMED_CHUNK;
	reader->left = strtoull(line, NULL, 16);
	if (reader->has_signatures) {
		signature = line + digits;
		if (strncmp(signature, SIGNATURE, strlen(SIGNATURE)))
			return S3_MALFORMED_CHUNK;
		signature += strlen(SIGNATURE);
		if (strlen(signature) != SIGV4_HEX_BYTES - 1)
			return S3_SIGNATURE_MISMATCH;
		memcpy(reader->expected, signature, SIGV4_HEX_BYTES);
		EVP_DigestInit_ex(reader->hash, EVP_sha256(), NULL);
	}
	if (reader->left) {
		reader->state = CHUNK_DATA;
		return S3_OK;
	}
	reader->state = reader->has_trailers ? CHUNK_TRAILER : CHUNK_LAST;
	return check_chunk(reader);
}

static enum s3_error read_trailer(struct chunk_reader *reader)
{
	struct chunk_trailer *trailer;
	char *line = reader->line, *value = strchr(line, ':'), *end;

	if (!*line) {
		/* Some writers put a blank line before the signature. */
		if (!reader->has_signatures || reader->trailer_signed)
			reader->state = CHUNK_DONE;
		return S3_OK;
	}
	if (!value || reader->trailer_signed)
		return S3_MALFORMED_CHUNK;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (end = value + strlen(value); end > value && isspace((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	for (end = line; *end; end++)
		*end = (char)tolower((unsigned char)*end);
	if (reader->has_signatures && !strcmp(line, TRAILER_SIGNATURE))
		return check_trailers(reader, value);
	if (reader->trailer_count == CHUNK_TRAILERS_MAX || strlen(line) >= sizeof(trailer->name) ||
	    strlen(value) >= sizeof(trailer->value))
		return S3_MALFORMED_CHUNK;
	trailer = &reader->trailers[reader->trailer_count++];
	memcpy(trailer->name, line, strlen(line) + 1);
	memcpy(trailer->value, value, strlen(value) + 1);
	return S3_OK;
}

static enum s3_error end_line(struct chunk_reader *reader)
{
	switch (reader->state) {
	case CHUNK_SIZE:
		return begin_chunk(reader);
	case CHUNK_DATA_END:
		if (reader->line[0])
			return S3_MALFORMED_CHUNK;
		reader->state = CHUNK_SIZE;
		return check_chunk(reader);
	case CHUNK_LAST:
		reader->state = CHUNK_DONE;
		return reader->line[0] ? S3_MALFORMED_CHUNK : S3_OK;
	default:
		return read_trailer(reader);
	}
}

enum s3_error chunk_read(struct chunk_reader *reader, const uint8_t *data, size_t len,
			 enum s3_error (*sink)(void *ctx, const uint8_t *data, size_t len),
			 void *ctx)
{
	const uint8_t *end = data + len;
	enum s3_error error = S3_OK;

	while (data < end && !error) {
		size_t piece = (size_t)(end - data);

		if (reader->state == CHUNK_DONE)
			return S3_MALFORMED_CHUNK;
		if (reader->state != CHUNK_DATA) {
			if (take_line(reader, &data, end, &error))
				error = end_line(reader);
			continue;
		}
		if (piece > reader->left)
			piece = (size_t)reader->left;
		if (reader->has_signatures)
			EVP_DigestUpdate(reader->hash, data, piece);
		error = sink(ctx, data, piece);
		data += piece;
		reader->left -= piece;
		if (!reader->left)
			reader->state = CHUNK_DATA_END;
	}
	return error;
}

bool chunk_is_whole(const struct chunk_reader *reader)
{
	/* A blank line at the very end may be missing; everything has been proven by then. */
	return reader->state == CHUNK_DONE || reader->state == CHUNK_LAST;
}

const char *chunk_trailer(const struct chunk_reader *reader, const char *name)
{
	size_t i;

	for (i = 0; i < reader->trailer_count; i++)
		if (!strcmp(reader->trailers[i].name, name))
			return reader->trailers[i].value;
	return NULL;
}
