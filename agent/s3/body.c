// SPDX-License-Identifier: BSD-2-Clause
/*
 * body.c - the body of a request. See body.h.
 *
 * Room: s3. Pure; calls chunk, checksum. Called by call.
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include "s3/body.h"

/* How long will the payload be? */
static enum s3_error find_length(struct s3_body *body)
{
	const char *text = s3_request_field(body->request, "x-amz-decoded-content-length");
	uint64_t body_bytes = body->request->head->body_bytes;
	char *rest;

	body->expected_bytes = body_bytes;
	if (!body->is_chunked)
		return S3_OK;
	body->expected_bytes = UINT64_MAX;
	if (!text)
		return S3_MISSING_LENGTH;
	body->expected_bytes = strtoull(text, &rest, 10);
	return isdigit((unsigned char)*text) && !*rest ? S3_OK : S3_INVALID_ARGUMENT;
}

static enum s3_error find_checksum(struct s3_body *body, const struct checksum_tables *tables)
{
	const struct http1_head *head = body->request->head;
	const char *trailer = s3_request_field(body->request, "x-amz-trailer");
	enum checksum_kind kind = CHECKSUM_NONE;
	size_t i;

	for (i = 0; i < head->field_count; i++) {
		enum checksum_kind found = checksum_of_field(head->fields[i].name);

		if (!found)
			continue;
		if (kind)
			return S3_INVALID_REQUEST;
		kind = found;
		body->checksum_text = head->fields[i].value;
		if (!checksum_is_text(kind, body->checksum_text))
			return S3_INVALID_DIGEST;
	}
	if (trailer && *trailer) {
		if (kind || !body->is_chunked || !body->chunks.has_trailers)
			return S3_INVALID_REQUEST;
		kind = checksum_of_field(trailer);
		if (!kind)
			return S3_INVALID_REQUEST;
	}
	return checksum_begin(&body->checksum, kind, tables) ? S3_SLOW_DOWN : S3_OK;
}

static enum s3_error find_md5(struct s3_body *body, const struct checksum_tables *tables)
{
	const char *text = s3_request_field(body->request, "content-md5");

	if (!text)
		return S3_OK;
	if (!checksum_is_text(CHECKSUM_MD5, text))
		return S3_INVALID_DIGEST;
	return checksum_begin(&body->md5, CHECKSUM_MD5, tables) ? S3_SLOW_DOWN : S3_OK;
}

enum s3_error s3_body_begin(struct s3_body *body, const struct s3_request *request,
			    const struct s3_auth *auth, const struct checksum_tables *tables,
			    enum s3_error (*sink)(void *ctx, const uint8_t *data, size_t len),
			    void *ctx)
{
	enum s3_error error = S3_OK;

	*body = (struct s3_body){.request = request, .auth = auth, .sink = sink, .ctx = ctx};
	body->is_chunked = auth->payload >= S3_PAYLOAD_CHUNKS;
	if (body->is_chunked && chunk_begin(&body->chunks, auth))
		return S3_SLOW_DOWN;
	if (auth->payload == S3_PAYLOAD_HASHED &&
	    checksum_begin(&body->hash, CHECKSUM_SHA256, tables))
		return S3_SLOW_DOWN;
	error = find_length(body);
	if (!error)
		error = find_checksum(body, tables);
	return error ? error : find_md5(body, tables);
}

void s3_body_free(struct s3_body *body)
{
	chunk_free(&body->chunks);
	checksum_free(&body->hash);
	checksum_free(&body->checksum);
	checksum_free(&body->md5);
}

static enum s3_error take_payload(void *ctx, const uint8_t *data, size_t len)
{
	struct s3_body *body = ctx;

	body->got_bytes += len;
	if (body->got_bytes > body->expected_bytes)
		return S3_INCOMPLETE_BODY;
	checksum_add(&body->hash, data, len);
	checksum_add(&body->checksum, data, len);
	checksum_add(&body->md5, data, len);
	return body->sink(body->ctx, data, len);
}

enum s3_error s3_body_read(struct s3_body *body, const uint8_t *data, size_t len)
{
	return body->is_chunked ? chunk_read(&body->chunks, data, len, take_payload, body)
				: take_payload(body, data, len);
}

/* The signature names the hash in hex. */
static bool is_hash_right(struct s3_body *body)
{
	char text[CHECKSUM_TEXT_BYTES], hex[SIGV4_HEX_BYTES];
	uint8_t hash[SIGV4_HASH_BYTES + 1];

	if (!body->hash.kind)
		return true;
	checksum_end(&body->hash, text);
	EVP_DecodeBlock(hash, (const unsigned char *)text, (int)strlen(text));
	sigv4_hex(hex, hash, SIGV4_HASH_BYTES);
	return !strcmp(hex, body->auth->payload_hash);
}

enum s3_error s3_body_end(struct s3_body *body)
{
	const char *md5 = s3_request_field(body->request, "content-md5");
	char text[CHECKSUM_TEXT_BYTES];

	if (body->is_chunked && !chunk_is_whole(&body->chunks))
		return S3_INCOMPLETE_BODY;
	if (body->expected_bytes != UINT64_MAX && body->got_bytes != body->expected_bytes)
		return S3_INCOMPLETE_BODY;
	if (!is_hash_right(body))
		return S3_PAYLOAD_MISMATCH;
	if (body->md5.kind && strcmp(checksum_end(&body->md5, text), md5))
		return S3_BAD_DIGEST;
	if (!body->checksum.kind)
		return S3_OK;
	checksum_end(&body->checksum, body->checksum_got);
	if (!body->checksum_text)
		body->checksum_text =
			chunk_trailer(&body->chunks, checksum_field(body->checksum.kind));
	if (!body->checksum_text)
		return S3_MALFORMED_CHUNK;
	return strcmp(body->checksum_got, body->checksum_text) ? S3_CHECKSUM_MISMATCH : S3_OK;
}
