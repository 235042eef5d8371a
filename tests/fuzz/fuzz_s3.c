// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_s3.c - what S3 reads of a request before and after it believes it: targets, signatures,
 * chunks, XML, ranges, dates.
 *
 * Room: tests/fuzz. Calls s3. Input: a byte of kind (enum kind), then what it reads; for chunks a
 * byte for the size of the pieces first.
 */
#include <string.h>
#include "fuzz.h"
#include "s3/auth.h"
#include "s3/chunk.h"
#include "s3/condition.h"
#include "s3/request.h"
#include "s3/route.h"
#include "s3/uri.h"
#include "s3/xml.h"

enum kind { KIND_TARGET, KIND_CLAIM, KIND_PRESIGNED, KIND_CHUNKS, KIND_XML, KIND_RANGE, KINDS };

/* ---- targets and signatures ---- */

static void target(const char *text)
{
	const struct http1_field host = {"host", "buck.s3.example"};
	const struct http1_head head = {
		.method = "GET", .target = text, .fields = &host, .field_count = 1};
	const struct s3_operation *operation;
	struct s3_request request;

	if (!s3_request_read(&request, &head, strlen(text) % 2 ? "s3.example" : NULL)) {
		FUZZ_HOLDS(strlen(request.key) <= STORE_KEY_BYTES_MAX);
		FUZZ_HOLDS(uri_is_utf8(request.key, strlen(request.key)));
		FUZZ_HOLDS(!request.bucket[0] || s3_bucket_is_good(request.bucket));
		FUZZ_HOLDS(!request.key[0] || request.bucket[0]);
		FUZZ_HOLDS(strcmp(request.key, "..") && !strstr(request.key, "/../"));
		s3_route(&request, &operation);
	}
	s3_request_free(&request);
}

/* Nobody knows the secret, so whatever comes must be refused. */
static void claim(const char *text, bool presigned)
{
	struct s3_root root;
	const struct http1_field fields[] = {
		{"host", "a"}, {"x-amz-date", "20130524T000000Z"}, {"authorization", text}};
	const struct http1_head head = {.method = "GET",
					.target = presigned ? text : "/buck/k",
					.fields = fields,
					.field_count = presigned ? 2 : 3};
	struct s3_request request;
	struct s3_auth auth;

	s3_root_set(&root, "a", "unknown to any input");
	if (!s3_request_read(&request, &head, NULL))
		FUZZ_HOLDS(
			s3_auth_check(&auth, &request, &root.credentials, NULL, "r", 1369353600));
	s3_request_free(&request);
}

/* ---- chunks ---- */

static enum s3_error count(void *ctx, const uint8_t *data, size_t len)
{
	size_t *got = ctx;

	(void)data;
	*got += len;
	return S3_OK;
}

static void chunks_of(const uint8_t *data, size_t size, size_t piece, enum s3_payload payload)
{
	const struct s3_auth auth = {.payload = payload, .scope = "x", .amz_date = "y"};
	struct chunk_reader reader;
	enum s3_error error = S3_OK;
	size_t at, got = 0;

	FUZZ_HOLDS(!chunk_begin(&reader, &auth));
	for (at = 0; at < size && !error; at += piece)
		error = chunk_read(&reader, data + at, size - at < piece ? size - at : piece, count,
				   &got);
	FUZZ_HOLDS(got <= size);
	FUZZ_HOLDS(reader.trailer_count <= CHUNK_TRAILERS_MAX);
	/* No input proves itself without the key. */
	if (payload != S3_PAYLOAD_UNSIGNED_TRAILER)
		FUZZ_HOLDS(error || !chunk_is_whole(&reader));
	chunk_free(&reader);
}

static void chunks(const uint8_t *data, size_t size)
{
	if (!size)
		return;
	chunks_of(data + 1, size - 1, (size_t)data[0] + 1, S3_PAYLOAD_UNSIGNED_TRAILER);
	chunks_of(data + 1, size - 1, (size_t)data[0] + 1, S3_PAYLOAD_CHUNKS);
	chunks_of(data + 1, size - 1, (size_t)data[0] + 1, S3_PAYLOAD_CHUNKS_TRAILER);
}

/* ---- texts ---- */

static int on_begin(void *ctx, unsigned int depth, const char *name)
{
	unsigned int *inside = ctx;

	FUZZ_HOLDS(depth == *inside + 1 && depth <= XML_DEPTH_MAX);
	FUZZ_HOLDS(name);
	*inside = depth;
	return 0;
}

static int on_end(void *ctx, unsigned int depth, const char *name, const char *text)
{
	unsigned int *inside = ctx;

	FUZZ_HOLDS(depth == *inside && name);
	FUZZ_HOLDS(strlen(text) <= XML_TEXT_BYTES_MAX);
	*inside = depth - 1;
	return 0;
}

static void document(const char *text, size_t len)
{
	static const struct xml_callbacks callbacks = {on_begin, on_end};
	unsigned int inside = 0;

	if (!xml_read(text, len, &callbacks, &inside))
		FUZZ_HOLDS(!inside && !strstr(text, "<!ENTITY"));
}

static void range(const char *text)
{
	uint64_t size_bytes = strlen(text) * 7;
	struct s3_range found;
	time_t when;

	if (s3_range_read(text, size_bytes, &found) == 1)
		FUZZ_HOLDS(found.bytes && found.from < size_bytes &&
			   found.bytes <= size_bytes - found.from);
	date_http_parse(text, &when);
	date_amz_parse(text, &when);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = malloc(size);
	FUZZ_HOLDS(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % KINDS) {
	case KIND_TARGET:
		target(text);
		break;
	case KIND_CLAIM:
		claim(text, false);
		break;
	case KIND_PRESIGNED:
		claim(text, true);
		break;
	case KIND_CHUNKS:
		chunks(data + 1, size - 1);
		break;
	case KIND_XML:
		document(text, size - 1);
		break;
	default:
		range(text);
		break;
	}
	free(text);
	return 0;
}
