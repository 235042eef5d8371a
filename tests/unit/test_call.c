// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/call and agent/peer/serve: node a calls node b over the connection cache
 * and real TLS on the loopback; both live on one loop.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "call_pair.h"
#include "io/listen.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
	DEADLINE_S = 20,
	CALLS = 200,
	PER_PEER = 3,
	WIDE_BYTES = 1 << 20,
	SHORT_MS = 60,
	NOT_TOLD = -1,
};

struct asked {
	struct call *call;
	int status; /* NOT_TOLD */
	unsigned int messages;
	size_t bytes;
	char words[GRPC_WORDS_BYTES];
	bool cancel_on_message, cancel_on_end;
};

static struct call_pair pair;
static struct asked asked[CALLS];
static struct serve_call *held[CALLS];
static unsigned int held_count, gone_count;

static void run_until(bool (*condition)(void))
{
	call_pair_run_until(&pair, condition, DEADLINE_S);
}

/* ---- the server's methods ---- */

static void run_echo(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	(void)ctx;
	ck_assert_int_eq(serve_reply(call, message, bytes), 0);
	serve_finish(call, GRPC_OK, NULL);
}

static void run_stream(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	int i;

	(void)ctx;
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(serve_reply(call, message, bytes), 0);
	serve_finish(call, GRPC_OK, NULL);
}

static void run_fail(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	(void)ctx;
	(void)message;
	(void)bytes;
	serve_finish(call, GRPC_NOT_FOUND, "no peer \"h9\": 100 %\n");
}

static void run_wide(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	static uint8_t much[WIDE_BYTES];

	(void)ctx;
	(void)message;
	(void)bytes;
	ck_assert_int_eq(serve_reply(call, much, sizeof(much)), 0);
	ck_assert_int_eq(serve_reply(call, much, sizeof(much)), -ENOBUFS);
	serve_finish(call, GRPC_OK, NULL);
}

static void on_gone(void *ctx)
{
	unsigned int at = (unsigned int)(uintptr_t)ctx;

	ck_assert_ptr_nonnull(held[at]);
	held[at] = NULL;
	gone_count++;
}

static void run_hold(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	(void)ctx;
	ck_assert_uint_lt(held_count, CALLS);
	held[held_count] = call;
	serve_watch(call, on_gone, (void *)(uintptr_t)held_count);
	held_count++;
	if (bytes)
		ck_assert_int_eq(serve_reply(call, message, bytes), 0);
}

static const struct serve_method methods[] = {
	{.path = "/test/Echo", .run = run_echo}, {.path = "/test/Stream", .run = run_stream},
	{.path = "/test/Fail", .run = run_fail}, {.path = "/test/Wide", .run = run_wide},
	{.path = "/test/Hold", .run = run_hold},
};

/* ---- two nodes ---- */

static struct roster_peer *b(void)
{
	return call_pair_b(&pair);
}

static bool is_connected(void)
{
	struct conn *conn;

	if (conn_lease(pair.cache_a, b(), &conn))
		return false;
	conn_return(conn, false);
	return true;
}

static void setup(void)
{
	static const struct conn_limits limits = {
		.per_peer = PER_PEER, .waiting = CALLS, .connect_ns = 3000 * NS_PER_MS};
	size_t i;

	memset(&pair, 0, sizeof(pair));
	call_pair_open(&pair, &limits);
	ck_assert_int_eq(serve_add(pair.serve, methods, sizeof(methods) / sizeof(methods[0]), NULL),
			 0);
	for (i = 0; i < CALLS; i++)
		asked[i] = (struct asked){.status = NOT_TOLD};
	memset(held, 0, sizeof(held));
	held_count = gone_count = 0;
}

static void connect_nodes(void)
{
	conn_allow(pair.cache_a, b(), true);
	run_until(is_connected);
}

static void setup_connected(void)
{
	setup();
	connect_nodes();
}

static void teardown(void)
{
	call_pair_close(&pair);
}

/* ---- asking ---- */

static void on_message(void *ctx, const uint8_t *message, size_t bytes)
{
	struct asked *one = ctx;

	(void)message;
	one->messages++;
	one->bytes += bytes;
	if (one->cancel_on_message)
		call_cancel(one->call);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct asked *one = ctx;

	ck_assert_int_eq(one->status, NOT_TOLD);
	one->status = status;
	snprintf(one->words, sizeof(one->words), "%s", words);
	if (one->cancel_on_end)
		call_cancel(one->call);
}

static const struct call_callbacks callbacks = {.on_message = on_message, .on_end = on_end};

static int ask(size_t at, const char *path, const char *message, uint64_t timeout_ns)
{
	const struct call_request request = {
		.peer = b(),
		.path = path,
		.message = message,
		.message_bytes = strlen(message),
		.timeout_ns = timeout_ns,
	};

	return call_start(pair.book, &request, &callbacks, &asked[at], &asked[at].call);
}

static bool first_ended(void)
{
	return asked[0].status != NOT_TOLD;
}

static bool one_held(void)
{
	return held_count > 0;
}

static bool one_gone(void)
{
	return gone_count > 0;
}

START_TEST(is_answered)
{
	ck_assert_int_eq(ask(0, "/test/Echo", _i ? "hello" : "", 0), 0);
	ck_assert_uint_eq(call_in_flight(pair.book), 1);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, 1);
	ck_assert_uint_eq(asked[0].bytes, _i ? 5 : 0);
	ck_assert_str_eq(asked[0].words, "");
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
}
END_TEST

static bool none_in_flight(void)
{
	return !call_in_flight(pair.book);
}

START_TEST(many_are_answered)
{
	size_t i;

	for (i = 0; i < CALLS; i++)
		ck_assert_int_eq(ask(i, "/test/Echo", "x", 0), 0);
	run_until(none_in_flight);
	for (i = 0; i < CALLS; i++) {
		ck_assert_int_eq(asked[i].status, GRPC_OK);
		ck_assert_uint_eq(asked[i].bytes, 1);
	}
}
END_TEST

START_TEST(is_told_what_failed)
{
	ck_assert_int_eq(ask(0, "/test/Fail", "x", 0), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_NOT_FOUND);
	ck_assert_str_eq(asked[0].words, "no peer \"h9\": 100 %\n");
	ck_assert_uint_eq(asked[0].messages, 0);
}
END_TEST

START_TEST(unknown_method)
{
	ck_assert_int_eq(ask(0, "/test/None", "x", 0), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_UNIMPLEMENTED);
}
END_TEST

/* Too late, and harmless. */
START_TEST(cancelled_inside_its_end)
{
	asked[0].cancel_on_end = true;
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
}
END_TEST

START_TEST(hears_a_stream)
{
	ck_assert_int_eq(ask(0, "/test/Stream", "abcd", 0), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, 3);
	ck_assert_uint_eq(asked[0].bytes, 12);
}
END_TEST

START_TEST(wide_answer)
{
	ck_assert_int_eq(ask(0, "/test/Wide", "", 0), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].bytes, WIDE_BYTES);
}
END_TEST

START_TEST(deadline_passes_on_both_sides)
{
	ck_assert_int_eq(ask(0, "/test/Hold", "", SHORT_MS * NS_PER_MS), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_DEADLINE_EXCEEDED);
	run_until(one_gone);
	ck_assert(is_connected());
}
END_TEST

START_TEST(cancelled_and_the_server_hears)
{
	ck_assert_int_eq(ask(0, "/test/Hold", "x", CALL_TIMEOUT_NONE), 0);
	run_until(one_held);
	call_cancel(asked[0].call);
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
	run_until(one_gone);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
}
END_TEST

START_TEST(cancelled_inside_its_message)
{
	asked[0].cancel_on_message = true;
	ck_assert_int_eq(ask(0, "/test/Hold", "x", 0), 0);
	run_until(one_gone);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	ck_assert_uint_eq(asked[0].messages, 1);
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
}
END_TEST

static bool all_held(void)
{
	return held_count == CALLS;
}

/* The whole point: a verdict ends every call in flight, at once and with its words. */
START_TEST(a_verdict_ends_them_all)
{
	size_t i;

	for (i = 0; i < CALLS; i++)
		ck_assert_int_eq(ask(i, "/test/Hold", "", CALL_TIMEOUT_NONE), 0);
	run_until(all_held);
	b()->state = VERDICT_DEAD;
	conn_allow(pair.cache_a, b(), false);
	ck_assert_uint_ge(conn_evict_peer(pair.cache_a, b(), "b is dead: because"), 1);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	run_until(none_in_flight);
	for (i = 0; i < CALLS; i++) {
		ck_assert_int_eq(asked[i].status, GRPC_UNAVAILABLE);
		ck_assert_str_eq(asked[i].words, "b is dead: because");
	}
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), -EHOSTDOWN);
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
}
END_TEST

START_TEST(isolated_is_told_apart)
{
	b()->state = VERDICT_ISOLATED;
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), -ENETDOWN);
}
END_TEST

START_TEST(waits_for_a_connection)
{
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), 0);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	conn_allow(pair.cache_a, b(), true);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
}
END_TEST

START_TEST(deadline_passes_in_line)
{
	ck_assert_int_eq(ask(0, "/test/Echo", "x", SHORT_MS * NS_PER_MS), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_DEADLINE_EXCEEDED);
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
}
END_TEST

START_TEST(refused_while_in_line)
{
	listen_close(pair.listener);
	pair.listener = NULL;
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), 0);
	conn_allow(pair.cache_a, b(), true);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_UNAVAILABLE);
	ck_assert_str_ne(asked[0].words, "");
}
END_TEST

START_TEST(closes_with_calls_in_flight)
{
	size_t i;

	for (i = 0; i < CALLS; i++)
		ck_assert_int_eq(ask(i, "/test/Hold", "x", 0), 0);
	if (_i)
		run_until(all_held);
	call_book_close(pair.book);
	pair.book = NULL;
	for (i = 0; i < CALLS; i++)
		ck_assert_int_eq(asked[i].status, NOT_TOLD);
}
END_TEST

START_TEST(server_stops)
{
	ck_assert_int_eq(ask(0, "/test/Hold", "x", 0), 0);
	run_until(one_held);
	serve_close(pair.serve);
	pair.serve = NULL;
	ck_assert_uint_eq(gone_count, 1);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_UNAVAILABLE);
	ck_assert_str_eq(asked[0].words, "the node is stopping");
}
END_TEST

START_TEST(too_long_to_ask)
{
	const struct call_request request = {
		.peer = b(), .path = "/test/Echo", .message_bytes = GRPC_MESSAGE_BYTES_MAX + 1};

	ck_assert_int_eq(call_start(pair.book, &request, &callbacks, NULL, NULL), -EMSGSIZE);
}
END_TEST

START_TEST(too_long_to_serve)
{
	static char much[SERVE_REQUEST_BYTES_MAX + 2];

	memset(much, 'x', sizeof(much) - 1);
	ck_assert_int_eq(ask(0, "/test/Echo", much, 0), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_RESOURCE_EXHAUSTED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("call");
	TCase *connected = tcase_create("connected"), *alone = tcase_create("alone");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(connected, setup_connected, teardown);
	tcase_set_timeout(connected, 60);
	tcase_add_loop_test(connected, is_answered, 0, 2);
	tcase_add_test(connected, many_are_answered);
	tcase_add_test(connected, is_told_what_failed);
	tcase_add_test(connected, unknown_method);
	tcase_add_test(connected, cancelled_inside_its_end);
	tcase_add_test(connected, hears_a_stream);
	tcase_add_test(connected, wide_answer);
	tcase_add_test(connected, deadline_passes_on_both_sides);
	tcase_add_test(connected, cancelled_and_the_server_hears);
	tcase_add_test(connected, cancelled_inside_its_message);
	tcase_add_test(connected, a_verdict_ends_them_all);
	tcase_add_test(connected, isolated_is_told_apart);
	tcase_add_loop_test(connected, closes_with_calls_in_flight, 0, 2);
	tcase_add_test(connected, server_stops);
	tcase_add_test(connected, too_long_to_ask);
	tcase_add_test(connected, too_long_to_serve);
	tcase_add_checked_fixture(alone, setup, teardown);
	tcase_set_timeout(alone, 60);
	tcase_add_test(alone, waits_for_a_connection);
	tcase_add_test(alone, deadline_passes_in_line);
	tcase_add_test(alone, refused_while_in_line);
	suite_add_tcase(suite, connected);
	suite_add_tcase(suite, alone);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
