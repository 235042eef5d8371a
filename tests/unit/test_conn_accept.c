// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: connections that others open. See conn_twins.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn_twins.h"
#include "peer/conn_line.h"

static void setup_stranger(void)
{
	/* By the right authority, but nobody's name. */
	twins_open("cn", "b", &twins_limits, false);
}

static bool has_ack(void)
{
	return twins.a.acks;
}

static bool none_is_kept(void)
{
	return !twins_list(&twins.b).count;
}

START_TEST(turns_strangers_away)
{
	const struct sockaddr_in *from = (const struct sockaddr_in *)&twins.b.refused_from;

	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_refused);
	ck_assert_str_eq(
		twins.b.reason,
		"certificate is of 'cn', which is no peer of ours, nor a `client` in [grpc]");
	ck_assert_int_eq(from->sin_family, AF_INET);
	ck_assert_uint_eq(from->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	ck_assert_uint_ne(from->sin_port, 0);
	/* a's side of TLS was done each time; that alone must not make it dial without pause. */
	twins_run_for(1500);
	ck_assert_int_le(twins.b.refused, 16);
	/* Not at once: the next may be just at the door. */
	twins_run_until(none_is_kept);
}
END_TEST

/* By the right authority, for what happens to be a peer's address. */
START_TEST(no_address_is_a_peers_name)
{
	twins_close();
	twins_open("address", "b", &twins_limits, false);
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_refused);
	ck_assert_str_eq(twins.b.reason, "certificate is of '127.0.0.1', which is no peer of ours, "
					 "nor a `client` in [grpc]");
}
END_TEST

enum { PER_SOURCE = 16, IN_ALL = 256 };

static unsigned int strangers_wanted;

static bool strangers_are_in(void)
{
	return twins_list(&twins.b).count == strangers_wanted;
}

/* A raw TCP connection from 127.0.1.@source that never speaks. */
static int connect_mute(unsigned int source)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f000100 + source)};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(listen_port(twins.listener))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int mute;

/* Closed by b: our end reads the end. */
static bool is_closed(void)
{
	char byte;

	return recv(mute, &byte, 1, MSG_DONTWAIT) == 0;
}

START_TEST(caps_strangers_of_one_source)
{
	int fds[PER_SOURCE];
	unsigned int i;

	for (i = 0; i < PER_SOURCE; i++)
		fds[i] = connect_mute(1);
	strangers_wanted = PER_SOURCE;
	twins_run_until(strangers_are_in);
	mute = connect_mute(1);
	twins_run_until(is_closed);
	close(mute);
	ck_assert_uint_eq(twins_list(&twins.b).count, PER_SOURCE);
	/* Others are not shut out by that, peers least of all. */
	mute = connect_mute(2);
	strangers_wanted = PER_SOURCE + 1;
	twins_run_until(strangers_are_in);
	ck_assert(!is_closed());
	close(mute);
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_heartbeat);
	/* One that goes makes room. */
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "gone");
	strangers_wanted = PER_SOURCE;
	twins_run_until(strangers_are_in);
	close(fds[0]);
	strangers_wanted = PER_SOURCE - 1;
	twins_run_until(strangers_are_in);
	fds[0] = connect_mute(1);
	strangers_wanted = PER_SOURCE;
	twins_run_until(strangers_are_in);
	for (i = 0; i < PER_SOURCE; i++)
		close(fds[i]);
}
END_TEST

START_TEST(caps_strangers_in_all)
{
	int fds[IN_ALL];
	unsigned int i;

	for (i = 0; i < IN_ALL; i++) {
		fds[i] = connect_mute(1 + i / PER_SOURCE);
		strangers_wanted = i + 1;
		if (strangers_wanted % TWINS_BACKLOG == 0)
			twins_run_until(strangers_are_in);
	}
	mute = connect_mute(1 + IN_ALL / PER_SOURCE);
	twins_run_until(is_closed);
	ck_assert_uint_eq(twins_list(&twins.b).count, IN_ALL);
	ck_assert_int_eq(twins.b.refused, 0);
	close(mute);
	for (i = 0; i < IN_ALL; i++)
		close(fds[i]);
}
END_TEST

/* ---- those who may ask and are no peers ---- */

static void setup_client(void)
{
	setup_stranger();
	twins.b.admitted = "cn";
}

START_TEST(admits_a_client)
{
	struct conn_listing listing;
	struct conn *conn = NULL;
	unsigned int i;

	twins_fill();
	listing = twins_list(&twins.b);
	for (i = 0; i < listing.count; i++) {
		ck_assert_ptr_null(listing.entries[i].peer);
		ck_assert_str_eq(listing.entries[i].name, "cn");
		ck_assert_int_eq(listing.entries[i].role, CONN_ACCEPTED);
		ck_assert_int_eq(listing.entries[i].state, CONN_READY);
	}
	ck_assert_int_eq(twins.b.refused, 0);
	/* It is nobody's peer: no heartbeat counts, no verdict touches it, nobody leases it. */
	ck_assert_int_eq(http2_ping(twins.a.heartbeat, (const uint8_t *)"12345678"), 0);
	twins_run_until(has_ack);
	ck_assert_int_eq(twins.b.pings, 0);
	ck_assert_uint_eq(conn_evict_peer(twins.b.cache, twins_peer(&twins.b), "dead"), 0);
	ck_assert_int_eq(conn_lease(twins.b.cache, twins_peer(&twins.b), &conn), -EAGAIN);
	ck_assert_int_eq(conn_evict_id(twins.b.cache, listing.entries[0].id, "by hand"), 0);
	ck_assert_uint_eq(twins_list(&twins.b).count, TWINS_POOL - 1);
	ck_assert_uint_eq(conn_clear(twins.b.cache, "by hand"), TWINS_POOL - 1);
	twins_run_until(twins_is_full);
}
END_TEST

START_TEST(admits_only_whom_it_is_told_to)
{
	twins.b.admitted = "somebody";
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_refused);
	ck_assert_str_eq(
		twins.b.reason,
		"certificate is of 'cn', which is no peer of ours, nor a `client` in [grpc]");
}
END_TEST

START_TEST(bounds_the_clients)
{
	struct conn_limits limits = twins_limits;
	unsigned int i;
	struct conn_listing listing;

	limits.per_peer = CONN_CLIENTS_MAX + 2;
	twins_close();
	twins_open("cn", "b", &limits, false);
	twins.b.admitted = "cn";
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_refused);
	ck_assert_str_eq(twins.b.reason,
			 "'cn' may ask, but 256 connections of clients are open already");
	listing = twins_list(&twins.b);
	for (i = 0; i < CONN_CLIENTS_MAX; i++)
		ck_assert_int_eq(listing.entries[i].state, CONN_READY);
}
END_TEST

/* ---- too many of one peer ---- */

static bool newcomer_is_ready, newcomer_has_ended;

static void on_newcomer_ready(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	newcomer_is_ready = true;
}

static void on_newcomer_close(void *ctx, int err, const char *reason)
{
	(void)ctx;
	(void)err;
	(void)reason;
	newcomer_has_ended = true;
}

static const struct http2_callbacks newcomer_callbacks = {
	.on_ready = on_newcomer_ready,
	.on_close = on_newcomer_close,
};

static bool newcomer_is_judged(void)
{
	return newcomer_is_ready || newcomer_has_ended;
}

/* One connection more than a's cache would make; b has heard of it, and done what it does. */
static struct http2 *come(void)
{
	const struct sockaddr *addr = (const struct sockaddr *)&twins_peer(&twins.a)->addr;
	struct http2 *http2 = NULL;

	newcomer_is_ready = newcomer_has_ended = false;
	ck_assert_int_eq(http2_client(twins.loop, addr, twins.a.tls, "b", NULL, &newcomer_callbacks,
				      NULL, &http2),
			 0);
	twins_run_until(newcomer_is_judged);
	twins_run_for(50);
	return http2;
}

/* All of a's connections stand, no other is dialled, and b keeps no more. */
static void fill_to_the_brim(void)
{
	twins_fill();
	twins.b.cache->of_peer_max = TWINS_POOL;
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
}

START_TEST(the_oldest_unused_gives_way)
{
	struct http2 *newcomers[TWINS_POOL];
	struct conn_listing before, listing;
	unsigned int i;

	fill_to_the_brim();
	before = twins_list(&twins.b);
	for (i = 0; i < TWINS_POOL; i++) {
		newcomers[i] = come();
		ck_assert(!newcomer_has_ended);
		listing = twins_list(&twins.b);
		ck_assert_uint_eq(listing.count, TWINS_POOL);
		ck_assert_uint_gt(listing.entries[0].id, before.entries[i].id);
		ck_assert_uint_gt(listing.entries[TWINS_POOL - 1].id,
				  before.entries[TWINS_POOL - 1].id);
	}
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	/* However many there are, it is one event. */
	ck_assert_int_eq(twins.b.refused, 1);
	ck_assert_str_eq(twins.b.reason,
			 "'a' has 4 connections open already: unused ones give way");
	for (i = 0; i < TWINS_POOL; i++)
		http2_abort(newcomers[i]);
	strangers_wanted = 0;
	twins_run_until(strangers_are_in);
	/* Those that went are not counted for ever. */
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_is_full);
}
END_TEST

enum { RESET_CANCEL = 8 }; /* RFC 9113, 7 */

static void on_deaf_close(void *ctx, int64_t code)
{
	(void)ctx;
	(void)code;
}

static const struct http2_stream_callbacks deaf = {.on_close = on_deaf_close};

static bool all_are_asked(void)
{
	return twins.b.requests == TWINS_POOL;
}

static struct http2_stream *keep_asking(struct http2 *http2)
{
	const struct http2_field head[] = {
		{":method", "POST"}, {":scheme", "https"}, {":authority", "b"}, {":path", "/"}};
	struct http2_stream *stream = NULL;

	ck_assert_int_eq(http2_stream_open(http2, head, 4, &deaf, NULL, &stream), 0);
	return stream;
}

START_TEST(what_is_in_use_does_not_give_way)
{
	struct http2_stream *streams[TWINS_POOL];
	struct conn *conns[TWINS_POOL];
	unsigned int i;

	fill_to_the_brim();
	twins.b.keeps_requests = true;
	keep_asking(twins.a.heartbeat);
	for (i = 1; i < TWINS_POOL; i++) {
		conns[i] = twins_lease();
		streams[i] = keep_asking(conn_http2(conns[i]));
	}
	twins_run_until(all_are_asked);
	http2_abort(come());
	ck_assert(newcomer_has_ended);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	for (i = 1; i < TWINS_POOL; i++)
		ck_assert_ptr_nonnull(conn_http2(conns[i]));
	/* Only what is in use. */
	http2_stream_reset(streams[2], RESET_CANCEL);
	twins_run_for(50);
	http2_abort(come());
	ck_assert(!newcomer_has_ended);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	for (i = 1; i < TWINS_POOL; i++) {
		ck_assert_int_eq(!conn_http2(conns[i]), i == 2);
		conn_return(conns[i], false);
	}
	ck_assert_int_eq(twins.b.refused, 1);
}
END_TEST

/* ---- what is asked ---- */

static int answer_code; /* 1: not yet */
static char answer_status[16];

static void on_answer_head(void *ctx, const struct http2_head *head)
{
	const char *status = head->value[HTTP2_GRPC_STATUS];

	(void)ctx;
	if (status)
		snprintf(answer_status, sizeof(answer_status), "%s", status);
}

static void on_answer_close(void *ctx, int64_t code)
{
	(void)ctx;
	answer_code = (int)code;
}

static const struct http2_stream_callbacks answer_callbacks = {
	.on_head = on_answer_head,
	.on_close = on_answer_close,
};

static bool is_answered(void)
{
	return answer_code != 1;
}

static void ask(const char *path)
{
	const struct http2_field head[] = {
		{":method", "POST"}, {":scheme", "https"}, {":authority", "b"}, {":path", path}};
	struct conn *conn = twins_lease();
	struct http2_stream *stream = NULL;

	answer_code = 1;
	answer_status[0] = '\0';
	ck_assert_int_eq(
		http2_stream_open(conn_http2(conn), head, 4, &answer_callbacks, NULL, &stream), 0);
	ck_assert_int_eq(http2_stream_end(stream, NULL, 0), 0);
	twins_run_until(is_answered);
	ck_assert_int_eq(answer_code, 0);
	conn_return(conn, false);
}

START_TEST(hands_on_what_is_asked)
{
	if (_i) {
		twins_close();
		setup_client();
	}
	twins_fill();
	ask("/knell.v1.Peer/Ping");
	ck_assert_int_eq(twins.b.requests, 1);
	ck_assert_ptr_eq(twins.b.asked_by, _i ? NULL : twins_peer(&twins.b));
	ck_assert_str_eq(twins.b.path, "/knell.v1.Peer/Ping");
	ck_assert_str_eq(answer_status, "0");
	twins.b.takes_no_request = true;
	ask("/knell.v1.Peer/Pong");
	ck_assert_str_eq(twins.b.path, "/knell.v1.Peer/Pong");
	ck_assert_str_eq(answer_status, HTTP2_GRPC_UNIMPLEMENTED);
	ck_assert_int_eq(twins.a.requests, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn_accept");
	TCase *tc = twins_case(suite, "strangers", twins_setup);

	tcase_add_test(tc, caps_strangers_of_one_source);
	tcase_add_test(tc, caps_strangers_in_all);
	tcase_add_test(tc, the_oldest_unused_gives_way);
	tcase_add_test(tc, what_is_in_use_does_not_give_way);
	tcase_add_loop_test(tc, hands_on_what_is_asked, 0, 2);
	tcase_add_test(tc, no_address_is_a_peers_name);
	tcase_add_test(twins_case(suite, "nobody", setup_stranger), turns_strangers_away);
	tc = twins_case(suite, "clients", setup_client);
	tcase_add_test(tc, admits_a_client);
	tcase_add_test(tc, admits_only_whom_it_is_told_to);
	tcase_add_test(tc, bounds_the_clients);
	return twins_run(suite);
}
