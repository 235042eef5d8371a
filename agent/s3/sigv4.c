// SPDX-License-Identifier: BSD-2-Clause
/*
 * sigv4.c - AWS Signature Version 4. See sigv4.h.
 *
 * Room: s3. Pure; calls OpenSSL, uri. Called by auth, chunk.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/sigv4.h"
#include "s3/uri.h"

void sigv4_hex(char *hex, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		*hex++ = digits[bytes[i] >> 4];
		*hex++ = digits[bytes[i] & 15];
	}
	*hex = '\0';
}

bool sigv4_same(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && !CRYPTO_memcmp(a, b, strlen(a));
}

/* ---- the claim ---- */

/* Copies text[0..len) where it fits; an empty one is none. */
static bool copy(char *out, size_t size, const char *text, size_t len)
{
	if (!len || len >= size)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* The part before the next `separator`; moves *at behind it. */
static bool cut(char *out, size_t size, const char **at, const char *end, char separator)
{
	const char *stop = memchr(*at, separator, (size_t)(end - *at));

	if (!stop || !copy(out, size, *at, (size_t)(stop - *at)))
		return false;
	*at = stop + 1;
	return true;
}

/* ACCESS_KEY/DATE/REGION/SERVICE/aws4_request; an access key may hold a slash, the others not. */
static bool read_credential(struct sigv4_claim *claim, const char *text, size_t len)
{
	const char *at = text, *end = text + len, *from = end;
	unsigned int slashes = 0;

	while (from > text && slashes < 4)
		slashes += *--from == '/';
	if (slashes < 4 ||
	    !copy(claim->access_key, sizeof(claim->access_key), text, (size_t)(from - text)))
		return false;
	at = from + 1;
	return cut(claim->date, sizeof(claim->date), &at, end, '/') &&
	       cut(claim->region, sizeof(claim->region), &at, end, '/') &&
	       cut(claim->service, sizeof(claim->service), &at, end, '/') &&
	       (size_t)(end - at) == strlen("aws4_request") &&
	       !memcmp(at, "aws4_request", (size_t)(end - at)) &&
	       strlen(claim->date) == SIGV4_DATE_BYTES - 1;
}

/* In ascending order, as is the rule: a name that came again and again would be costly to sign. */
static bool is_ascending(const char *text, size_t len)
{
	const char *at = text, *end = text + len, *before = NULL;
	size_t before_len = 0;

	while (at < end) {
		const char *stop = memchr(at, ';', (size_t)(end - at));
		size_t item = (size_t)((stop ? stop : end) - at);
		size_t common = item < before_len ? item : before_len;
		int order = before ? memcmp(before, at, common) : -1;

		if (!item || order > 0 || (!order && before_len >= item))
			return false;
		before = at;
		before_len = item;
		at += item + 1;
	}
	return true;
}

static bool read_headers(struct sigv4_claim *claim, const char *text, size_t len)
{
	claim->signed_headers = text;
	claim->signed_headers_len = len;
	return len && is_ascending(text, len) && sigv4_is_signed(claim, "host");
}

static bool read_signature(struct sigv4_claim *claim, const char *text, size_t len)
{
	return copy(claim->signature, sizeof(claim->signature), text, len) &&
	       len == SIGV4_HEX_BYTES - 1;
}

static bool is_named(const char *item, const char *name)
{
	return !strncmp(item, name, strlen(name));
}

enum s3_error sigv4_claim_header(struct sigv4_claim *claim, const char *authorization)
{
	unsigned int seen = 0;
	const char *at = authorization;

	if (!is_named(at, SIGV4_ALGORITHM) || at[strlen(SIGV4_ALGORITHM)] != ' ')
		return S3_UNSUPPORTED_AUTH;
	*claim = (struct sigv4_claim){0};
	at += strlen(SIGV4_ALGORITHM);
	while (*at) {
		const char *value;
		size_t len;
		bool good;

		at += strspn(at, " ,\t");
		if (!*at)
			break;
		value = strchr(at, '=');
		if (!value)
			return S3_AUTH_MALFORMED;
		value++;
		len = strcspn(value, ", \t");
		if (is_named(at, "Credential="))
			good = read_credential(claim, value, len) && !(seen & 1), seen |= 1;
		else if (is_named(at, "SignedHeaders="))
			good = read_headers(claim, value, len) && !(seen & 2), seen |= 2;
		else if (is_named(at, "Signature="))
			good = read_signature(claim, value, len) && !(seen & 4), seen |= 4;
		else
			good = false;
		if (!good)
			return S3_AUTH_MALFORMED;
		at = value + len;
	}
	return seen == 7 ? S3_OK : S3_AUTH_MALFORMED;
}

static const char *parameter(const struct sigv4_parameter *query, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(query[i].name, name))
			return query[i].value;
	return "";
}

enum s3_error sigv4_claim_query(struct sigv4_claim *claim, const struct sigv4_parameter *query,
				size_t count)
{
	const char *credential = parameter(query, count, "X-Amz-Credential");
	const char *headers = parameter(query, count, "X-Amz-SignedHeaders");
	const char *signature = parameter(query, count, "X-Amz-Signature");
	const char *date = parameter(query, count, "X-Amz-Date");
	const char *expires = parameter(query, count, "X-Amz-Expires");
	char *rest;

	if (strcmp(parameter(query, count, "X-Amz-Algorithm"), SIGV4_ALGORITHM))
		return S3_UNSUPPORTED_AUTH;
	*claim = (struct sigv4_claim){.presigned = true};
	claim->expires_s = strtoul(expires, &rest, 10);
	if (*expires < '0' || *expires > '9' || *rest || !claim->expires_s ||
	    claim->expires_s > SIGV4_PRESIGNED_S_MAX ||
	    !copy(claim->amz_date, sizeof(claim->amz_date), date, strlen(date)) ||
	    !read_credential(claim, credential, strlen(credential)) ||
	    !read_headers(claim, headers, strlen(headers)) ||
	    !read_signature(claim, signature, strlen(signature)))
		return S3_AUTH_QUERY_MALFORMED;
	return S3_OK;
}

bool sigv4_is_signed(const struct sigv4_claim *claim, const char *name)
{
	const char *at = claim->signed_headers, *end = at + claim->signed_headers_len;
	size_t len = strlen(name);

	while (at < end) {
		const char *stop = memchr(at, ';', (size_t)(end - at));
		size_t item = (size_t)((stop ? stop : end) - at);

		if (item == len && !memcmp(at, name, len))
			return true;
		at += item + 1;
	}
	return false;
}

void sigv4_scope(char scope[SIGV4_SCOPE_BYTES], const struct sigv4_claim *claim)
{
	snprintf(scope, SIGV4_SCOPE_BYTES, "%s/%s/%s/aws4_request", claim->date, claim->region,
		 claim->service);
}

/* ---- the canonical request ---- */

static int by_name(const void *left, const void *right)
{
	const char *const *a = left, *const *b = right;

	return strcmp(*a, *b);
}

/*
 * Sorted by encoded name, then by encoded value. '=' sorts behind what a name is made of here, but
 * '%', '-' and '.' before '=' are in its way: compare with a byte below all of them in its place.
 */
static void add_query(struct text *text, const struct sigv4_claim *claim,
		      const struct sigv4_subject *subject)
{
	char **items = calloc(subject->query_count + 1, sizeof(*items));
	struct text item = {0};
	size_t i, count = 0;

	for (i = 0; items && i < subject->query_count; i++) {
		const struct sigv4_parameter *pair = &subject->query[i];

		if (claim->presigned && !strcmp(pair->name, "X-Amz-Signature"))
			continue;
		text_clear(&item);
		uri_encode(&item, pair->name, strlen(pair->name), false);
		text_puts(&item, "\001");
		uri_encode(&item, pair->value, strlen(pair->value), false);
		items[count] = item.failed ? NULL : strdup(item.bytes);
		if (!items[count])
			text->failed = true;
		else
			count++;
	}
	text->failed |= !items;
	if (items)
		qsort(items, count, sizeof(*items), by_name);
	for (i = 0; items && i < count; i++) {
		*strchr(items[i], '\001') = '=';
		text_printf(text, "%s%s", i ? "&" : "", items[i]);
		free(items[i]);
	}
	text_puts(text, "\n");
	text_free(&item);
	free(items);
}

/* Outer white space goes, and what is inside becomes one space. */
static void add_value(struct text *text, const char *value)
{
	bool space = false;

	value += strspn(value, " \t");
	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			space = true;
			continue;
		}
		if (space)
			text_puts(text, " ");
		space = false;
		text_add(text, value, 1);
	}
}

static void add_header(struct text *text, const struct sigv4_subject *subject, const char *name,
		       size_t len)
{
	bool first = true;
	size_t i;

	text_add(text, name, len);
	text_puts(text, ":");
	for (i = 0; i < subject->field_count; i++) {
		const struct http1_field *field = &subject->fields[i];

		if (strlen(field->name) != len || memcmp(field->name, name, len))
			continue;
		if (!first)
			text_puts(text, ",");
		first = false;
		add_value(text, field->value);
	}
	text_puts(text, "\n");
}

void sigv4_canonical(struct text *text, const struct sigv4_claim *claim,
		     const struct sigv4_subject *subject)
{
	const char *at = claim->signed_headers, *end = at + claim->signed_headers_len;

	text_printf(text, "%s\n", subject->method);
	uri_encode(text, subject->path, strlen(subject->path), true);
	text_puts(text, "\n");
	add_query(text, claim, subject);
	while (at < end) {
		const char *stop = memchr(at, ';', (size_t)(end - at));

		if (!stop)
			stop = end;
		add_header(text, subject, at, (size_t)(stop - at));
		at = stop + 1;
	}
	text_puts(text, "\n");
	text_add(text, claim->signed_headers, claim->signed_headers_len);
	text_printf(text, "\n%s", subject->payload_hash);
}

/* ---- the signature ---- */

static void hmac(uint8_t out[SIGV4_HASH_BYTES], const void *key, size_t key_len, const char *data,
		 size_t len)
{
	HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data, len, out, NULL);
}

void sigv4_key(uint8_t key[SIGV4_HASH_BYTES], const char *secret, const struct sigv4_claim *claim)
{
	struct text first = {0};

	text_printf(&first, "AWS4%s", secret);
	hmac(key, first.bytes ? first.bytes : "", first.len, claim->date, strlen(claim->date));
	if (first.bytes)
		OPENSSL_cleanse(first.bytes, first.len);
	text_free(&first);
	hmac(key, key, SIGV4_HASH_BYTES, claim->region, strlen(claim->region));
	hmac(key, key, SIGV4_HASH_BYTES, claim->service, strlen(claim->service));
	hmac(key, key, SIGV4_HASH_BYTES, "aws4_request", strlen("aws4_request"));
}

void sigv4_sign(char hex[SIGV4_HEX_BYTES], const uint8_t key[SIGV4_HASH_BYTES], const char *string,
		size_t len)
{
	uint8_t signature[SIGV4_HASH_BYTES];

	hmac(signature, key, SIGV4_HASH_BYTES, string, len);
	sigv4_hex(hex, signature, sizeof(signature));
}

bool sigv4_request(char hex[SIGV4_HEX_BYTES], const uint8_t key[SIGV4_HASH_BYTES],
		   const struct sigv4_claim *claim, const struct sigv4_subject *subject)
{
	char scope[SIGV4_SCOPE_BYTES], hash_hex[SIGV4_HEX_BYTES];
	uint8_t hash[SIGV4_HASH_BYTES];
	struct text canonical = {0}, string = {0};
	bool good;

	sigv4_canonical(&canonical, claim, subject);
	good = !canonical.failed;
	if (good) {
		SHA256((const unsigned char *)canonical.bytes, canonical.len, hash);
		sigv4_hex(hash_hex, hash, sizeof(hash));
		sigv4_scope(scope, claim);
		text_printf(&string, "%s\n%s\n%s\n%s", SIGV4_ALGORITHM, claim->amz_date, scope,
			    hash_hex);
		good = !string.failed;
	}
	if (good)
		sigv4_sign(hex, key, string.bytes, string.len);
	text_free(&canonical);
	text_free(&string);
	return good;
}
