// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/http2_stream: asking and answering between two of our own ends, over TLS
 * on the loopback and in the clear over a pair of unix sockets.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/http2_stream.h"
#include "io/listen.h"
#include "io/loop.h"
#include "io/tls_context.h"
#include "io_certs.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
	DEADLINE_MS = 20000,
	STREAMS = 50,
	WIDE_BYTES = 3 << 20, /* several flow-control windows */
	PIECE_BYTES = 64 << 10,
	NOT_TOLD = -1000
};

/* One side of one stream. */
struct side {
	struct http2_stream *stream;
	size_t bytes;
	uint8_t sum;
	int heads, ends, rooms;
	int told; /* as the how manieth on_room of all */
	int64_t closed;
	char status[8], grpc_status[8], words[32], path[64];
};

/* What the server does with a request. */
enum answer { ECHO, IGNORE, REFUSE, HOLD, RESET, ABORT, HEAD_ONLY, FILL, FILL_ON };

static char dir[] = "/tmp/knell-test-stream-XXXXXX";
static struct loop *loop;
static struct listener *listener;
static struct tls_context *context_a, *context_b;
static struct timer deadline;
static struct http2 *client, *server;
static struct side asked[STREAMS], served[STREAMS];
static size_t served_count;
static enum answer answer;
static int rooms_told;
static bool ready, timed_out, abort_on_data, leaving;
static bool (*wanted)(void);

static void on_deadline(struct timer *timer)
{
	(void)timer;
	timed_out = true;
	loop_stop(loop);
}

/* Every callback ends in a look whether what is waited for has come. */
static void look(void)
{
	if (wanted && wanted())
		loop_stop(loop);
}

static void run_until(bool (*condition)(void))
{
	wanted = condition;
	if (condition())
		return;
	loop_arm(loop, &deadline, loop_now_ns(loop) + DEADLINE_MS * NS_PER_MS);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_disarm(loop, &deadline);
	ck_assert_msg(!timed_out, "nothing happened within %d ms", DEADLINE_MS);
}

static void keep(char *to, size_t size, const char *value)
{
	if (value)
		snprintf(to, size, "%s", value);
}

static void add(struct side *side, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		side->sum = (uint8_t)(side->sum * 31 + data[i]);
	side->bytes += len;
}

static void asked_head(void *ctx, const struct http2_head *head)
{
	struct side *side = ctx;

	side->heads++;
	keep(side->status, sizeof(side->status), head->value[HTTP2_STATUS]);
	keep(side->grpc_status, sizeof(side->grpc_status), head->value[HTTP2_GRPC_STATUS]);
	keep(side->words, sizeof(side->words), head->value[HTTP2_GRPC_MESSAGE]);
	look();
}

static void side_data(void *ctx, const uint8_t *data, size_t len)
{
	struct side *side = ctx;

	add(side, data, len);
	if (abort_on_data) {
		http2_abort(client);
		client = NULL;
	}
	look();
}

static void side_end(void *ctx)
{
	struct side *side = ctx;

	side->ends++;
	look();
}

static void side_close(void *ctx, int64_t code)
{
	struct side *side = ctx;

	ck_assert_int_eq(side->closed, NOT_TOLD);
	side->closed = code;
	side->stream = NULL;
	look();
}

static const struct http2_stream_callbacks asking = {
	.on_head = asked_head,
	.on_data = side_data,
	.on_end = side_end,
	.on_close = side_close,
};

static const struct http2_field answer_head[] = {
	{":status", "200"},
	{"content-type", "application/grpc"},
};
static const struct http2_field trailers[] = {{"grpc-status", "0"}, {"grpc-message", "fine"}};

static void echo_data(void *ctx, const uint8_t *data, size_t len)
{
	struct side *side = ctx;

	add(side, data, len);
	ck_assert_int_eq(http2_stream_send(side->stream, data, len), 0);
	look();
}

static void echo_end(void *ctx)
{
	struct side *side = ctx;

	side->ends++;
	ck_assert_int_eq(http2_stream_end(side->stream, trailers, 2), 0);
	ck_assert_int_eq(http2_stream_end(side->stream, trailers, 2), -EPIPE);
	ck_assert_int_eq(http2_stream_send(side->stream, "x", 1), -EPIPE);
	look();
}

static const struct http2_stream_callbacks echoing = {
	.on_data = echo_data,
	.on_end = echo_end,
	.on_close = side_close,
};

static const struct http2_stream_callbacks holding = {
	.on_data = side_data,
	.on_end = side_end,
	.on_close = side_close,
};

/* Alone a stream may fill its own queue; beside it there is no room for another. */
static void fill(struct side *side)
{
	static uint8_t much[HTTP2_STREAM_QUEUE_BYTES_MAX];

	ck_assert_uint_eq(http2_stream_room(side->stream), sizeof(much));
	ck_assert_int_eq(http2_stream_send(side->stream, much, sizeof(much)), 0);
	ck_assert_int_eq(http2_stream_send(side->stream, much, 1), -ENOBUFS);
}

/* Whoever is told first lets go of the next, who is told nothing. */
static void filling_room(void *ctx)
{
	static const uint8_t piece[PIECE_BYTES];
	struct side *side = ctx;

	side->rooms++;
	side->told = ++rooms_told;
	ck_assert_int_eq(http2_stream_send(side->stream, piece, sizeof(piece)), 0);
	ck_assert_int_eq(http2_stream_end(side->stream, trailers, 2), 0);
	if (side == &served[1]) {
		http2_stream_reset(served[2].stream, NGHTTP2_CANCEL);
		http2_stream_forget(served[3].stream);
	}
	look();
}

static const struct http2_stream_callbacks filling = {
	.on_end = side_end,
	.on_room = filling_room,
	.on_close = side_close,
};

/* The first takes all that there is; the others want a little. */
static void fill_on(struct side *side)
{
	static const uint8_t piece[PIECE_BYTES];

	if (side == &served[0])
		fill(side);
	else
		ck_assert_int_eq(http2_stream_send(side->stream, piece, sizeof(piece)), -ENOBUFS);
	ck_assert_int_eq(side->rooms, 0);
}

static void on_request(void *ctx, struct http2_stream *stream, const struct http2_head *head)
{
	struct side *side = &served[served_count++];

	(void)ctx;
	ck_assert_uint_le(served_count, STREAMS);
	side->stream = stream;
	keep(side->path, sizeof(side->path), head->value[HTTP2_PATH]);
	switch (answer) {
	case ECHO:
		http2_stream_take(stream, &echoing, side);
		ck_assert_int_eq(http2_stream_respond(stream, answer_head, 2, false), 0);
		break;
	case IGNORE:
		break;
	case REFUSE:
		ck_assert_int_eq(http2_stream_respond(stream, answer_head, 2, true), 0);
		break;
	case HOLD:
		http2_stream_take(stream, &holding, side);
		break;
	case RESET:
		http2_stream_take(stream, &holding, side);
		http2_stream_reset(stream, NGHTTP2_ENHANCE_YOUR_CALM);
		break;
	case ABORT:
		http2_stream_take(stream, &holding, side);
		http2_abort(server);
		server = NULL;
		break;
	case HEAD_ONLY:
		http2_stream_take(stream, &holding, side);
		ck_assert_int_eq(http2_stream_respond(stream, answer_head, 2, false), 0);
		ck_assert_int_eq(http2_stream_end(stream, trailers, 2), 0);
		break;
	case FILL:
		http2_stream_take(stream, &holding, side);
		ck_assert_int_eq(http2_stream_respond(stream, answer_head, 2, false), 0);
		if (served_count == 1)
			fill(side);
		else
			ck_assert_int_eq(http2_stream_send(stream, "x", 1), -ENOBUFS);
		ck_assert_int_eq(http2_stream_end(stream, trailers, 2), 0);
		break;
	case FILL_ON:
		http2_stream_take(stream, &filling, side);
		ck_assert_int_eq(http2_stream_respond(stream, answer_head, 2, false), 0);
		fill_on(side);
		break;
	}
	look();
}

static void on_ready(void *ctx, const char *peer_name)
{
	(void)ctx;
	(void)peer_name;
	ready = true;
	look();
}

static void on_close(void *ctx, int err, const char *reason)
{
	(void)ctx;
	(void)err;
	(void)reason;
	look();
}

static void on_goaway(void *ctx)
{
	(void)ctx;
	ck_assert(!leaving);
	leaving = true;
	look();
}

static const struct http2_callbacks client_events = {
	.on_ready = on_ready,
	.on_goaway = on_goaway,
	.on_close = on_close,
};
static const struct http2_callbacks server_events = {
	.on_request = on_request,
	.on_close = on_close,
};

static void on_accept(void *ctx, int fd)
{
	(void)ctx;
	ck_assert_int_eq(http2_server(loop, fd, context_a, &server_events, NULL, &server), 0);
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

static bool is_ready(void)
{
	return ready;
}

static void setup(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char why[200];
	size_t i;

	ck_assert_msg(loop_open(&loop, why, sizeof(why)) == 0, "%s", why);
	ck_assert_int_eq(listen_open(loop, (struct sockaddr *)&addr, 4, on_accept, NULL, &listener),
			 0);
	addr.sin_port = htons(listen_port(listener));
	deadline = (struct timer){.fire = on_deadline};
	context_a = context_of("a.crt", "a.key");
	context_b = context_of("b.crt", "b.key");
	memset(asked, 0, sizeof(asked));
	memset(served, 0, sizeof(served));
	for (i = 0; i < STREAMS; i++)
		asked[i].closed = served[i].closed = NOT_TOLD;
	served_count = 0;
	rooms_told = 0;
	answer = ECHO;
	ready = timed_out = abort_on_data = leaving = false;
	ck_assert_int_eq(http2_client(loop, (struct sockaddr *)&addr, context_b, "a", NULL,
				      &client_events, NULL, &client),
			 0);
	run_until(is_ready);
}

static void teardown(void)
{
	http2_abort(client);
	http2_abort(server);
	listen_close(listener);
	loop_close(loop);
	tls_context_close(context_a);
	tls_context_close(context_b);
	client = server = NULL;
}

static void ask(size_t at)
{
	const struct http2_field head[] = {
		{":method", "POST"},
		{":scheme", "https"},
		{":path", "/knell.v1.Peer/Ping"},
		{":authority", "a"},
	};

	ck_assert_int_eq(http2_stream_open(client, head, 4, &asking, &asked[at], &asked[at].stream),
			 0);
}

static bool first_closed(void)
{
	return asked[0].closed != NOT_TOLD;
}

static bool both_closed(void)
{
	return first_closed() && served[0].closed != NOT_TOLD;
}

START_TEST(asks_and_is_answered)
{
	static uint8_t body[WIDE_BYTES];
	struct side whole = {};
	size_t size = _i ? WIDE_BYTES : 3, i;

	for (i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	add(&whole, body, size);
	ask(0);
	ck_assert_int_eq(http2_stream_send(asked[0].stream, body, size), 0);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, NULL, 0), 0);
	run_until(both_closed);
	ck_assert_int_eq(asked[0].closed, 0);
	ck_assert_int_eq(served[0].closed, 0);
	ck_assert_str_eq(served[0].path, "/knell.v1.Peer/Ping");
	ck_assert_uint_eq(served[0].bytes, size);
	ck_assert_uint_eq(asked[0].bytes, size);
	ck_assert_int_eq(asked[0].sum, whole.sum);
	ck_assert_int_eq(asked[0].heads, 2);
	ck_assert_int_eq(asked[0].ends, 1);
	ck_assert_str_eq(asked[0].status, "200");
	ck_assert_str_eq(asked[0].grpc_status, "0");
	ck_assert_str_eq(asked[0].words, "fine");
}
END_TEST

START_TEST(answers_without_a_body)
{
	answer = HEAD_ONLY;
	ask(0);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, NULL, 0), 0);
	run_until(both_closed);
	ck_assert_int_eq(asked[0].closed, 0);
	ck_assert_int_eq(asked[0].heads, 2);
	ck_assert_str_eq(asked[0].grpc_status, "0");
}
END_TEST

START_TEST(is_refused_when_nobody_takes_it)
{
	answer = IGNORE;
	ask(0);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, NULL, 0), 0);
	run_until(first_closed);
	ck_assert_str_eq(asked[0].grpc_status, HTTP2_GRPC_UNIMPLEMENTED);
}
END_TEST

/* The server does not want the rest, the client has not said it yet. */
START_TEST(is_answered_before_it_has_asked_all)
{
	answer = REFUSE;
	ask(0);
	run_until(first_closed);
	ck_assert_int_eq(asked[0].closed, 0);
	ck_assert_str_eq(asked[0].status, "200");
}
END_TEST

START_TEST(server_resets)
{
	answer = RESET;
	ask(0);
	run_until(first_closed);
	ck_assert_int_eq(asked[0].closed, NGHTTP2_ENHANCE_YOUR_CALM);
	ck_assert_int_eq(served[0].closed, NOT_TOLD);
}
END_TEST

static bool first_served(void)
{
	return served_count > 0;
}

static bool served_closed(void)
{
	return served[0].closed != NOT_TOLD;
}

START_TEST(client_resets)
{
	answer = HOLD;
	ask(0);
	run_until(first_served);
	http2_stream_reset(asked[0].stream, NGHTTP2_CANCEL);
	run_until(served_closed);
	ck_assert_int_eq(served[0].closed, NGHTTP2_CANCEL);
	ck_assert_int_eq(asked[0].closed, NOT_TOLD);
}
END_TEST

/* Before it has left: nobody ever hears of it. */
START_TEST(client_resets_at_once)
{
	ask(0);
	http2_stream_reset(asked[0].stream, NGHTTP2_CANCEL);
	ask(1);
	ck_assert_int_eq(http2_stream_end(asked[1].stream, NULL, 0), 0);
	wanted = NULL;
	run_until(first_served);
	ck_assert_int_eq(asked[0].closed, NOT_TOLD);
}
END_TEST

static bool all_served(void)
{
	return served_count == STREAMS;
}

static bool all_asked_closed(void)
{
	size_t i;

	for (i = 0; i < STREAMS; i++)
		if (asked[i].closed == NOT_TOLD)
			return false;
	return true;
}

static bool all_served_closed(void)
{
	size_t i;

	for (i = 0; i < STREAMS; i++)
		if (served[i].closed == NOT_TOLD)
			return false;
	return true;
}

/* An eviction: every stream is told by the end of the batch, on the other side as soon as it hears.
 */
START_TEST(all_end_with_their_connection)
{
	size_t i;

	answer = HOLD;
	for (i = 0; i < STREAMS; i++)
		ask(i);
	run_until(all_served);
	if (_i)
		http2_goaway_close(client);
	else
		http2_abort(client);
	client = NULL;
	ck_assert(!first_closed());
	ck_assert_int_eq(http2_stream_send(asked[0].stream, "x", 1), -EPIPE);
	run_until(all_asked_closed);
	for (i = 0; i < STREAMS; i++)
		ck_assert_int_eq(asked[i].closed, HTTP2_STREAM_LOST);
	run_until(all_served_closed);
}
END_TEST

START_TEST(connection_given_up_inside_callbacks)
{
	answer = _i ? ABORT : ECHO;
	abort_on_data = !_i;
	ask(0);
	ck_assert_int_eq(http2_stream_send(asked[0].stream, "abc", 3), 0);
	run_until(both_closed);
	ck_assert_int_eq(asked[0].closed, HTTP2_STREAM_LOST);
	ck_assert_int_eq(served[0].closed, HTTP2_STREAM_LOST);
}
END_TEST

START_TEST(fills_and_drains)
{
	answer = FILL;
	ask(0);
	ask(1);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, NULL, 0), 0);
	ck_assert_int_eq(http2_stream_end(asked[1].stream, NULL, 0), 0);
	run_until(both_closed);
	ck_assert_uint_eq(asked[0].bytes, HTTP2_STREAM_QUEUE_BYTES_MAX);
	ck_assert_uint_eq(asked[1].bytes, 0);
	ck_assert_str_eq(asked[0].grpc_status, "0");
}
END_TEST

/* All but the one that nobody answers. */
static bool rest_closed(void)
{
	size_t i;

	for (i = 0; i < STREAMS; i++)
		if (asked[i].closed == NOT_TOLD && i != 3)
			return false;
	return true;
}

/* Whoever made the room: each in its turn, once, and the first when it has little left. */
START_TEST(those_refused_are_told_of_room)
{
	size_t i;

	answer = FILL_ON;
	for (i = 0; i < STREAMS; i++) {
		ask(i);
		ck_assert_int_eq(http2_stream_end(asked[i].stream, NULL, 0), 0);
	}
	run_until(all_served);
	run_until(rest_closed);
	ck_assert_uint_eq(asked[0].bytes, HTTP2_STREAM_QUEUE_BYTES_MAX + PIECE_BYTES);
	ck_assert_int_eq(served[0].rooms, 1);
	ck_assert_int_eq(served[1].told, 1);
	ck_assert_int_eq(asked[2].closed, NGHTTP2_CANCEL);
	for (i = 4; i < STREAMS; i++) {
		ck_assert_uint_eq(asked[i].bytes, PIECE_BYTES);
		ck_assert_int_eq(served[i].rooms, 1);
		ck_assert_int_gt(served[i].told, served[i - 1].told);
	}
	ck_assert_int_eq(served[2].rooms + served[3].rooms, 0);
}
END_TEST

static bool told_of_room(void)
{
	return asked[0].rooms > 0;
}

static void asking_room(void *ctx)
{
	struct side *side = ctx;

	side->rooms++;
	look();
}

/* There is room already: told all the same, but not from inside. */
START_TEST(room_can_be_asked_for)
{
	static const struct http2_stream_callbacks patient = {
		.on_room = asking_room,
		.on_close = side_close,
	};

	answer = HOLD;
	ck_assert_int_eq(
		http2_stream_open(client, answer_head, 2, &patient, &asked[0], &asked[0].stream),
		0);
	http2_stream_await_room(asked[0].stream, 0, 1);
	http2_stream_await_room(asked[0].stream, 0, 2);
	ck_assert_int_eq(asked[0].rooms, 0);
	run_until(told_of_room);
	ck_assert_int_eq(asked[0].rooms, 1);
	/* And nobody is told whose connection has ended meanwhile. */
	http2_stream_await_room(asked[0].stream, 0, 1);
	http2_abort(client);
	client = NULL;
	http2_stream_await_room(asked[0].stream, 0, 1);
	run_until(first_closed);
	ck_assert_int_eq(asked[0].rooms, 1);
}
END_TEST

static bool is_leaving(void)
{
	return leaving;
}

/* What is open goes on, and nothing new is opened. */
START_TEST(is_told_that_the_peer_leaves)
{
	answer = HOLD;
	ask(0);
	run_until(first_served);
	http2_goaway_close(server);
	server = NULL;
	run_until(is_leaving);
	ck_assert(http2_is_leaving(client));
	ck_assert_int_eq(
		http2_stream_open(client, answer_head, 2, &asking, &asked[1], &asked[1].stream),
		-ENOTCONN);
}
END_TEST

START_TEST(trailers_are_bounded)
{
	char long_value[HTTP2_TRAILER_BYTES_MAX + 1];
	const struct http2_field too_long[] = {{"grpc-message", long_value}};
	const struct http2_field too_many[HTTP2_TRAILERS_MAX + 1] = {
		{"a", "1"}, {"b", "2"}, {"c", "3"}};

	memset(long_value, 'x', sizeof(long_value));
	long_value[sizeof(long_value) - 1] = 0;
	ask(0);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, too_long, 1), -E2BIG);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, too_many, HTTP2_TRAILERS_MAX + 1),
			 -E2BIG);
	ck_assert_int_eq(http2_stream_end(asked[0].stream, NULL, 0), 0);
	run_until(both_closed);
}
END_TEST

START_TEST(tells_how_many_may_be_open)
{
	ck_assert_uint_eq(http2_streams_max(client), HTTP2_STREAMS_MAX);
	ck_assert(!http2_is_leaving(client));
}
END_TEST

/* A server without a context: this host's own programs, as h2c with prior knowledge. */
START_TEST(serves_in_the_clear)
{
	uint8_t bytes[4096];
	const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				"\0\0\0\4\0\0\0\0\0"	      /* SETTINGS */
				"\0\0\0\4\1\0\0\0\0"	      /* their ACK */
				"\0\0\10\1\5\0\0\0\1"	      /* HEADERS, END_STREAM, END_HEADERS */
				"\x83\x86\x04\x01/\x01\x01z"; /* POST http / z */
	int pair[2];

	http2_abort(server);
	server = NULL;
	answer = HOLD;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(http2_server(loop, pair[0], NULL, &server_events, NULL, &server), 0);
	ck_assert_int_eq(write(pair[1], hello, sizeof(hello) - 1), sizeof(hello) - 1);
	run_until(first_served);
	ck_assert_str_eq(served[0].path, "/");
	shutdown(pair[1], SHUT_WR);
	run_until(served_closed);
	ck_assert_int_eq(served[0].closed, HTTP2_STREAM_LOST);
	ck_assert_int_ge(recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT), 9);
	close(pair[1]);
}
END_TEST

static void make_certs(void)
{
	io_certs_make(dir);
}

static void remove_certs(void)
{
	io_certs_remove(dir);
}

int main(void)
{
	Suite *suite = suite_create("io_stream");
	TCase *tcase = tcase_create("io_stream");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(tcase, make_certs, remove_certs);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, asks_and_is_answered, 0, 2);
	tcase_add_test(tcase, answers_without_a_body);
	tcase_add_test(tcase, is_refused_when_nobody_takes_it);
	tcase_add_test(tcase, is_answered_before_it_has_asked_all);
	tcase_add_test(tcase, server_resets);
	tcase_add_test(tcase, client_resets);
	tcase_add_test(tcase, client_resets_at_once);
	tcase_add_loop_test(tcase, all_end_with_their_connection, 0, 2);
	tcase_add_loop_test(tcase, connection_given_up_inside_callbacks, 0, 2);
	tcase_add_test(tcase, fills_and_drains);
	tcase_add_test(tcase, those_refused_are_told_of_room);
	tcase_add_test(tcase, room_can_be_asked_for);
	tcase_add_test(tcase, is_told_that_the_peer_leaves);
	tcase_add_test(tcase, trailers_are_bounded);
	tcase_add_test(tcase, tells_how_many_may_be_open);
	tcase_add_test(tcase, serves_in_the_clear);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
