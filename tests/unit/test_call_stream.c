// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of calls that stream, agent/peer/call and agent/peer/serve: node a streams to node b,
 * and b to a, over the connection cache and real TLS on the loopback.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_pair.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
	PATIENCE_S = 20,
	CALLS = 40,
	PIECE_BYTES = 64 << 10,
	PIECES = 300, /* more than the kernel's buffers take, and every queue */
	FEW_PIECES = 20,
	SHORT_MS = 60,
	NOT_TOLD = -1,
};

/* Where something is done. */
enum place { NOWHERE, AT_OPEN, AT_MESSAGE, AT_ROOM, AT_END };

/* a's side of one call. */
struct asked {
	struct call *call;
	int status; /* NOT_TOLD */
	unsigned int messages, rooms, sent, wanted;
	uint64_t bytes;
	char words[GRPC_WORDS_BYTES];
	enum place cancel;
	bool ends_itself; /* call_send_end() after what is wanted */
};

/* b's side of one. */
struct served {
	struct serve_call *call; /* NULL: over */
	unsigned int messages, rooms, sent;
	uint64_t bytes;
	bool ended, gone;
};

static struct call_pair pair;
static struct asked asked[CALLS];
static struct served served[CALLS];
static unsigned int served_count;
static enum place finish;
static bool silent; /* b says nothing by itself */
static uint8_t piece[PIECE_BYTES];

static void run_until(bool (*condition)(void))
{
	call_pair_run_until(&pair, condition, PATIENCE_S);
}

/* ---- b's methods ---- */

static bool finishes(struct served *one, enum place place)
{
	struct serve_call *call = one->call;

	if (finish != place)
		return false;
	one->call = NULL;
	serve_finish(call, GRPC_NOT_FOUND, "as the test wishes");
	return true;
}

static struct served *new_served(struct serve_call *call)
{
	struct served *one = &served[served_count++];

	ck_assert_uint_le(served_count, CALLS);
	one->call = call;
	return one;
}

static void on_gone(void *ctx)
{
	struct served *one = ctx;

	ck_assert(one->call && !one->gone);
	one->gone = true;
	one->call = NULL;
}

/* Until it is refused, which on_room() tells the end of. */
static void pour(struct served *one)
{
	while (one->sent < PIECES) {
		int err = serve_reply(one->call, piece, sizeof(piece));

		ck_assert_msg(!err || err == -ENOBUFS, "%d", err);
		if (err)
			return;
		one->sent++;
	}
	serve_finish(one->call, GRPC_OK, NULL);
	one->call = NULL;
}

static void on_pouring_room(void *ctx)
{
	struct served *one = ctx;

	one->rooms++;
	if (!finishes(one, AT_ROOM))
		pour(one);
}

static void run_down(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	struct served *one = new_served(call);

	(void)ctx;
	(void)message;
	(void)bytes;
	serve_watch(call, on_gone, one);
	serve_on_room(call, on_pouring_room, one);
	pour(one);
}

/* Each message is answered by its length. */
static void on_served_message(void *ctx, const uint8_t *message, size_t bytes)
{
	struct served *one = ctx;
	uint32_t answer = (uint32_t)bytes;

	ck_assert(one->call && !one->ended);
	ck_assert_ptr_nonnull(message);
	one->messages++;
	one->bytes += bytes;
	if (finishes(one, AT_MESSAGE) || silent)
		return;
	ck_assert_int_eq(serve_reply(one->call, &answer, sizeof(answer)), 0);
}

static void on_served_end(void *ctx)
{
	struct served *one = ctx;
	struct serve_call *call = one->call;

	ck_assert(!one->ended);
	one->ended = true;
	if (finishes(one, AT_END) || silent)
		return;
	one->call = NULL;
	serve_finish(call, GRPC_OK, NULL);
}

static const struct serve_stream_callbacks taking = {
	.on_message = on_served_message,
	.on_end = on_served_end,
	.gone = on_gone,
};

static void open_up(void *ctx, struct serve_call *call)
{
	struct served *one = new_served(call);

	(void)ctx;
	ck_assert_ptr_eq(serve_peer(call), pair.a_is_a_stranger ? NULL : &pair.roster_b.peers[0]);
	if (!finishes(one, AT_OPEN))
		serve_stream(call, &taking, one);
}

/* Says as much as it can, whatever it is told. */
static const struct serve_stream_callbacks pouring = {
	.on_message = on_served_message,
	.on_end = on_served_end,
	.on_room = on_pouring_room,
	.gone = on_gone,
};

static void open_pour(void *ctx, struct serve_call *call)
{
	struct served *one = new_served(call);

	(void)ctx;
	serve_stream(call, &pouring, one);
	pour(one);
}

static const struct serve_method methods[] = {
	{.path = "/stream/Up", .open = open_up},
	{.path = "/stream/OfPeers", .open = open_up, .peers_only = true},
	{.path = "/stream/Pour", .open = open_pour},
	{.path = "/stream/Down", .run = run_down},
};

/* ---- two nodes ---- */

static struct roster_peer *b(void)
{
	return call_pair_b(&pair);
}

static bool is_connected(void)
{
	return conn_has(pair.cache_a, b());
}

static void setup(void)
{
	static const struct conn_limits limits = {
		.per_peer = 1, .waiting = CALLS, .connect_ns = 3000 * NS_PER_MS};
	size_t i;

	call_pair_open(&pair, &limits);
	ck_assert_int_eq(serve_add(pair.serve, methods, sizeof(methods) / sizeof(methods[0]), NULL),
			 0);
	memset(asked, 0, sizeof(asked));
	memset(served, 0, sizeof(served));
	for (i = 0; i < CALLS; i++)
		asked[i].status = NOT_TOLD;
	served_count = 0;
	finish = NOWHERE;
	silent = false;
}

static void setup_together(void)
{
	pair = (struct call_pair){0};
	setup();
}

static void setup_connected(void)
{
	setup_together();
	conn_allow(pair.cache_a, b(), true);
	run_until(is_connected);
}

static void setup_apart(void)
{
	pair = (struct call_pair){.apart = true};
	setup();
	conn_allow(pair.cache_a, b(), true);
	run_until(is_connected);
}

static void teardown(void)
{
	serve_close(pair.serve);
	pair.serve = NULL;
	/* Whatever became of them: nothing is counted any more. */
	ck_assert_uint_eq(pair.door.partial_bytes, 0);
	call_pair_close(&pair);
}

/* ---- a's side ---- */

static bool cancels(struct asked *one, enum place place)
{
	if (one->cancel != place)
		return false;
	call_cancel(one->call);
	/* In every callback also what comes after: the call is there until it returns. */
	ck_assert_int_eq(call_send(one->call, "x", 1), -EPIPE);
	call_send_end(one->call);
	return true;
}

/* As far as there is room. */
static void send_on(struct asked *one)
{
	while (one->sent < one->wanted) {
		int err = call_send(one->call, piece, sizeof(piece));

		ck_assert_msg(!err || err == -ENOBUFS, "%d", err);
		if (err)
			return;
		one->sent++;
		ck_assert_uint_le(call_queued(one->call), CALL_SEND_BYTES_MAX);
	}
	if (one->ends_itself)
		call_send_end(one->call);
}

static void on_message(void *ctx, const uint8_t *message, size_t bytes)
{
	struct asked *one = ctx;

	ck_assert_ptr_nonnull(message);
	one->messages++;
	one->bytes += bytes;
	cancels(one, AT_MESSAGE);
}

static void on_room(void *ctx)
{
	struct asked *one = ctx;

	one->rooms++;
	if (!cancels(one, AT_ROOM))
		send_on(one);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct asked *one = ctx;

	ck_assert_int_eq(one->status, NOT_TOLD);
	one->status = (int)status;
	snprintf(one->words, sizeof(one->words), "%s", words);
	ck_assert_int_eq(call_send(one->call, "x", 1), -EPIPE);
	cancels(one, AT_END);
}

static const struct call_callbacks callbacks = {
	.on_message = on_message,
	.on_room = on_room,
	.on_end = on_end,
};

static void ask(size_t at, const char *path, const char *first, bool streams, uint64_t timeout_ns)
{
	const struct call_request request = {
		.peer = b(),
		.path = path,
		.message = first,
		.message_bytes = first ? strlen(first) : 0,
		.timeout_ns = timeout_ns,
		.streams = streams,
	};

	ck_assert_int_eq(call_start(pair.book, &request, &callbacks, &asked[at], &asked[at].call),
			 0);
}

static void stream_up(size_t at, unsigned int pieces)
{
	ask(at, "/stream/Up", NULL, true, CALL_TIMEOUT_NONE);
	asked[at].wanted = pieces;
	send_on(&asked[at]);
}

static bool first_ended(void)
{
	return asked[0].status != NOT_TOLD;
}

static bool none_in_flight(void)
{
	return !call_in_flight(pair.book);
}

static bool none_served(void)
{
	unsigned int i;

	for (i = 0; i < served_count; i++)
		if (served[i].call)
			return false;
	return served_count > 0;
}

static bool first_has_a_message(void)
{
	return served[0].messages > 0;
}

static bool one_served(void)
{
	return served_count > 0;
}

/* ---- both ways ---- */

static bool three_are_answered(void)
{
	return asked[0].messages >= 3;
}

START_TEST(messages_go_both_ways)
{
	ask(0, "/stream/Up", _i ? "hello" : NULL, true, 0);
	ck_assert_int_eq(call_send(asked[0].call, piece, sizeof(piece)), 0);
	ck_assert_int_eq(call_send(asked[0].call, NULL, 0), 0);
	if (!_i)
		ck_assert_int_eq(call_send(asked[0].call, "world", 5), 0);
	run_until(three_are_answered);
	ck_assert_uint_eq(served[0].bytes, PIECE_BYTES + 5);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	call_send_end(asked[0].call);
	call_send_end(asked[0].call);
	ck_assert_int_eq(call_send(asked[0].call, "x", 1), -EPIPE);
	run_until(first_ended);
	ck_assert(served[0].ended && !served[0].gone);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, 3);
	ck_assert_uint_eq(asked[0].bytes, 3 * sizeof(uint32_t));
	ck_assert_uint_eq(asked[0].rooms, 0);
}
END_TEST

static bool one_has_ended(void)
{
	return served_count && served[0].ended;
}

/* The client is through, the server is not. */
START_TEST(answers_after_half_close)
{
	silent = true;
	ask(0, "/stream/Up", NULL, true, 0);
	call_send_end(asked[0].call);
	run_until(one_has_ended);
	ck_assert_int_eq(serve_reply(served[0].call, "late", 4), 0);
	serve_finish(served[0].call, GRPC_OK, NULL);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].bytes, 4);
}
END_TEST

START_TEST(begins_before_there_is_a_connection)
{
	asked[0].ends_itself = true;
	stream_up(0, FEW_PIECES);
	ck_assert_uint_eq(asked[0].sent, 0);
	ck_assert_uint_eq(call_queued(asked[0].call), 0);
	/* And one that has said all before it could say it. */
	ask(1, "/stream/Up", "first", true, 0);
	ck_assert_uint_eq(call_queued(asked[1].call), GRPC_PREFIX_BYTES + 5);
	ck_assert_int_eq(call_send(asked[1].call, "x", 1), -ENOBUFS);
	call_send_end(asked[1].call);
	ck_assert_int_eq(call_send(asked[1].call, "x", 1), -EPIPE);
	conn_allow(pair.cache_a, b(), true);
	run_until(none_in_flight);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, FEW_PIECES);
	ck_assert_uint_ge(asked[0].rooms, 1);
	ck_assert_int_eq(asked[1].status, GRPC_OK);
	ck_assert_uint_eq(asked[1].messages, 1);
}
END_TEST

START_TEST(only_streams_can_send)
{
	ask(0, "/stream/Down", "x", false, 0);
	ck_assert_int_eq(call_send(asked[0].call, "x", 1), -EPIPE);
	call_send_end(asked[0].call);
	call_cancel(asked[0].call);
}
END_TEST

/* One message is not what a stream's method reads alone: an ordinary call may ask it as well. */
START_TEST(one_message_is_a_stream_too)
{
	ask(0, "/stream/Up", "x", false, 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, 1);
}
END_TEST

/* ---- who does not read ---- */

static bool first_is_refused(void)
{
	static uint64_t since_ns;
	static unsigned int sent;

	/* On both sides nothing moves any more. */
	if (asked[0].sent != sent)
		since_ns = loop_now_ns(pair.loop);
	sent = asked[0].sent;
	return loop_now_ns(pair.loop) - since_ns > 100 * NS_PER_MS;
}

START_TEST(a_server_that_stops_reading)
{
	unsigned int stalled;

	asked[0].ends_itself = true;
	stream_up(0, PIECES);
	run_until(one_served);
	pair.b_stands_still = true;
	run_until(first_is_refused);
	stalled = asked[0].sent;
	ck_assert_uint_lt(stalled, PIECES);
	ck_assert_uint_gt(call_queued(asked[0].call), CALL_SEND_BYTES_MAX - 2 * PIECE_BYTES);
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	pair.b_stands_still = false;
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(served[0].bytes, (uint64_t)PIECES * PIECE_BYTES);
	ck_assert_uint_eq(asked[0].messages, PIECES);
	ck_assert_uint_gt(asked[0].rooms, 0);
	ck_assert_uint_le(asked[0].rooms, PIECES);
}
END_TEST

static bool b_is_refused(void)
{
	static unsigned int sent, turns;

	if (!served_count)
		return false;
	turns = served[0].sent == sent ? turns + 1 : 0;
	sent = served[0].sent;
	return turns > 50;
}

/* A unary request with an answer at length, then a stream both of whose ends could speak. */
START_TEST(a_client_that_stops_reading)
{
	silent = true;
	ask(0, _i ? "/stream/Pour" : "/stream/Down", "x", _i, 0);
	run_until(one_served);
	call_pair_run_b_until(&pair, b_is_refused, PATIENCE_S);
	ck_assert_uint_lt(served[0].sent, PIECES);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_OK);
	ck_assert_uint_eq(asked[0].bytes, (uint64_t)PIECES * PIECE_BYTES);
	ck_assert_uint_gt(served[0].rooms, 0);
	ck_assert_uint_le(served[0].rooms, PIECES);
}
END_TEST

/* More streams than the connection has room for: those refused for the others' sake get theirs. */
START_TEST(streams_share_a_connection)
{
	unsigned int i, refused_empty = 0;

	for (i = 0; i < CALLS; i++)
		asked[i].ends_itself = true;
	pair.b_stands_still = true;
	for (i = 0; i < CALLS; i++) {
		stream_up(i, FEW_PIECES);
		refused_empty += !asked[i].sent;
	}
	ck_assert_uint_gt(refused_empty, 0);
	pair.b_stands_still = false;
	run_until(none_in_flight);
	for (i = 0; i < CALLS; i++) {
		ck_assert_int_eq(asked[i].status, GRPC_OK);
		ck_assert_uint_eq(asked[i].messages, FEW_PIECES);
	}
}
END_TEST

/* ---- ends ---- */

/* Inside on_message, on_room (which a message to a full queue brings) and on_end. */
START_TEST(cancelled_inside_a_callback)
{
	asked[0].cancel = (enum place)_i;
	asked[0].ends_itself = _i == AT_END;
	stream_up(0, PIECES);
	run_until(none_in_flight);
	run_until(none_served);
	ck_assert_int_eq(asked[0].status, _i == AT_END ? GRPC_OK : NOT_TOLD);
	ck_assert_int_eq(served[0].gone, _i != AT_END);
	ck_assert_uint_eq(asked[0].messages, _i == AT_END ? PIECES : _i == AT_MESSAGE);
	ck_assert(is_connected());
}
END_TEST

/* The server has had enough, while the client still streams. */
START_TEST(finished_inside_a_callback)
{
	finish = (enum place)_i;
	if (_i == AT_ROOM) {
		ask(0, "/stream/Pour", NULL, true, 0);
	} else {
		asked[0].ends_itself = _i == AT_END;
		stream_up(0, FEW_PIECES);
	}
	run_until(none_in_flight);
	ck_assert_int_eq(asked[0].status, GRPC_NOT_FOUND);
	ck_assert_str_eq(asked[0].words, "as the test wishes");
	ck_assert_uint_eq(served_count, 1);
	ck_assert(!served[0].gone);
	ck_assert_uint_eq(served[0].messages, _i == AT_MESSAGE ? 1 : _i == AT_END ? FEW_PIECES : 0);
	ck_assert(is_connected());
}
END_TEST

static bool all_are_served(void)
{
	unsigned int i;

	for (i = 0; i < CALLS; i++)
		if (!served[i].messages)
			return false;
	return true;
}

START_TEST(a_verdict_ends_them_all)
{
	unsigned int i;

	for (i = 0; i < CALLS; i++)
		stream_up(i, PIECES);
	run_until(all_are_served);
	b()->state = VERDICT_DEAD;
	conn_allow(pair.cache_a, b(), false);
	ck_assert_uint_eq(conn_evict_peer(pair.cache_a, b(), "b is dead: because"), 1);
	for (i = 0; i < CALLS; i++) {
		ck_assert_int_eq(asked[i].status, NOT_TOLD);
		ck_assert_int_eq(call_send(asked[i].call, "x", 1), -EPIPE);
		call_send_end(asked[i].call);
	}
	run_until(none_in_flight);
	for (i = 0; i < CALLS; i++) {
		ck_assert_int_eq(asked[i].status, GRPC_UNAVAILABLE);
		ck_assert_str_eq(asked[i].words, "b is dead: because");
	}
	run_until(none_served);
	for (i = 0; i < CALLS; i++)
		ck_assert(served[i].gone);
}
END_TEST

/* The same as the server's own verdict on its client. */
START_TEST(the_server_lets_go_of_its_client)
{
	stream_up(0, PIECES);
	run_until(first_has_a_message);
	ck_assert_uint_eq(conn_evict_peer(pair.cache_b, &pair.roster_b.peers[0], "a is dead"), 1);
	run_until(none_served);
	ck_assert(served[0].gone);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_UNAVAILABLE);
}
END_TEST

START_TEST(the_deadline_passes)
{
	ask(0, "/stream/Up", "x", true, SHORT_MS * NS_PER_MS);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_DEADLINE_EXCEEDED);
	run_until(none_served);
	ck_assert(served[0].gone);
	ck_assert_uint_eq(asked[0].messages, 1);
	ck_assert(is_connected());
}
END_TEST

START_TEST(the_server_stops)
{
	stream_up(0, 1);
	run_until(first_has_a_message);
	serve_close(pair.serve);
	pair.serve = NULL;
	ck_assert(served[0].gone);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_UNAVAILABLE);
	ck_assert_str_eq(asked[0].words, "the node is stopping");
}
END_TEST

START_TEST(the_client_stops)
{
	stream_up(0, PIECES);
	run_until(first_has_a_message);
	call_book_close(pair.book);
	pair.book = NULL;
	ck_assert_int_eq(asked[0].status, NOT_TOLD);
	run_until(none_served);
	ck_assert(served[0].gone);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(too_long_to_stream)
{
	static uint8_t much[CALL_SEND_BYTES_MAX];

	ask(0, "/stream/Up", NULL, true, 0);
	ck_assert_int_eq(call_send(asked[0].call, much, sizeof(much)), -EMSGSIZE);
	ck_assert_int_eq(call_send(asked[0].call, much, SERVE_REQUEST_BYTES_MAX), 0);
	ck_assert_int_eq(call_send(asked[0].call, much, SERVE_REQUEST_BYTES_MAX), -ENOBUFS);
	run_until(first_has_a_message);
	ck_assert_int_eq(call_send(asked[0].call, much, SERVE_REQUEST_BYTES_MAX + 1), 0);
	run_until(first_ended);
	ck_assert_int_eq(asked[0].status, GRPC_RESOURCE_EXHAUSTED);
	ck_assert(served[0].gone);
}
END_TEST

START_TEST(peers_alone_may_ask_what_is_theirs)
{
	pair.a_is_a_stranger = _i;
	ask(0, "/stream/OfPeers", "x", true, 0);
	call_send_end(asked[0].call);
	ask(1, "/stream/Up", "x", true, 0);
	call_send_end(asked[1].call);
	run_until(none_in_flight);
	ck_assert_int_eq(asked[0].status, _i ? GRPC_PERMISSION_DENIED : GRPC_OK);
	ck_assert_uint_eq(asked[0].messages, !_i);
	ck_assert_int_eq(asked[1].status, GRPC_OK);
	ck_assert_uint_eq(served_count, _i ? 1 : 2);
}
END_TEST

static void add_connected(TCase *tcase)
{
	tcase_add_loop_test(tcase, messages_go_both_ways, 0, 2);
	tcase_add_test(tcase, answers_after_half_close);
	tcase_add_test(tcase, only_streams_can_send);
	tcase_add_test(tcase, one_message_is_a_stream_too);
	tcase_add_loop_test(tcase, cancelled_inside_a_callback, AT_MESSAGE, AT_END + 1);
	tcase_add_loop_test(tcase, finished_inside_a_callback, AT_OPEN, AT_END + 1);
	tcase_add_test(tcase, a_verdict_ends_them_all);
	tcase_add_test(tcase, the_server_lets_go_of_its_client);
	tcase_add_test(tcase, the_deadline_passes);
	tcase_add_test(tcase, the_server_stops);
	tcase_add_test(tcase, the_client_stops);
	tcase_add_test(tcase, too_long_to_stream);
	tcase_add_loop_test(tcase, peers_alone_may_ask_what_is_theirs, 0, 2);
}

int main(void)
{
	Suite *suite = suite_create("call_stream");
	TCase *connected = tcase_create("connected"), *alone = tcase_create("alone"),
	      *apart = tcase_create("apart");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(connected, setup_connected, teardown);
	tcase_set_timeout(connected, 60);
	add_connected(connected);
	tcase_add_checked_fixture(alone, setup_together, teardown);
	tcase_set_timeout(alone, 60);
	tcase_add_test(alone, begins_before_there_is_a_connection);
	tcase_add_checked_fixture(apart, setup_apart, teardown);
	tcase_set_timeout(apart, 60);
	tcase_add_test(apart, a_server_that_stops_reading);
	tcase_add_loop_test(apart, a_client_that_stops_reading, 0, 2);
	tcase_add_test(apart, streams_share_a_connection);
	suite_add_tcase(suite, connected);
	suite_add_tcase(suite, alone);
	suite_add_tcase(suite, apart);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
