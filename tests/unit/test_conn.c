// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: who is dialled and when, and what is let go of. See conn_twins.h.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_twins.h"

START_TEST(fills_the_pool)
{
	struct conn_listing listing;
	unsigned int i;

	ck_assert(!conn_has(twins.a.cache, twins_peer(&twins.a)));
	twins_run_for(100);
	ck_assert_uint_eq(twins_list(&twins.a).count, 0); /* not allowed yet */
	twins_fill();
	listing = twins_list(&twins.a);
	ck_assert(conn_has(twins.a.cache, twins_peer(&twins.a)));
	ck_assert_int_eq(twins.a.first_role, CONN_HEARTBEAT);
	ck_assert(twins.a.single_flight);
	ck_assert_int_eq(twins.a.prepared, TWINS_POOL);
	ck_assert_int_eq(twins.a.dialled, TWINS_POOL);
	ck_assert_int_eq(twins.a.heartbeats, 1);
	for (i = 0; i < TWINS_POOL; i++) {
		ck_assert_int_eq(listing.entries[i].role, i ? CONN_POOL : CONN_HEARTBEAT);
		ck_assert_int_eq(listing.entries[i].state, CONN_READY);
		ck_assert_uint_ne(listing.entries[i].cookie, 0);
		ck_assert_int_ge(listing.entries[i].fd, 0);
		ck_assert(!i || listing.entries[i].id > listing.entries[i - 1].id);
	}
	listing = twins_list(&twins.b);
	for (i = 0; i < TWINS_POOL; i++) {
		ck_assert_int_eq(listing.entries[i].role, CONN_ACCEPTED);
		ck_assert_ptr_eq(listing.entries[i].peer, twins_peer(&twins.b));
	}
	twins_run_for(100);
	ck_assert_uint_eq(twins_list(&twins.a).count, TWINS_POOL);
}
END_TEST

static bool has_ack(void)
{
	return twins.a.acks;
}

START_TEST(carries_pings)
{
	twins_fill();
	ck_assert_int_eq(http2_ping(twins.a.heartbeat, (const uint8_t *)"12345678"), 0);
	twins_run_until(has_ack);
	ck_assert_int_eq(twins.b.pings, 1);
	ck_assert_int_eq(twins.a.pings, 0);
}
END_TEST

START_TEST(evicts_a_peer)
{
	struct conn *conn;

	twins_fill();
	twins_lease();
	twins_peer(&twins.a)->state = VERDICT_DEAD;
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	ck_assert_uint_eq(conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "gone"), TWINS_POOL);
	/* At once, not when the loop has time. */
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	ck_assert(!conn_has(twins.a.cache, twins_peer(&twins.a)));
	ck_assert_int_eq(twins.a.heartbeat_ends, 1);
	ck_assert_uint_eq(conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "gone"), 0);
	twins_run_until(twins_is_empty);
	twins_run_for(200);
	ck_assert_int_eq(twins.a.prepared, TWINS_POOL); /* nobody dials the dead */
	twins_peer(&twins.a)->state = VERDICT_ALIVE;
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EAGAIN);
	twins_fill();
	ck_assert_int_eq(twins.a.heartbeats, 2);
}
END_TEST

START_TEST(evicts_what_was_accepted_too)
{
	twins_fill();
	ck_assert_uint_eq(conn_evict_peer(twins.b.cache, twins_peer(&twins.b), "gone"), TWINS_POOL);
	ck_assert_uint_eq(twins_list(&twins.b).count, 0);
	twins_run_until(twins_is_full); /* a sees them end and dials again */
	ck_assert(twins.a.single_flight);
}
END_TEST

START_TEST(evicts_one)
{
	struct conn_listing listing;
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	twins_fill();
	listing = twins_list(&twins.a);
	ck_assert_int_eq(
		getsockopt(listing.entries[2].fd, SOL_SOCKET, 57 /* SO_COOKIE */, &cookie, &size),
		0);
	ck_assert_uint_eq(cookie, listing.entries[2].cookie);
	ck_assert_int_eq(conn_evict_id(twins.a.cache, 9999, "gone"), -ENOENT);
	ck_assert_int_eq(conn_evict_cookie(twins.a.cache, 0, "gone"), -ENOENT);
	ck_assert_int_eq(conn_evict_cookie(twins.a.cache, cookie, "gone"), 0);
	ck_assert_int_eq(conn_evict_cookie(twins.a.cache, cookie, "gone"), -ENOENT);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	ck_assert_int_eq(conn_evict_id(twins.a.cache, listing.entries[0].id, "gone"), 0);
	ck_assert_int_eq(conn_evict_id(twins.a.cache, listing.entries[0].id, "gone"), -ENOENT);
	ck_assert_int_eq(twins.a.heartbeat_ends, 1); /* that one was the heartbeat's */
	ck_assert_ptr_null(twins.a.heartbeat);
	ck_assert_uint_eq(twins_list(&twins.a).count, TWINS_POOL - 2);
	twins_run_until(twins_is_full);
	ck_assert_ptr_nonnull(twins.a.heartbeat);
}
END_TEST

START_TEST(drops_the_idle_only)
{
	struct conn *leased;
	unsigned int i;
	struct conn_listing listing;

	twins_fill();
	twins_lease();
	leased = twins_lease();
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	ck_assert_uint_eq(conn_drop_idle(twins.a.cache, twins_peer(&twins.a)), TWINS_POOL - 3);
	listing = twins_list(&twins.a);
	ck_assert_uint_eq(listing.count, 3); /* these, and the heartbeat's */
	for (i = 0; i < listing.count; i++)
		ck_assert_int_eq(listing.entries[i].state,
				 listing.entries[i].role == CONN_POOL ? CONN_LEASED : CONN_READY);
	conn_return(leased, false);
	ck_assert_uint_eq(conn_drop_idle(twins.a.cache, twins_peer(&twins.a)), 1);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	twins_fill();
}
END_TEST

START_TEST(clears)
{
	twins_fill();
	ck_assert_uint_eq(conn_clear(twins.a.cache, "gone"), TWINS_POOL);
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	ck_assert_uint_eq(conn_clear(twins.a.cache, "gone"), 0);
	twins_run_until(twins_is_full);
	ck_assert_uint_eq(conn_clear(twins.b.cache, "gone"), TWINS_POOL);
	twins_run_until(twins_is_full);
}
END_TEST

/* After a flap the heartbeat comes at once, the rest when the hold-down is over. */
START_TEST(holds_down)
{
	uint64_t until_ns;

	twins_run_for(1);
	until_ns = loop_now_ns(twins.loop) + 400 * NS_PER_MS;
	twins_peer(&twins.a)->hold_until_ns = until_ns;
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_heartbeat);
	ck_assert_uint_lt(loop_now_ns(twins.loop), until_ns);
	while (loop_now_ns(twins.loop) + 50 * NS_PER_MS < until_ns) {
		twins_run_for(10);
		ck_assert_uint_eq(twins_list(&twins.a).count, 1);
	}
	twins_run_until(twins_is_full);
	ck_assert_uint_ge(loop_now_ns(twins.loop), until_ns);
}
END_TEST

START_TEST(stops_dialling_when_told)
{
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	ck_assert_uint_eq(twins_list(&twins.a).connecting, 1);
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	twins_run_for(200);
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	ck_assert_int_eq(twins.a.prepared, 1);
	ck_assert_int_eq(twins.a.dialled + twins.a.failed, 0);
	twins_fill();
}
END_TEST

START_TEST(backs_off_and_comes_back)
{
	uint16_t port = htons(listen_port(twins.listener));
	int attempts;

	listen_close(twins.listener);
	twins.listener = NULL;
	twins_run_for(20);
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_failed);
	ck_assert_int_eq(twins.a.last_error, -ECONNREFUSED);
	twins_run_for(1500);
	attempts = twins.a.prepared;
	/* At least half of 50, 100, 200, 400, 800 ms between two. */
	ck_assert_int_ge(attempts, 3);
	ck_assert_int_le(attempts, 7);
	ck_assert(twins.a.single_flight);
	twins_listen(port);
	twins_run_until(twins_is_full);
	/* Allowing anew is a reason to try at once. */
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "gone");
	twins_run_until(twins_is_empty);
	twins_fill();
}
END_TEST

static void setup_wrong_name(void)
{
	twins_open("a", "somebody", &twins_limits, false);
}

START_TEST(refuses_another_name)
{
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_failed);
	ck_assert_int_eq(twins.a.last_error, -EPROTO);
	ck_assert_msg(strstr(twins.a.reason, "expected somebody, got b"), "%s", twins.a.reason);
	twins_run_until(twins_has_refused);
	ck_assert_int_eq(twins.a.heartbeats, 0);
	ck_assert(!conn_has(twins.a.cache, twins_peer(&twins.a)));
}
END_TEST

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

/* Made and accepted, the heartbeat's and the pool's. */
START_TEST(keeps_alive)
{
	struct conn_limits limits = twins_limits;
	struct conn_listing listing;
	unsigned int i;

	limits.keepalive_s = 7;
	twins_reopen(&limits, false);
	twins_fill();
	listing = twins_list(&twins.a);
	for (i = 0; i < TWINS_POOL; i++) {
		ck_assert_int_eq(option(listing.entries[i].fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		ck_assert_int_eq(option(listing.entries[i].fd, IPPROTO_TCP, TCP_KEEPIDLE), 7);
		ck_assert_int_eq(option(listing.entries[i].fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
		ck_assert_int_eq(option(listing.entries[i].fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	}
	listing = twins_list(&twins.b);
	for (i = 0; i < TWINS_POOL; i++) {
		ck_assert_int_eq(option(listing.entries[i].fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		ck_assert_int_eq(option(listing.entries[i].fd, IPPROTO_TCP, TCP_KEEPIDLE), 10);
	}
	limits.keepalive_s = 0;
	twins_reopen(&limits, false);
	twins_fill();
	listing = twins_list(&twins.a);
	ck_assert_int_eq(option(listing.entries[0].fd, SOL_SOCKET, SO_KEEPALIVE), 0);
}
END_TEST

/* Whoever takes the connection and then says nothing. */
START_TEST(an_attempt_takes_no_longer_than_told)
{
	struct conn_limits limits = twins_limits;
	uint64_t began_ns;

	limits.connect_ns = 100 * NS_PER_MS;
	twins_reopen(&limits, true);
	twins.relay_stalled = true;
	twins_run_for(1);
	began_ns = loop_now_ns(twins.loop);
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_failed);
	ck_assert_int_eq(twins.a.last_error, -ETIMEDOUT);
	ck_assert_str_eq(twins.a.reason, "timed out: no TLS handshake after 100 ms");
	ck_assert_uint_ge(loop_now_ns(twins.loop) - began_ns, 100 * NS_PER_MS);
	twins.relay_stalled = false;
	twins_run_until(twins_is_full);
}
END_TEST

/* In every stage between nothing and a full pool. */
START_TEST(closes_at_any_stage)
{
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_for((unsigned int)_i);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn");
	TCase *tc = twins_case(suite, "dialling", twins_setup);

	tcase_add_test(tc, fills_the_pool);
	tcase_add_test(tc, carries_pings);
	tcase_add_test(tc, evicts_a_peer);
	tcase_add_test(tc, evicts_what_was_accepted_too);
	tcase_add_test(tc, evicts_one);
	tcase_add_test(tc, drops_the_idle_only);
	tcase_add_test(tc, clears);
	tcase_add_test(tc, holds_down);
	tcase_add_test(tc, stops_dialling_when_told);
	tcase_add_test(tc, backs_off_and_comes_back);
	tcase_add_test(tc, keeps_alive);
	tcase_add_test(tc, an_attempt_takes_no_longer_than_told);
	tcase_add_loop_test(tc, closes_at_any_stage, 0, 12);
	tcase_add_test(twins_case(suite, "names", setup_wrong_name), refuses_another_name);
	return twins_run(suite);
}
