// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/http1: the parser in pieces of every size, what it refuses; and
 * connections over a socket pair: order, back-pressure, early answers, clients that go.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/http1.h"
#include "io/http1_parse.h"
#include "io/loop.h"
#include "io/text.h"

#define NS_PER_MS UINT64_C(1000000)

enum { DEADLINE_MS = 5000, BIG_BYTES = 3 << 20 };

/* ---- the parser ---- */

static struct text told;
static bool ended; /* a request has */

static void tell_head(void *ctx, const struct http1_head *head)
{
	size_t i;

	(void)ctx;
	text_printf(&told, "%s %s", head->method, head->target);
	for (i = 0; i < head->field_count; i++)
		text_printf(&told, " %s=%s", head->fields[i].name, head->fields[i].value);
	text_puts(&told, "|");
}

static void tell_body(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	text_add(&told, data, len);
}

static void tell_end(void *ctx)
{
	(void)ctx;
	text_puts(&told, ".");
	ended = true;
}

static const struct http1_parser_callbacks teller = {tell_head, tell_body, tell_end};

static enum http1_fault parse(const char *bytes, size_t len, size_t piece)
{
	struct http1_parser *parser = NULL;
	enum http1_fault fault = HTTP1_SOUND;
	size_t at = 0;

	text_clear(&told);
	ended = false;
	ck_assert_int_eq(http1_parser_open(&parser, &teller, NULL), 0);
	while (at < len && !fault) {
		size_t left = len - at < piece ? len - at : piece;
		size_t used = http1_parser_read(parser, (const uint8_t *)bytes + at, left, &fault);

		at += used;
		if (ended)
			http1_parser_next(parser);
		ended = false;
	}
	http1_parser_close(parser);
	return fault;
}

#define THREE                                                                          \
	"PUT /a?b=%20 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nEmpty:\r\n\r\nhello" \
	"PUT /b HTTP/1.1\r\nHOST:  y  \r\nTransfer-Encoding: chunked\r\n\r\n"          \
	"3\r\n\n b\r\n2;x=y\r\nde\r\n0\r\nTrailer: z\r\n\r\n"                          \
	"GET /c HTTP/1.0\r\n\r\n"

START_TEST(three_requests_in_pieces)
{
	size_t piece;

	for (piece = 1; piece < sizeof(THREE); piece++) {
		ck_assert_int_eq(parse(THREE, sizeof(THREE) - 1, piece), HTTP1_SOUND);
		ck_assert_str_eq(told.bytes, "PUT /a?b=%20 host=x content-length=5 empty=|hello."
					     "PUT /b host=y transfer-encoding=chunked|\n bde."
					     "GET /c|.");
	}
}
END_TEST

static const struct refusal {
	const char *bytes;
	enum http1_fault fault;
} refusals[] = {
	{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	 HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
	 HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	 HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
	 HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n", HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HTTP1_CODING},
	{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	 "Transfer-Encoding: chunked\r\n\r\n",
	 HTTP1_MALFORMED},
	{"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", HTTP1_MALFORMED},
	{"GET / HTTP/1.1\r\n\r\n", HTTP1_MALFORMED},
	{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HTTP1_MALFORMED},
	{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", HTTP1_VERSION},
	{"GET /\r\n\r\n", HTTP1_VERSION},
	{"GARBAGE\r\n\r\n", HTTP1_MALFORMED},
	{"\x16\x03\x01\x02", HTTP1_MALFORMED}, /* TLS where there is none */
	{"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", HTTP1_MALFORMED},
	{"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", HTTP1_MALFORMED},
	{"\r\nGET / HTTP/1.1\nHost:\n\ta\n\n", HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 1\r\n\r\n", HTTP1_MALFORMED},
	{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n", HTTP1_MALFORMED},
};

START_TEST(what_is_refused)
{
	const struct refusal *refusal = &refusals[_i];

	ck_assert_msg(parse(refusal->bytes, strlen(refusal->bytes), 1) == refusal->fault, "%s",
		      refusal->bytes);
	ck_assert_msg(parse(refusal->bytes, strlen(refusal->bytes), 4096) == refusal->fault, "%s",
		      refusal->bytes);
}
END_TEST

START_TEST(heads_have_an_end)
{
	struct text text = {0};
	int i;

	text_printf(&text, "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d", HTTP1_HEAD_BYTES_MAX, 0);
	ck_assert_int_eq(parse(text.bytes, text.len, 1000), HTTP1_TOO_LARGE);
	text_clear(&text);
	text_puts(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (i = 0; i <= HTTP1_FIELDS_MAX; i++)
		text_puts(&text, "a: b\r\n");
	ck_assert_int_eq(parse(text.bytes, text.len, 1000), HTTP1_TOO_LARGE);
	text_free(&text);
}
END_TEST

/* ---- connections ---- */

static struct loop *loop;
static struct http1 *http;
static struct timer deadline, resume;
static int client;
static bool paused_once, answer_early, big_answer;
static size_t requests, body_bytes, to_send;
static int closed;

static void on_deadline(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

static void on_request(void *ctx, const struct http1_head *head)
{
	(void)ctx;
	requests++;
	text_printf(&told, "%s ", head->target);
	http1_continue(http);
	if (answer_early) {
		ck_assert_int_eq(http1_answer(http, 403, NULL, 0, 0), 0);
		http1_finish(http);
	}
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)data;
	body_bytes += len;
	if (!paused_once) {
		paused_once = true;
		http1_pause(http);
		loop_arm(loop, &resume, loop_now_ns(loop) + 50 * NS_PER_MS);
	}
}

static void on_resume(struct timer *timer)
{
	(void)timer;
	ck_assert_uint_le(body_bytes, 64 << 10);
	http1_resume(http);
}

static void pump(void)
{
	static const uint8_t piece[10000];

	while (to_send) {
		size_t len = to_send < sizeof(piece) ? to_send : sizeof(piece);
		int err = http1_send(http, piece, len);

		ck_assert(!err || err == -ENOBUFS);
		if (err)
			return;
		to_send -= len;
	}
	http1_finish(http);
}

static void on_end(void *ctx)
{
	char text[32];

	(void)ctx;
	if (big_answer) {
		to_send = BIG_BYTES;
		ck_assert_int_eq(http1_answer(http, 200, NULL, 0, BIG_BYTES), 0);
		pump();
		return;
	}
	snprintf(text, sizeof(text), "answer %zu\n", requests);
	ck_assert_int_eq(http1_answer(http, 200, NULL, 0, strlen(text)), 0);
	ck_assert_int_eq(http1_send(http, text, strlen(text)), 0);
	http1_finish(http);
}

static void on_broken(void *ctx, enum http1_fault fault)
{
	(void)ctx;
	text_printf(&told, "broken %d ", fault);
	http1_answer(http, 400, NULL, 0, 0);
	http1_finish(http);
}

static void on_writable(void *ctx)
{
	(void)ctx;
	pump();
}

static void on_close(void *ctx, int err, const char *reason)
{
	(void)ctx;
	(void)reason;
	closed = err;
	http1_abort(http);
	http = NULL;
	loop_stop(loop);
}

static const struct http1_callbacks callbacks = {
	.on_request = on_request,
	.on_body = on_body,
	.on_end = on_end,
	.on_broken = on_broken,
	.on_writable = on_writable,
	.on_close = on_close,
};

static void setup(void)
{
	char why[256];
	int fds[2];

	ck_assert_int_eq(loop_open(&loop, why, sizeof(why)), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	client = fds[0];
	ck_assert_int_eq(http1_accept(loop, fds[1], NULL, &callbacks, NULL, &http), 0);
	deadline.fire = on_deadline;
	resume.fire = on_resume;
	text_clear(&told);
	text_puts(&told, "");
	paused_once = true;
	answer_early = false;
	big_answer = false;
	requests = body_bytes = to_send = 0;
	closed = 1;
}

static void teardown(void)
{
	http1_abort(http);
	http = NULL;
	close(client);
	loop_close(loop);
	text_free(&told);
}

static void say(const char *words)
{
	ck_assert_int_eq(write(client, words, strlen(words)), (ssize_t)strlen(words));
}

static void run_for(unsigned int ms)
{
	loop_arm(loop, &deadline, loop_now_ns(loop) + ms * NS_PER_MS);
	ck_assert_int_eq(loop_run(loop), 0);
}

/* What has been answered so far, as text. */
static const char *heard(void)
{
	static char text[8192];
	ssize_t len = recv(client, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static size_t count_of(const char *text, const char *words)
{
	size_t count = 0;

	for (; (text = strstr(text, words)); text++)
		count++;
	return count;
}

START_TEST(sent_ahead_is_answered_in_order)
{
	const char *text;

	say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3"
	    "\r\n\r\nabcHEAD /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n");
	run_for(DEADLINE_MS);
	ck_assert_int_eq(closed, 0);
	ck_assert_str_eq(told.bytes, "/1 /2 /3 /4 ");
	text = heard();
	ck_assert_uint_eq(count_of(text, "HTTP/1.1 200 OK"), 4);
	ck_assert_uint_eq(count_of(text, "answer"), 3); /* none to HEAD */
	ck_assert(strstr(text, "answer 1") < strstr(text, "answer 2"));
	ck_assert(strstr(text, "answer 2") < strstr(text, "answer 4"));
	ck_assert_uint_eq(count_of(text, "Connection: close"), 1);
}
END_TEST

START_TEST(whoever_waits_is_told_to_go_on)
{
	say("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	run_for(50);
	ck_assert_str_eq(heard(), "HTTP/1.1 100 Continue\r\n\r\n");
	say("abc");
	run_for(50);
	ck_assert_uint_eq(count_of(heard(), "200 OK"), 1);
	/* Even before nothing: some clients count on it. */
	say("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n");
	run_for(50);
	ck_assert_uint_eq(count_of(heard(), "100 Continue"), 1);
}
END_TEST

static void write_big(const char *head)
{
	char *bytes = calloc(1, BIG_BYTES);
	pid_t pid;

	ck_assert_ptr_nonnull(bytes);
	pid = fork();
	if (!pid) {
		size_t at = 0;

		(void)!write(client, head, strlen(head));
		while (at < BIG_BYTES) {
			ssize_t len = write(client, bytes + at, BIG_BYTES - at);

			if (len <= 0)
				_exit(1);
			at += (size_t)len;
		}
		_exit(0);
	}
	free(bytes);
}

START_TEST(a_slow_reader_holds_the_client_up)
{
	paused_once = false;
	write_big("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3145728\r\n\r\n");
	run_for(1000);
	ck_assert_uint_eq(body_bytes, BIG_BYTES);
	ck_assert_uint_eq(count_of(heard(), "200 OK"), 1);
}
END_TEST

START_TEST(an_early_answer_comes_through)
{
	answer_early = true;
	write_big("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3145728\r\n\r\n");
	run_for(1000);
	ck_assert_uint_eq(body_bytes, 0);
	ck_assert_uint_eq(count_of(heard(), "403 Forbidden"), 1);
	/* The rest was read, and the connection is as good as new. */
	answer_early = false;
	say("GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
	run_for(50);
	ck_assert_uint_eq(count_of(heard(), "200 OK"), 1);
}
END_TEST

START_TEST(a_large_answer_waits_for_its_reader)
{
	char text[8192];
	size_t got = 0;
	int i;

	big_answer = true;
	say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	run_for(50);
	ck_assert_uint_gt(to_send, BIG_BYTES / 2);
	for (i = 0; i < 500 && got < BIG_BYTES; i++) {
		ssize_t len;

		while ((len = recv(client, text, sizeof(text), MSG_DONTWAIT)) > 0)
			got += (size_t)len;
		run_for(2);
	}
	ck_assert_uint_gt(got, BIG_BYTES);
	ck_assert_uint_eq(to_send, 0);
}
END_TEST

START_TEST(nonsense_is_answered_and_ends_it)
{
	say("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
	run_for(DEADLINE_MS);
	ck_assert_int_eq(closed, 0);
	ck_assert_str_eq(told.bytes, "broken 1 ");
	ck_assert_uint_eq(count_of(heard(), "400 Bad Request"), 1);
}
END_TEST

START_TEST(a_client_that_goes_is_noticed)
{
	say("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
	run_for(20);
	shutdown(client, SHUT_RDWR);
	run_for(DEADLINE_MS);
	ck_assert_int_lt(closed, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http1");
	TCase *parsing = tcase_create("parser"), *connections = tcase_create("connections");
	SRunner *runner;
	int failed;

	tcase_add_test(parsing, three_requests_in_pieces);
	tcase_add_loop_test(parsing, what_is_refused, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(parsing, heads_have_an_end);
	tcase_set_timeout(connections, 60);
	tcase_add_checked_fixture(connections, setup, teardown);
	tcase_add_test(connections, sent_ahead_is_answered_in_order);
	tcase_add_test(connections, whoever_waits_is_told_to_go_on);
	tcase_add_test(connections, a_slow_reader_holds_the_client_up);
	tcase_add_test(connections, an_early_answer_comes_through);
	tcase_add_test(connections, a_large_answer_waits_for_its_reader);
	tcase_add_test(connections, nonsense_is_answered_and_ends_it);
	tcase_add_test(connections, a_client_that_goes_is_noticed);
	suite_add_tcase(suite, parsing);
	suite_add_tcase(suite, connections);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
