// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of the pure parts of agent/s3: targets, percent-encoding, XML, checksums, dates,
 * conditions, ranges, metadata, errors, and the table of operations.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/checksum.h"
#include "s3/condition.h"
#include "s3/date.h"
#include "s3/meta.h"
#include "s3/request.h"
#include "s3/route.h"
#include "s3/uri.h"
#include "s3/xml.h"

enum { FIELDS_MAX = 16, TEXT_BYTES = 4096 };

static struct http1_field fields[FIELDS_MAX];
static struct http1_head head;
static struct s3_request request;

static void begin(const char *method, const char *target)
{
	s3_request_free(&request);
	head = (struct http1_head){.method = method, .target = target, .fields = fields};
}

static void add_field(const char *name, const char *value)
{
	fields[head.field_count++] = (struct http1_field){name, value};
}

static enum s3_error read_target(const char *target)
{
	begin("GET", target);
	return s3_request_read(&request, &head, "s3.example");
}

START_TEST(targets)
{
	ck_assert_int_eq(read_target("/"), S3_OK);
	ck_assert_str_eq(request.bucket, "");
	ck_assert_int_eq(read_target("/buck/a/b%20c+d?x=1+2&y&z=%26"), S3_OK);
	ck_assert_str_eq(request.bucket, "buck");
	ck_assert_str_eq(request.key, "a/b c+d");
	ck_assert_str_eq(s3_request_query(&request, "x"), "1 2");
	ck_assert_str_eq(s3_request_query(&request, "y"), "");
	ck_assert_str_eq(s3_request_query(&request, "z"), "&");
	ck_assert_ptr_null(s3_request_query(&request, "a"));
	ck_assert_int_eq(read_target("http://host:80/buck/k?q=1"), S3_OK);
	ck_assert_str_eq(request.bucket, "buck");
	ck_assert_str_eq(request.key, "k");
	ck_assert_int_eq(read_target("http://host?q=1"), S3_OK);
	ck_assert_str_eq(request.path, "/");
	begin("GET", "/a/b");
	add_field("host", "buck.S3.example:9000");
	ck_assert_int_eq(s3_request_read(&request, &head, "s3.example"), S3_OK);
	ck_assert_str_eq(request.bucket, "buck");
	ck_assert_str_eq(request.key, "a/b");
	s3_request_free(&request);
}
END_TEST

START_TEST(targets_that_are_refused)
{
	static const char *const bad_uris[] = {"/buck/%",   "/buck/%4",	 "/buck/%zz",
					       "/buck/%00", "/b%00uck/", "/buck/k?a=%0",
					       "*",	    "buck"};
	static const char *const bad_buckets[] = {"/B/k",    "/bu/k",	   "/-ab/k", "/ab-/k",
						  "/a..b/k", "/1.2.3.4/k", "/a_b/k", "//k"};
	static const char *const bad_keys[] = {"/buck/../x",	 "/buck/a/../b", "/buck/..",
					       "/buck/%2e%2e/x", "/buck/%ff",	 "/buck/%c0%af"};
	char target[TEXT_BYTES];
	size_t used, i;

	for (i = 0; i < sizeof(bad_uris) / sizeof(bad_uris[0]); i++)
		ck_assert_msg(read_target(bad_uris[i]) == S3_INVALID_URI, "%s", bad_uris[i]);
	for (i = 0; i < sizeof(bad_buckets) / sizeof(bad_buckets[0]); i++)
		ck_assert_msg(read_target(bad_buckets[i]) == S3_INVALID_BUCKET_NAME, "%s",
			      bad_buckets[i]);
	for (i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++)
		ck_assert_msg(read_target(bad_keys[i]) == S3_INVALID_KEY_NAME, "%s", bad_keys[i]);
	snprintf(target, sizeof(target), "/buck/%01024d", 0);
	ck_assert_int_eq(read_target(target), S3_OK);
	snprintf(target, sizeof(target), "/buck/%01025d", 0);
	ck_assert_int_eq(read_target(target), S3_KEY_TOO_LONG);
	used = (size_t)snprintf(target, sizeof(target), "/buck?");
	for (i = 0; i <= S3_QUERY_MAX; i++)
		used += (size_t)snprintf(target + used, sizeof(target) - used, "a&");
	ck_assert_int_eq(read_target(target), S3_INVALID_URI);
	s3_request_free(&request);
}
END_TEST

START_TEST(encoding)
{
	struct text text = {0};

	uri_encode(&text, "a/b c~\xc3\xbc+", 9, true);
	ck_assert_str_eq(text.bytes, "a/b%20c~%C3%BC%2B");
	text_clear(&text);
	uri_encode(&text, "a/b", 3, false);
	ck_assert_str_eq(text.bytes, "a%2Fb");
	text_clear(&text);
	xml_element(&text, "K", "<a & \"b\">\001\n");
	ck_assert_str_eq(text.bytes, "<K>&lt;a &amp; &quot;b&quot;&gt;&#x1;&#xA;</K>");
	text_free(&text);
	ck_assert(uri_is_utf8("\xf0\x9f\x98\x80", 4));
	ck_assert(!uri_is_utf8("\xed\xa0\x80", 3)); /* a surrogate */
	ck_assert(!uri_is_utf8("\xe2\x82", 2));
	ck_assert(!uri_is_utf8("\xf4\x90\x80\x80", 4));
}
END_TEST

/* ---- XML ---- */

static int on_begin(void *ctx, unsigned int depth, const char *name)
{
	text_printf(ctx, "%u<%s ", depth, name);
	return 0;
}

static int on_end(void *ctx, unsigned int depth, const char *name, const char *words)
{
	text_printf(ctx, "%u>%s=%s ", depth, name, words);
	return 0;
}

static int read_xml(const char *document, struct text *seen)
{
	static const struct xml_callbacks callbacks = {on_begin, on_end};

	text_clear(seen);
	return xml_read(document, strlen(document), &callbacks, seen);
}

START_TEST(documents)
{
	struct text seen = {0}, deep = {0};
	int i;

	ck_assert_int_eq(read_xml("<a xmlns=\"x\"><p:b>1 &amp; 2</p:b><c/></a>", &seen), 0);
	ck_assert_str_eq(seen.bytes, "1<a 2<b 2>b=1 & 2 2<c 2>c= 1>a= ");
	ck_assert_int_eq(read_xml("<a><b></a>", &seen), -EINVAL);
	ck_assert_int_eq(read_xml("", &seen), -EINVAL);
	ck_assert_int_eq(read_xml("<!DOCTYPE a><a/>", &seen), -EINVAL);
	ck_assert_int_eq(read_xml("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", &seen), -EINVAL);
	ck_assert_int_eq(read_xml("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", &seen),
			 -EINVAL);
	for (i = 0; i <= XML_DEPTH_MAX; i++)
		text_puts(&deep, "<a>");
	ck_assert_int_eq(read_xml(deep.bytes, &seen), -EINVAL);
	text_clear(&deep);
	text_printf(&deep, "<a>%0*d</a>", XML_TEXT_BYTES_MAX + 1, 0);
	ck_assert_int_eq(read_xml(deep.bytes, &seen), -EINVAL);
	text_free(&deep);
	text_free(&seen);
}
END_TEST

/* ---- checksums ---- */

static const struct sum {
	enum checksum_kind kind;
	const char *value; /* of "123456789" */
} sums[] = {
	{CHECKSUM_CRC32, "y/Q5Jg=="},
	{CHECKSUM_CRC32C, "4waSgw=="},
	{CHECKSUM_CRC64NVME, "rosUhgp5mIg="},
	{CHECKSUM_SHA1, "98O8HYCOBHMq32eZZczDTKeuNEE="},
	{CHECKSUM_SHA256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
	{CHECKSUM_MD5, "JfnnlDI7RTiF9RgfG2JNCw=="},
};

START_TEST(checksums)
{
	static struct checksum_tables tables;
	const struct sum *sum = &sums[_i];
	const uint8_t *data = (const uint8_t *)"123456789";
	char text[CHECKSUM_TEXT_BYTES];
	struct checksum checksum;
	size_t split;

	checksum_tables_make(&tables);
	for (split = 0; split <= 9; split++) {
		ck_assert_int_eq(checksum_begin(&checksum, sum->kind, &tables), 0);
		checksum_add(&checksum, data, split);
		checksum_add(&checksum, data + split, 9 - split);
		ck_assert_str_eq(checksum_end(&checksum, text), sum->value);
		checksum_free(&checksum);
	}
	ck_assert(checksum_is_text(sum->kind, sum->value));
	ck_assert(!checksum_is_text(sum->kind, sum->value + 1));
	ck_assert(!checksum_is_text(sum->kind, ""));
	if (sum->kind != CHECKSUM_MD5)
		ck_assert_int_eq(checksum_of_field(checksum_field(sum->kind)), sum->kind);
}
END_TEST

START_TEST(dates)
{
	char xml[DATE_XML_BYTES], http[DATE_HTTP_BYTES], amz[DATE_AMZ_BYTES];
	time_t when;

	ck_assert_str_eq(date_xml(xml, UINT64_C(1255369830042)), "2009-10-12T17:50:30.042Z");
	ck_assert_str_eq(date_http(http, UINT64_C(1255369830042)), "Mon, 12 Oct 2009 17:50:30 GMT");
	ck_assert_str_eq(date_amz(amz, 1255369830), "20091012T175030Z");
	ck_assert_int_eq(date_http_parse("Mon, 12 Oct 2009 17:50:30 GMT", &when), 0);
	ck_assert_int_eq(when, 1255369830);
	ck_assert_int_eq(date_http_parse("Monday, 12-Oct-09 17:50:30 GMT", &when), 0);
	ck_assert_int_eq(when, 1255369830);
	ck_assert_int_eq(date_amz_parse("20091012T175030Z", &when), 0);
	ck_assert_int_eq(when, 1255369830);
	ck_assert_int_eq(date_amz_parse("20091012T17503Z", &when), -EINVAL);
	ck_assert_int_eq(date_amz_parse("2009101 T175030Z", &when), -EINVAL);
	ck_assert_int_eq(date_http_parse("yesterday", &when), -EINVAL);
}
END_TEST

START_TEST(ranges)
{
	struct s3_range range;

	ck_assert_int_eq(s3_range_read("bytes=0-9", 100, &range), 1);
	ck_assert(range.from == 0 && range.bytes == 10);
	ck_assert_int_eq(s3_range_read("bytes=90-", 100, &range), 1);
	ck_assert(range.from == 90 && range.bytes == 10);
	ck_assert_int_eq(s3_range_read("bytes=90-1000", 100, &range), 1);
	ck_assert(range.from == 90 && range.bytes == 10);
	ck_assert_int_eq(s3_range_read("bytes=-10", 100, &range), 1);
	ck_assert(range.from == 90 && range.bytes == 10);
	ck_assert_int_eq(s3_range_read("bytes=-1000", 100, &range), 1);
	ck_assert(range.from == 0 && range.bytes == 100);
	ck_assert_int_eq(s3_range_read("bytes=100-", 100, &range), -ERANGE);
	ck_assert_int_eq(s3_range_read("bytes=0-", 0, &range), -ERANGE);
	ck_assert_int_eq(s3_range_read("bytes=-0", 100, &range), -ERANGE);
	ck_assert_int_eq(s3_range_read("bytes=5-4", 100, &range), 0);
	ck_assert_int_eq(s3_range_read("bytes=0-1,3-4", 100, &range), 0);
	ck_assert_int_eq(s3_range_read("lines=0-1", 100, &range), 0);
	ck_assert_int_eq(s3_range_read("bytes=99999999999999999999-", 100, &range), 0);
	ck_assert_int_eq(s3_range_read(NULL, 100, &range), 0);
}
END_TEST

static enum s3_error check_condition(const char *name, const char *value)
{
	struct store_object object = {.modified_ms = UINT64_C(1255369830042), .etag = "abc"};

	begin("GET", "/buck/k");
	add_field(name, value);
	request = (struct s3_request){.head = &head};
	return s3_condition_check(&request, "", &object);
}

START_TEST(conditions)
{
	const char *same = "Mon, 12 Oct 2009 17:50:30 GMT",
		   *before = "Mon, 12 Oct 2009 17:50:29 GMT";

	ck_assert_int_eq(check_condition("if-match", "\"abc\""), S3_OK);
	ck_assert_int_eq(check_condition("if-match", "abc"), S3_OK);
	ck_assert_int_eq(check_condition("if-match", "\"x\", \"abc\""), S3_OK);
	ck_assert_int_eq(check_condition("if-match", "*"), S3_OK);
	ck_assert_int_eq(check_condition("if-match", "\"ab\""), S3_PRECONDITION_FAILED);
	ck_assert_int_eq(check_condition("if-match", "\"abcd\""), S3_PRECONDITION_FAILED);
	ck_assert_int_eq(check_condition("if-none-match", "W/\"abc\""), S3_NOT_MODIFIED);
	ck_assert_int_eq(check_condition("if-none-match", "\"x\""), S3_OK);
	ck_assert_int_eq(check_condition("if-modified-since", same), S3_NOT_MODIFIED);
	ck_assert_int_eq(check_condition("if-modified-since", before), S3_OK);
	ck_assert_int_eq(check_condition("if-unmodified-since", same), S3_OK);
	ck_assert_int_eq(check_condition("if-unmodified-since", before), S3_PRECONDITION_FAILED);
	ck_assert_int_eq(check_condition("if-modified-since", "nonsense"), S3_OK);
}
END_TEST

START_TEST(metadata)
{
	struct text pairs = {0};
	struct store_meta meta;
	const char *at = NULL, *name, *value;
	char large[TEXT_BYTES];

	begin("PUT", "/buck/k");
	request = (struct s3_request){.head = &head};
	add_field("content-type", "text/plain");
	add_field("content-encoding", "gzip, aws-chunked");
	add_field("x-amz-meta-a", "1");
	add_field("x-amz-date", "no");
	ck_assert_int_eq(s3_meta_collect(&pairs, &request), S3_OK);
	meta = (struct store_meta){pairs.bytes, pairs.len};
	ck_assert(s3_meta_next(&meta, &at, &name, &value));
	ck_assert_str_eq(value, "text/plain");
	ck_assert(s3_meta_next(&meta, &at, &name, &value));
	ck_assert_str_eq(name, "content-encoding");
	ck_assert_str_eq(value, "gzip");
	ck_assert(s3_meta_next(&meta, &at, &name, &value));
	ck_assert_str_eq(name, "x-amz-meta-a");
	ck_assert(!s3_meta_next(&meta, &at, &name, &value));
	text_clear(&pairs);
	snprintf(large, sizeof(large), "%0*d", S3_USER_META_BYTES_MAX, 0);
	add_field("x-amz-meta-b", large);
	ck_assert_int_eq(s3_meta_collect(&pairs, &request), S3_METADATA_TOO_LARGE);
	head.field_count--;
	add_field("x-amz-server-side-encryption", "AES256");
	ck_assert_int_eq(s3_meta_collect(&pairs, &request), S3_NOT_IMPLEMENTED);
	text_free(&pairs);
}
END_TEST

START_TEST(errors)
{
	unsigned int error;

	for (error = S3_OK; error < S3_ERRORS; error++) {
		const struct s3_error_words *words = s3_error_words((enum s3_error)error);

		ck_assert(words->code && words->message && words->status >= 200);
	}
	/* What may succeed later must say so. */
	ck_assert_int_eq(s3_error_words(s3_error_of(-EAGAIN, S3_NO_SUCH_KEY))->status, 503);
	ck_assert_int_eq(s3_error_words(s3_error_of(-ETIMEDOUT, S3_NO_SUCH_KEY))->status, 503);
	ck_assert_int_eq(s3_error_words(s3_error_of(-ENOMEM, S3_NO_SUCH_KEY))->status, 503);
	ck_assert_int_eq(s3_error_words(s3_error_of(-EIO, S3_NO_SUCH_KEY))->status, 503);
	ck_assert_int_eq(s3_error_words(s3_error_of(-EROFS, S3_NO_SUCH_KEY))->status, 503);
	/* What will not must not. */
	ck_assert_int_eq(s3_error_words(s3_error_of(-ENOSPC, S3_NO_SUCH_KEY))->status, 507);
	ck_assert_int_eq(s3_error_of(-EBADMSG, S3_NO_SUCH_KEY), S3_INTERNAL_ERROR);
	ck_assert_int_eq(s3_error_of(-ENOENT, S3_NO_SUCH_UPLOAD), S3_NO_SUCH_UPLOAD);
}
END_TEST

static const char *route(const char *method, const char *target)
{
	const struct s3_operation *operation = NULL;

	begin(method, target);
	ck_assert_int_eq(s3_request_read(&request, &head, NULL), S3_OK);
	return s3_route(&request, &operation) ? "none" : operation->name;
}

START_TEST(routes)
{
	ck_assert_str_eq(route("GET", "/"), "ListBuckets");
	ck_assert_str_eq(route("GET", "/buck"), "ListObjects");
	ck_assert_str_eq(route("GET", "/buck/?list-type=2"), "ListObjectsV2");
	ck_assert_str_eq(route("PUT", "/buck"), "CreateBucket");
	ck_assert_str_eq(route("PUT", "/buck/k"), "PutObject");
	ck_assert_str_eq(route("PUT", "/buck/k?partNumber=1&uploadId=x"), "UploadPart");
	ck_assert_str_eq(route("POST", "/buck/k?uploads"), "CreateMultipartUpload");
	ck_assert_str_eq(route("POST", "/buck?delete"), "DeleteObjects");
	ck_assert_str_eq(route("GET", "/buck/k?versionId=null"), "GetObject");
	ck_assert_str_eq(route("GET", "/buck/k?versionId=1"), "none");
	ck_assert_str_eq(route("PUT", "/buck/k?tagging"), "none");
	ck_assert_str_eq(route("PUT", "/buck?policy"), "none");
	ck_assert_str_eq(route("DELETE", "/buck?lifecycle"), "none");
	ck_assert_str_eq(route("DELETE", "/"), "none");
	ck_assert_str_eq(route("PATCH", "/buck/k"), "none");
	s3_request_free(&request);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("s3");
	TCase *tcase = tcase_create("s3");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, targets);
	tcase_add_test(tcase, targets_that_are_refused);
	tcase_add_test(tcase, encoding);
	tcase_add_test(tcase, documents);
	tcase_add_loop_test(tcase, checksums, 0, sizeof(sums) / sizeof(sums[0]));
	tcase_add_test(tcase, dates);
	tcase_add_test(tcase, ranges);
	tcase_add_test(tcase, conditions);
	tcase_add_test(tcase, metadata);
	tcase_add_test(tcase, errors);
	tcase_add_test(tcase, routes);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
