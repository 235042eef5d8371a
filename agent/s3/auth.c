// SPDX-License-Identifier: BSD-2-Clause
/*
 * auth.c - who asks. See auth.h.
 *
 * Room: s3. Pure; calls sigv4, request, credentials. Called by call.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "s3/auth.h"

#define UNSIGNED	 "UNSIGNED-PAYLOAD"
#define CHUNKS		 "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define CHUNKS_TRAILER	 "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
#define UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

static const struct payload_word {
	const char *word;
	enum s3_payload payload;
} payload_words[] = {
	{UNSIGNED, S3_PAYLOAD_UNSIGNED},
	{CHUNKS, S3_PAYLOAD_CHUNKS},
	{CHUNKS_TRAILER, S3_PAYLOAD_CHUNKS_TRAILER},
	{UNSIGNED_TRAILER, S3_PAYLOAD_UNSIGNED_TRAILER},
};

static enum s3_error read_payload(struct s3_auth *auth, const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(payload_words) / sizeof(payload_words[0]); i++) {
		if (strcmp(payload_words[i].word, word))
			continue;
		auth->payload = payload_words[i].payload;
		return S3_OK;
	}
	if (strlen(word) != SIGV4_HEX_BYTES - 1 ||
	    strspn(word, "0123456789abcdef") != SIGV4_HEX_BYTES - 1)
		return strncmp(word, "STREAMING-", 10) ? S3_INVALID_ARGUMENT : S3_NOT_IMPLEMENTED;
	auth->payload = S3_PAYLOAD_HASHED;
	memcpy(auth->payload_hash, word, SIGV4_HEX_BYTES);
	return S3_OK;
}

/* What the client signed in the place of the body's hash. */
static enum s3_error find_payload(struct s3_auth *auth, const struct s3_request *request,
				  bool presigned, const char **word)
{
	*word = s3_request_field(request, "x-amz-content-sha256");
	if (!*word && presigned)
		*word = s3_request_query(request, "X-Amz-Content-Sha256");
	if (!*word && presigned)
		*word = UNSIGNED;
	if (!*word && !request->head->body_bytes)
		*word = SIGV4_EMPTY_HASH;
	return *word ? read_payload(auth, *word) : S3_INVALID_REQUEST;
}

/* Fields that a proxy or a browser may add, and that change nothing. */
static bool is_harmless(const char *name, bool presigned)
{
	return !strcmp(name, "x-amz-user-agent") ||
	       (presigned && !strcmp(name, "x-amz-content-sha256"));
}

/* Whoever gets hold of a signed request must not be able to add to it. */
static bool is_all_signed(const struct s3_request *request, const struct sigv4_claim *claim)
{
	const struct http1_head *head = request->head;
	size_t i;

	for (i = 0; i < head->field_count; i++) {
		const char *name = head->fields[i].name;

		if (!strncmp(name, "x-amz-", 6) && !is_harmless(name, claim->presigned) &&
		    !sigv4_is_signed(claim, name))
			return false;
	}
	return true;
}

static enum s3_error find_date(struct sigv4_claim *claim, const struct s3_request *request)
{
	const char *text = s3_request_field(request, "x-amz-date");
	time_t when;

	if (!text) {
		text = s3_request_field(request, "date");
		if (!text || date_http_parse(text, &when))
			return S3_ACCESS_DENIED;
		date_amz(claim->amz_date, when);
		return S3_OK;
	}
	if (strlen(text) != DATE_AMZ_BYTES - 1)
		return S3_ACCESS_DENIED;
	memcpy(claim->amz_date, text, DATE_AMZ_BYTES);
	return S3_OK;
}

static enum s3_error check_time(const struct sigv4_claim *claim, time_t now)
{
	time_t when;

	if (date_amz_parse(claim->amz_date, &when))
		return claim->presigned ? S3_AUTH_QUERY_MALFORMED : S3_ACCESS_DENIED;
	if (strncmp(claim->amz_date, claim->date, SIGV4_DATE_BYTES - 1))
		return claim->presigned ? S3_AUTH_QUERY_MALFORMED : S3_AUTH_MALFORMED;
	if (when > now + S3_SKEW_S_MAX)
		return S3_TIME_TOO_SKEWED;
	if (claim->presigned)
		return now > when + (time_t)claim->expires_s ? S3_EXPIRED : S3_OK;
	return when < now - S3_SKEW_S_MAX ? S3_TIME_TOO_SKEWED : S3_OK;
}

static enum s3_error find_claim(struct sigv4_claim *claim, const struct s3_request *request)
{
	const char *authorization = s3_request_field(request, "authorization");
	enum s3_error error;

	if (s3_request_query(request, "X-Amz-Algorithm"))
		return authorization
			       ? S3_INVALID_REQUEST
			       : sigv4_claim_query(claim, request->query, request->query_count);
	if (s3_request_query(request, "Signature") && !authorization)
		return S3_UNSUPPORTED_AUTH;
	if (!authorization)
		return S3_NOT_SIGNED;
	error = sigv4_claim_header(claim, authorization);
	return error ? error : find_date(claim, request);
}

static enum s3_error check_scope(const struct sigv4_claim *claim, const char *region)
{
	if (!strcmp(claim->service, "s3") && !strcmp(claim->region, region))
		return S3_OK;
	return claim->presigned ? S3_AUTH_QUERY_MALFORMED : S3_AUTH_MALFORMED;
}

enum s3_error s3_auth_check(struct s3_auth *auth, const struct s3_request *request,
			    const struct s3_credentials *credentials, struct keyring *keys,
			    const char *region, time_t now)
{
	struct sigv4_subject subject = {
		.method = request->head->method,
		.path = request->path,
		.query = request->query,
		.query_count = request->query_count,
		.fields = request->head->fields,
		.field_count = request->head->field_count,
	};
	char expected[SIGV4_HEX_BYTES];
	struct sigv4_claim claim;
	const char *secret;
	enum s3_error error = find_claim(&claim, request);

	*auth = (struct s3_auth){0};
	if (!error)
		error = check_scope(&claim, region);
	if (!error)
		error = check_time(&claim, now);
	if (!error)
		error = find_payload(auth, request, claim.presigned, &subject.payload_hash);
	if (!error && !is_all_signed(request, &claim))
		error = S3_HEADERS_NOT_SIGNED;
	if (error)
		return error;
	secret = credentials->secret(credentials, claim.access_key);
	if (!secret)
		return S3_INVALID_ACCESS_KEY;
	keyring_key(keys, auth->key, secret, &claim);
	if (!sigv4_request(expected, auth->key, &claim, &subject))
		return S3_SLOW_DOWN;
	if (!sigv4_same(expected, claim.signature))
		return S3_SIGNATURE_MISMATCH;
	memcpy(auth->access_key, claim.access_key, sizeof(auth->access_key));
	memcpy(auth->signature, claim.signature, sizeof(auth->signature));
	memcpy(auth->amz_date, claim.amz_date, sizeof(auth->amz_date));
	sigv4_scope(auth->scope, &claim);
	return S3_OK;
}
