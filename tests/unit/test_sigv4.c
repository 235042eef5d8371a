// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/s3/sigv4, auth and chunk: the examples of Amazon's documentation and of its
 * published test suite, and what happens when one thing in them is changed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/auth.h"
#include "s3/body.h"
#include "s3/chunk.h"

#define ACCESS_KEY   "AKIAIOSFODNN7EXAMPLE"
#define SECRET_KEY   "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

enum { FIELDS_MAX = 12, TEXT_BYTES = 1024 };

/* ---- the test suite: any service, the query as it is ---- */

struct vector {
	const char *name, *method, *path, *signed_headers, *signature;
	struct http1_field fields[FIELDS_MAX];
	struct sigv4_parameter query[FIELDS_MAX];
};

#define HOST                                    \
	{                                       \
		"host", "example.amazonaws.com" \
	}
#define DATE                                     \
	{                                        \
		"x-amz-date", "20150830T123600Z" \
	}

static const struct vector vectors[] = {
	{"get-vanilla",
	 "GET",
	 "/",
	 "host;x-amz-date",
	 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
	 {HOST, DATE},
	 {}},
	{"post-vanilla",
	 "POST",
	 "/",
	 "host;x-amz-date",
	 "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
	 {HOST, DATE},
	 {}},
	{"get-utf8",
	 "GET",
	 "/\u1234",
	 "host;x-amz-date",
	 "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
	 {HOST, DATE},
	 {}},
	{"get-vanilla-query-order-key-case",
	 "GET",
	 "/",
	 "host;x-amz-date",
	 "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
	 {HOST, DATE},
	 {{"Param2", "value2"}, {"Param1", "value1"}}},
	{"get-vanilla-query-unreserved",
	 "GET",
	 "/",
	 "host;x-amz-date",
	 "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
	 {HOST, DATE},
	 {{"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	   "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}}},
	{"get-header-key-duplicate",
	 "GET",
	 "/",
	 "host;my-header1;x-amz-date",
	 "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
	 {HOST, {"my-header1", "value2"}, {"my-header1", "value2"}, {"my-header1", "value1"}, DATE},
	 {}},
	{"get-header-value-trim",
	 "GET",
	 "/",
	 "host;my-header1;my-header2;x-amz-date",
	 "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
	 {HOST, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}, DATE},
	 {}},
};

START_TEST(the_published_vectors)
{
	const struct vector *vector = &vectors[_i];
	struct sigv4_claim claim = {
		.date = "20150830",
		.region = "us-east-1",
		.service = "service",
		.amz_date = "20150830T123600Z",
		.signed_headers = vector->signed_headers,
		.signed_headers_len = strlen(vector->signed_headers),
	};
	struct sigv4_subject subject = {
		.method = vector->method,
		.path = vector->path,
		.query = vector->query,
		.fields = vector->fields,
		.payload_hash = SIGV4_EMPTY_HASH,
	};
	uint8_t key[SIGV4_HASH_BYTES];
	char hex[SIGV4_HEX_BYTES];

	while (vector->fields[subject.field_count].name)
		subject.field_count++;
	while (vector->query[subject.query_count].name)
		subject.query_count++;
	sigv4_key(key, SUITE_SECRET, &claim);
	ck_assert(sigv4_request(hex, key, &claim, &subject));
	ck_assert_msg(!strcmp(hex, vector->signature), "%s: %s", vector->name, hex);
}
END_TEST

/* ---- keys that are kept ---- */

START_TEST(kept_keys)
{
	static const char *const secrets[] = {"one", "two", "one", ""};
	static struct keyring ring, none;
	struct sigv4_claim claim = {.date = "20150830", .region = "us-east-1", .service = "s3"};
	uint8_t want[SIGV4_HASH_BYTES], got[SIGV4_HASH_BYTES];
	char secret[KEYRING_SECRET_BYTES + 2] = "";
	size_t i, day;

	for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		for (day = 0; day < (size_t)2 * KEYRING_KEYS; day++) {
			snprintf(claim.date, sizeof(claim.date), "%08zu", 20150101 + day);
			sigv4_key(want, secrets[i], &claim);
			keyring_key(&ring, got, secrets[i], &claim);
			ck_assert_mem_eq(got, want, sizeof(want));
			keyring_key(&ring, got, secrets[i], &claim);
			ck_assert_mem_eq(got, want, sizeof(want));
			keyring_key(NULL, got, secrets[i], &claim);
			ck_assert_mem_eq(got, want, sizeof(want));
		}
	}
	/* The longest that is kept, and two that are too long. */
	for (i = KEYRING_SECRET_BYTES - 1; i <= KEYRING_SECRET_BYTES + 1; i++) {
		memset(secret, 'x', i);
		sigv4_key(want, secret, &claim);
		keyring_key(&ring, got, secret, &claim);
		ck_assert_mem_eq(got, want, sizeof(want));
	}
	keyring_forget(&ring);
	ck_assert_mem_eq(&ring, &none, sizeof(ring));
}
END_TEST

/* ---- S3's own examples, through auth ---- */

static struct s3_root root;
static struct keyring keys;
static struct s3_request request;
static struct s3_auth auth;
static struct http1_field fields[FIELDS_MAX];
static struct http1_head head;

static const char *const scope_text =
	SIGV4_ALGORITHM " Credential=" ACCESS_KEY "/20130524/us-east-1/s3/aws4_request";

static void add_field(const char *name, const char *value)
{
	fields[head.field_count++] = (struct http1_field){name, value};
	head.fields = fields;
}

static void begin(const char *method, const char *target)
{
	memset(fields, 0, sizeof(fields));
	head = (struct http1_head){.method = method, .target = target};
	s3_root_set(&root, ACCESS_KEY, SECRET_KEY);
}

/* 0 s after the time of the examples. */
static enum s3_error check_after(long seconds)
{
	enum s3_error error = s3_request_read(&request, &head, "s3.amazonaws.com");
	time_t when = 0;

	ck_assert_int_eq(date_amz_parse("20130524T000000Z", &when), 0);
	if (!error)
		error = s3_auth_check(&auth, &request, &root.credentials, &keys, "us-east-1",
				      when + seconds);
	return error;
}

static enum s3_error check(void)
{
	enum s3_error error = check_after(0);

	s3_request_free(&request);
	return error;
}

static char authorization[TEXT_BYTES];

static void authorize(const char *headers, const char *signature)
{
	snprintf(authorization, sizeof(authorization), "%s,SignedHeaders=%s,Signature=%s",
		 scope_text, headers, signature);
	add_field("authorization", authorization);
}

static void begin_get(const char *signature)
{
	begin("GET", "/test.txt");
	add_field("host", "examplebucket.s3.amazonaws.com");
	authorize("host;range;x-amz-content-sha256;x-amz-date", signature);
	add_field("range", "bytes=0-9");
	add_field("x-amz-content-sha256", SIGV4_EMPTY_HASH);
	add_field("x-amz-date", "20130524T000000Z");
}

#define GET_SIGNATURE "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"

START_TEST(get_object)
{
	begin_get(GET_SIGNATURE);
	ck_assert_int_eq(check(), S3_OK);
	ck_assert_str_eq(request.bucket, "examplebucket");
	ck_assert_int_eq(auth.payload, S3_PAYLOAD_HASHED);
	ck_assert_str_eq(auth.access_key, ACCESS_KEY);
}
END_TEST

START_TEST(put_object)
{
	begin("PUT", "/test%24file.text");
	add_field("host", "examplebucket.s3.amazonaws.com");
	add_field("date", "Fri, 24 May 2013 00:00:00 GMT");
	authorize("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
	add_field("x-amz-date", "20130524T000000Z");
	add_field("x-amz-storage-class", "REDUCED_REDUNDANCY");
	add_field("x-amz-content-sha256",
		  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
	ck_assert_int_eq(check(), S3_OK);
}
END_TEST

START_TEST(get_lifecycle_and_list)
{
	begin("GET", "/?lifecycle");
	add_field("host", "examplebucket.s3.amazonaws.com");
	add_field("x-amz-date", "20130524T000000Z");
	add_field("x-amz-content-sha256", SIGV4_EMPTY_HASH);
	authorize("host;x-amz-content-sha256;x-amz-date",
		  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	ck_assert_int_eq(check(), S3_OK);
	begin("GET", "/?prefix=J&max-keys=2");
	add_field("host", "examplebucket.s3.amazonaws.com");
	add_field("x-amz-date", "20130524T000000Z");
	add_field("x-amz-content-sha256", SIGV4_EMPTY_HASH);
	authorize("host;x-amz-content-sha256;x-amz-date",
		  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
	ck_assert_int_eq(check(), S3_OK);
}
END_TEST

#define PRESIGNED                                                                 \
	"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ACCESS_KEY \
	"%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" \
	"&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="          \
	"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

START_TEST(presigned)
{
	begin("GET", PRESIGNED);
	add_field("host", "examplebucket.s3.amazonaws.com");
	ck_assert_int_eq(check(), S3_OK);
	ck_assert_int_eq(check_after(86400), S3_OK);
	s3_request_free(&request);
	ck_assert_int_eq(check_after(86401), S3_EXPIRED);
	s3_request_free(&request);
	ck_assert_int_eq(check_after(-S3_SKEW_S_MAX - 1), S3_TIME_TOO_SKEWED);
	s3_request_free(&request);
	add_field("x-amz-acl", "public-read");
	ck_assert_int_eq(check(), S3_HEADERS_NOT_SIGNED);
}
END_TEST

START_TEST(what_is_refused)
{
	begin_get(GET_SIGNATURE);
	ck_assert_int_eq(check_after(S3_SKEW_S_MAX + 1), S3_TIME_TOO_SKEWED);
	s3_request_free(&request);
	ck_assert_int_eq(check_after(-S3_SKEW_S_MAX - 1), S3_TIME_TOO_SKEWED);
	s3_request_free(&request);
	ck_assert_int_eq(check_after(S3_SKEW_S_MAX), S3_OK);
	s3_request_free(&request);
	begin_get("00e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	ck_assert_int_eq(check(), S3_SIGNATURE_MISMATCH);
	begin_get(GET_SIGNATURE);
	head.target = "/test.txt?versionId=1";
	ck_assert_int_eq(check(), S3_SIGNATURE_MISMATCH);
	begin_get(GET_SIGNATURE);
	head.method = "DELETE";
	ck_assert_int_eq(check(), S3_SIGNATURE_MISMATCH);
	begin_get(GET_SIGNATURE);
	fields[2].value = "bytes=0-10";
	ck_assert_int_eq(check(), S3_SIGNATURE_MISMATCH);
	begin_get(GET_SIGNATURE);
	s3_root_set(&root, "SOMEBODYELSE", SECRET_KEY);
	ck_assert_int_eq(check(), S3_INVALID_ACCESS_KEY);
	begin("GET", "/test.txt");
	add_field("host", "examplebucket.s3.amazonaws.com");
	ck_assert_int_eq(check(), S3_NOT_SIGNED);
	add_field("authorization", "AWS " ACCESS_KEY ":abc=");
	ck_assert_int_eq(check(), S3_UNSUPPORTED_AUTH);
}
END_TEST

START_TEST(malformed_claims)
{
	static const char *const texts[] = {
		SIGV4_ALGORITHM " ",
		SIGV4_ALGORITHM " Credential=,SignedHeaders=host,Signature=" GET_SIGNATURE,
		SIGV4_ALGORITHM " Credential=a/b/c/d,SignedHeaders=host,Signature=" GET_SIGNATURE,
		SIGV4_ALGORITHM " Credential=a/20130524/r/s3/aws4_request,SignedHeaders=x-amz-date,"
				"Signature=" GET_SIGNATURE, /* host is not signed */
		SIGV4_ALGORITHM " Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host;a,"
				"Signature=" GET_SIGNATURE, /* not in order */
		SIGV4_ALGORITHM " Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host;host,"
				"Signature=" GET_SIGNATURE,
		SIGV4_ALGORITHM " Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host,"
				"Signature=abc",
		SIGV4_ALGORITHM " Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host",
	};
	struct sigv4_claim claim;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(sigv4_claim_header(&claim, texts[i]) == S3_AUTH_MALFORMED, "%s",
			      texts[i]);
	ck_assert_int_eq(sigv4_claim_header(&claim, SIGV4_ALGORITHM
					    "  Credential=a/b/20130524/r/s3/aws4_request,  "
					    "SignedHeaders=host, Signature=" GET_SIGNATURE),
			 S3_OK);
	ck_assert_str_eq(claim.access_key, "a/b");
}
END_TEST

/* ---- chunks ---- */

enum { FIRST_BYTES = 65536, SECOND_BYTES = 1024, PAYLOAD_BYTES = FIRST_BYTES + SECOND_BYTES };

static void begin_chunks(const char *word, const char *signature, bool trailer)
{
	begin("PUT", "/examplebucket/chunkObject.txt");
	head.body_bytes = PAYLOAD_BYTES + 264;
	add_field("host", "s3.amazonaws.com");
	add_field("x-amz-date", "20130524T000000Z");
	add_field("x-amz-storage-class", "REDUCED_REDUNDANCY");
	add_field("content-encoding", "aws-chunked");
	add_field("x-amz-decoded-content-length", "66560");
	add_field("x-amz-content-sha256", word);
	if (trailer) {
		add_field("x-amz-trailer", "x-amz-checksum-crc32c");
		authorize("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-"
			  "content-length;x-amz-storage-class;x-amz-trailer",
			  signature);
	} else {
		add_field("content-length", "66824");
		authorize("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
			  "x-amz-decoded-content-length;x-amz-storage-class",
			  signature);
	}
}

static enum s3_error count(void *ctx, const uint8_t *data, size_t len)
{
	size_t *got = ctx, i;

	for (i = 0; i < len; i++)
		ck_assert_int_eq(data[i], 'a');
	*got += len;
	return S3_OK;
}

static struct checksum_tables tables;

/* Reads the body in pieces of that size. */
static enum s3_error read_body(const struct text *body, size_t piece)
{
	struct s3_body reading;
	size_t at, got = 0;
	enum s3_error error;

	checksum_tables_make(&tables);
	error = s3_body_begin(&reading, &request, &auth, &tables, count, &got);
	for (at = 0; at < body->len && !error; at += piece)
		error = s3_body_read(&reading, (const uint8_t *)body->bytes + at,
				     body->len - at < piece ? body->len - at : piece);
	if (!error)
		error = s3_body_end(&reading);
	if (!error)
		ck_assert_uint_eq(got, PAYLOAD_BYTES);
	s3_body_free(&reading);
	return error;
}

static void add_payload(struct text *body, size_t bytes)
{
	while (bytes--)
		text_add(body, "a", 1);
}

static void make_body(struct text *body, const char *const signatures[3], const char *tail)
{
	text_clear(body);
	text_printf(body, "10000;chunk-signature=%s\r\n", signatures[0]);
	add_payload(body, FIRST_BYTES);
	text_printf(body, "\r\n400;chunk-signature=%s\r\n", signatures[1]);
	add_payload(body, SECOND_BYTES);
	text_printf(body, "\r\n0;chunk-signature=%s\r\n%s", signatures[2], tail);
}

START_TEST(signed_chunks)
{
	static const char *const signatures[] = {
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};
	static const size_t pieces[] = {1, 7, 8192, 1 << 20};
	struct text body = {0};
	size_t i;

	begin_chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		     "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", false);
	ck_assert_int_eq(check_after(0), S3_OK);
	make_body(&body, signatures, "\r\n");
	ck_assert_uint_eq(body.len, 66824);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		ck_assert_int_eq(read_body(&body, pieces[i]), S3_OK);
	body.bytes[25] ^= 1; /* of the first signature */
	ck_assert_int_eq(read_body(&body, 8192), S3_SIGNATURE_MISMATCH);
	body.bytes[25] ^= 1;
	body.len -= 100; /* the last chunk is missing */
	ck_assert_int_eq(read_body(&body, 8192), S3_INCOMPLETE_BODY);
	text_clear(&body);
	text_puts(&body, "10000\r\n");
	ck_assert_int_eq(read_body(&body, 8192), S3_MALFORMED_CHUNK);
	text_free(&body);
	s3_request_free(&request);
}
END_TEST

START_TEST(signed_chunks_with_trailer)
{
	static const char *const signatures[] = {
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"};
	const char *trailer =
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:"
		"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
	struct text body = {0};
	char *at;

	begin_chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
		     "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", true);
	ck_assert_int_eq(check_after(0), S3_OK);
	make_body(&body, signatures, trailer);
	ck_assert_int_eq(read_body(&body, 1), S3_OK);
	ck_assert_int_eq(read_body(&body, 8192), S3_OK);
	at = strstr(body.bytes, "sOO8");
	*at = 't';
	ck_assert_int_eq(read_body(&body, 8192), S3_SIGNATURE_MISMATCH);
	make_body(&body, signatures, "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n");
	ck_assert_int_eq(read_body(&body, 8192), S3_INCOMPLETE_BODY);
	text_free(&body);
	s3_request_free(&request);
}
END_TEST

START_TEST(unsigned_chunks_with_trailer)
{
	struct text body = {0};

	begin("PUT", "/buck/k");
	add_field("x-amz-decoded-content-length", "66560");
	add_field("x-amz-trailer", "x-amz-checksum-crc32c");
	ck_assert_int_eq(s3_request_read(&request, &head, NULL), S3_OK);
	auth = (struct s3_auth){.payload = S3_PAYLOAD_UNSIGNED_TRAILER};
	text_puts(&body, "10400\r\n");
	add_payload(&body, PAYLOAD_BYTES);
	text_puts(&body, "\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n");
	ck_assert_int_eq(read_body(&body, 3), S3_OK);
	*strstr(body.bytes, "sOO8") = 't';
	ck_assert_int_eq(read_body(&body, 4096), S3_CHECKSUM_MISMATCH);
	text_free(&body);
	s3_request_free(&request);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sigv4");
	TCase *signatures = tcase_create("signatures"), *chunks = tcase_create("chunks");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(signatures, the_published_vectors, 0,
			    sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_test(signatures, kept_keys);
	tcase_add_test(signatures, get_object);
	tcase_add_test(signatures, put_object);
	tcase_add_test(signatures, get_lifecycle_and_list);
	tcase_add_test(signatures, presigned);
	tcase_add_test(signatures, what_is_refused);
	tcase_add_test(signatures, malformed_claims);
	tcase_add_test(chunks, signed_chunks);
	tcase_add_test(chunks, signed_chunks_with_trailer);
	tcase_add_test(chunks, unsigned_chunks_with_trailer);
	suite_add_tcase(suite, signatures);
	suite_add_tcase(suite, chunks);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
