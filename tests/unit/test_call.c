// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/call and agent/peer/serve: node a calls node b over the connection cache
 * and real TLS on the loopback; both live on one loop.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "io/listen.h"
#include "io/loop.h"
#include "io/tls_context.h"
#include "io_certs.h"
#include "peer/call.h"
#include "peer/conn.h"
#include "peer/serve.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
	DEADLINE_MS = 20000,
	LOOK_MS = 1,
	CALLS = 200,
	PER_PEER = 3,
	WIDE_BYTES = 1 << 20,
	SHORT_MS = 60,
	BACKLOG = 16,
	NOT_TOLD = -1,
};

struct asked {
	struct call *call;
	int status; /* NOT_TOLD */
	unsigned int messages;
	size_t bytes;
	char words[GRPC_WORDS_BYTES];
	bool cancel_on_message;
};

static char dir[64];
static struct loop *loop;
static struct tls_context *tls_a, *tls_b;
static struct listener *listener;
static struct roster roster_a, roster_b;
static struct conn_cache *cache_a, *cache_b;
static struct call_book *book;
static struct serve *serve;
static struct timer look;
static uint64_t deadline_ns;
static bool (*wanted)(void);
static bool timed_out;
static struct asked asked[CALLS];
static struct serve_call *held[CALLS];
static unsigned int held_count, gone_count;

/* ---- waiting ---- */

static void on_look(struct timer *timer)
{
	timed_out = loop_now_ns(loop) >= deadline_ns;
	if (wanted() || timed_out)
		loop_stop(loop);
	else
		loop_arm(loop, timer, loop_now_ns(loop) + LOOK_MS * NS_PER_MS);
}

static void run_until(bool (*condition)(void))
{
	wanted = condition;
	deadline_ns = loop_now_ns(loop) + DEADLINE_MS * NS_PER_MS;
	loop_arm(loop, &look, loop_now_ns(loop));
	ck_assert_int_eq(loop_run(loop), 0);
	loop_disarm(loop, &look);
	ck_assert_msg(!timed_out, "not within %d ms", DEADLINE_MS);
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
	{"/test/Echo", run_echo}, {"/test/Stream", run_stream}, {"/test/Fail", run_fail},
	{"/test/Wide", run_wide}, {"/test/Hold", run_hold},
};

/* ---- two nodes ---- */

static int on_prepare(void *ctx, int fd, enum conn_role role)
{
	(void)ctx;
	(void)fd;
	(void)role;
	return 0;
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	(void)ctx;
	(void)peer;
	(void)http2;
}

static void on_ping(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	(void)ctx;
	(void)peer;
	(void)opaque;
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	(void)fd;
	on_ping(ctx, peer, opaque);
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	(void)ctx;
	(void)peer;
	(void)err;
	(void)reason;
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	(void)ctx;
	(void)from;
	(void)reason;
}

static void on_late(void *ctx, struct roster_peer *peer, bool late)
{
	(void)ctx;
	(void)peer;
	(void)late;
}

static void on_request(void *ctx, struct http2_stream *stream, const struct http2_head *head)
{
	(void)ctx;
	serve_request(serve, stream, head);
}

static bool on_admits(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return false;
}

static const struct conn_hooks hooks = {
	.prepare = on_prepare,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
	.late = on_late,
	.request = on_request,
	.admits = on_admits,
};

static void on_accept(void *ctx, int fd)
{
	(void)ctx;
	conn_accept(cache_b, fd);
}

static struct tls_context *context_of(const char *cert, const char *key)
{
	char paths[3][IO_CERTS_PATH_BYTES], why[300];
	struct tls_context *context = NULL;
	int err = tls_context_open(
		io_certs_path(paths[0], dir, cert), io_certs_path(paths[1], dir, key),
		io_certs_path(paths[2], dir, "ca.crt"), &context, why, sizeof(why));

	ck_assert_msg(!err, "%s", why);
	return context;
}

static struct roster_peer *b(void)
{
	return &roster_a.peers[0];
}

static void open_roster(struct roster *roster, const char *name, uint16_t port)
{
	struct sockaddr_storage addr = {};
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(roster_open(roster, 1, 1), 0);
	roster_set(roster, 0, name, &addr);
}

static bool is_connected(void)
{
	struct conn *conn;

	if (conn_lease(cache_a, b(), &conn))
		return false;
	conn_return(conn, false);
	return true;
}

static void setup(void)
{
	static const struct conn_limits limits = {
		.per_peer = PER_PEER, .waiting = CALLS, .connect_ns = 3000 * NS_PER_MS};
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char why[200];
	size_t i;

	ck_assert_msg(loop_open(&loop, why, sizeof(why)) == 0, "%s", why);
	look = (struct timer){.fire = on_look};
	ck_assert_int_eq(
		listen_open(loop, (struct sockaddr *)&addr, BACKLOG, on_accept, NULL, &listener),
		0);
	tls_a = context_of("a.crt", "a.key");
	tls_b = context_of("b.crt", "b.key");
	open_roster(&roster_a, "b", listen_port(listener));
	open_roster(&roster_b, "a", 1);
	ck_assert_int_eq(conn_cache_open(&cache_a, loop, tls_a, &roster_a, &limits, &hooks, NULL),
			 0);
	ck_assert_int_eq(conn_cache_open(&cache_b, loop, tls_b, &roster_b, &limits, &hooks, NULL),
			 0);
	ck_assert_int_eq(call_book_open(&book, loop, cache_a, DEADLINE_MS * NS_PER_MS), 0);
	ck_assert_int_eq(serve_open(&serve, loop), 0);
	ck_assert_int_eq(serve_add(serve, methods, sizeof(methods) / sizeof(methods[0]), NULL), 0);
	for (i = 0; i < CALLS; i++)
		asked[i] = (struct asked){.status = NOT_TOLD};
	memset(held, 0, sizeof(held));
	held_count = gone_count = 0;
	timed_out = false;
}

static void connect_nodes(void)
{
	conn_allow(cache_a, b(), true);
	run_until(is_connected);
}

static void setup_connected(void)
{
	setup();
	connect_nodes();
}

static void teardown(void)
{
	serve_close(serve);
	call_book_close(book);
	conn_cache_close(cache_a);
	conn_cache_close(cache_b);
	listen_close(listener);
	loop_close(loop);
	roster_close(&roster_a);
	roster_close(&roster_b);
	tls_context_close(tls_a);
	tls_context_close(tls_b);
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

	return call_start(book, &request, &callbacks, &asked[at], &asked[at].call);
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
	ck_assert_uint_eq(call_in_flight(book), 1);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, 1);
	ck_assert_uint_eq(asked[0].bytes, _i ? 5 : 0);
	ck_assert_str_eq(asked[0].words, "");
	ck_assert_uint_eq(call_in_flight(book), 0);
}
END_TEST

static bool none_in_flight(void)
{
	return !call_in_flight(book);
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
	ck_assert_uint_eq(call_in_flight(book), 0);
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
	ck_assert_uint_eq(call_in_flight(book), 0);
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
	conn_allow(cache_a, b(), false);
	ck_assert_uint_ge(conn_evict_peer(cache_a, b(), "b is dead: because"), 1);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	run_until(none_in_flight);
	for (i = 0; i < CALLS; i++) {
		ck_assert_int_eq(asked[i].status, GRPC_UNAVAILABLE);
		ck_assert_str_eq(asked[i].words, "b is dead: because");
	}
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), -EHOSTDOWN);
	ck_assert_uint_eq(call_in_flight(book), 0);
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
	conn_allow(cache_a, b(), true);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
}
END_TEST

START_TEST(deadline_passes_in_line)
{
	ck_assert_int_eq(ask(0, "/test/Echo", "x", SHORT_MS * NS_PER_MS), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_DEADLINE_EXCEEDED);
	ck_assert_uint_eq(call_in_flight(book), 0);
}
END_TEST

START_TEST(refused_while_in_line)
{
	listen_close(listener);
	listener = NULL;
	ck_assert_int_eq(ask(0, "/test/Echo", "x", 0), 0);
	conn_allow(cache_a, b(), true);
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
	call_book_close(book);
	book = NULL;
	for (i = 0; i < CALLS; i++)
		ck_assert_int_eq(asked[i].status, NOT_TOLD);
}
END_TEST

START_TEST(server_stops)
{
	ck_assert_int_eq(ask(0, "/test/Hold", "x", 0), 0);
	run_until(one_held);
	serve_close(serve);
	serve = NULL;
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

	ck_assert_int_eq(call_start(book, &request, &callbacks, NULL, NULL), -EMSGSIZE);
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

static void make_certs(void)
{
	snprintf(dir, sizeof(dir), "/tmp/knell-test-call-XXXXXX");
	io_certs_make(dir);
}

static void remove_certs(void)
{
	io_certs_remove(dir);
}

int main(void)
{
	Suite *suite = suite_create("call");
	TCase *connected = tcase_create("connected"), *alone = tcase_create("alone");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(connected, make_certs, remove_certs);
	tcase_add_checked_fixture(connected, setup_connected, teardown);
	tcase_set_timeout(connected, 60);
	tcase_add_loop_test(connected, is_answered, 0, 2);
	tcase_add_test(connected, many_are_answered);
	tcase_add_test(connected, is_told_what_failed);
	tcase_add_test(connected, unknown_method);
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
	tcase_add_unchecked_fixture(alone, make_certs, remove_certs);
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
