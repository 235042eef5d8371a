// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: who is dialled and when, and what is let go of. See conn_pair.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_pair.h"

START_TEST(fills_the_pool)
{
	struct conn_listing listing;
	unsigned int i;

	ck_assert(!conn_has(pair.a.cache, pair_peer(&pair.a)));
	pair_run_for(100);
	ck_assert_uint_eq(pair_list(&pair.a).count, 0); /* not allowed yet */
	pair_fill();
	listing = pair_list(&pair.a);
	ck_assert(conn_has(pair.a.cache, pair_peer(&pair.a)));
	ck_assert_int_eq(pair.a.first_role, CONN_HEARTBEAT);
	ck_assert(pair.a.single_flight);
	ck_assert_int_eq(pair.a.prepared, PAIR_POOL);
	ck_assert_int_eq(pair.a.dialled, PAIR_POOL);
	ck_assert_int_eq(pair.a.heartbeats, 1);
	for (i = 0; i < PAIR_POOL; i++) {
		ck_assert_int_eq(listing.entries[i].role, i ? CONN_POOL : CONN_HEARTBEAT);
		ck_assert_int_eq(listing.entries[i].state, CONN_READY);
		ck_assert_uint_ne(listing.entries[i].cookie, 0);
		ck_assert_int_ge(listing.entries[i].fd, 0);
		ck_assert(!i || listing.entries[i].id > listing.entries[i - 1].id);
	}
	listing = pair_list(&pair.b);
	for (i = 0; i < PAIR_POOL; i++) {
		ck_assert_int_eq(listing.entries[i].role, CONN_ACCEPTED);
		ck_assert_ptr_eq(listing.entries[i].peer, pair_peer(&pair.b));
	}
	pair_run_for(100);
	ck_assert_uint_eq(pair_list(&pair.a).count, PAIR_POOL);
}
END_TEST

static bool has_ack(void)
{
	return pair.a.acks;
}

START_TEST(carries_pings)
{
	pair_fill();
	ck_assert_int_eq(http2_ping(pair.a.heartbeat, (const uint8_t *)"12345678"), 0);
	pair_run_until(has_ack);
	ck_assert_int_eq(pair.b.pings, 1);
	ck_assert_int_eq(pair.a.pings, 0);
}
END_TEST

START_TEST(evicts_a_peer)
{
	struct conn *conn;

	pair_fill();
	pair_lease();
	pair_peer(&pair.a)->state = VERDICT_DEAD;
	conn_allow(pair.a.cache, pair_peer(&pair.a), false);
	ck_assert_uint_eq(conn_evict_peer(pair.a.cache, pair_peer(&pair.a), "gone"), PAIR_POOL);
	/* At once, not when the loop has time. */
	ck_assert_uint_eq(pair_list(&pair.a).count, 0);
	ck_assert(!conn_has(pair.a.cache, pair_peer(&pair.a)));
	ck_assert_int_eq(pair.a.heartbeat_ends, 1);
	ck_assert_uint_eq(conn_evict_peer(pair.a.cache, pair_peer(&pair.a), "gone"), 0);
	pair_run_until(pair_is_empty);
	pair_run_for(200);
	ck_assert_int_eq(pair.a.prepared, PAIR_POOL); /* nobody dials the dead */
	pair_peer(&pair.a)->state = VERDICT_ALIVE;
	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -EAGAIN);
	pair_fill();
	ck_assert_int_eq(pair.a.heartbeats, 2);
}
END_TEST

START_TEST(evicts_what_was_accepted_too)
{
	pair_fill();
	ck_assert_uint_eq(conn_evict_peer(pair.b.cache, pair_peer(&pair.b), "gone"), PAIR_POOL);
	ck_assert_uint_eq(pair_list(&pair.b).count, 0);
	pair_run_until(pair_is_full); /* a sees them end and dials again */
	ck_assert(pair.a.single_flight);
}
END_TEST

START_TEST(evicts_one)
{
	struct conn_listing listing;
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	pair_fill();
	listing = pair_list(&pair.a);
	ck_assert_int_eq(
		getsockopt(listing.entries[2].fd, SOL_SOCKET, 57 /* SO_COOKIE */, &cookie, &size),
		0);
	ck_assert_uint_eq(cookie, listing.entries[2].cookie);
	ck_assert_int_eq(conn_evict_id(pair.a.cache, 9999, "gone"), -ENOENT);
	ck_assert_int_eq(conn_evict_cookie(pair.a.cache, 0, "gone"), -ENOENT);
	ck_assert_int_eq(conn_evict_cookie(pair.a.cache, cookie, "gone"), 0);
	ck_assert_int_eq(conn_evict_cookie(pair.a.cache, cookie, "gone"), -ENOENT);
	ck_assert_int_eq(pair.a.heartbeat_ends, 0);
	ck_assert_int_eq(conn_evict_id(pair.a.cache, listing.entries[0].id, "gone"), 0);
	ck_assert_int_eq(conn_evict_id(pair.a.cache, listing.entries[0].id, "gone"), -ENOENT);
	ck_assert_int_eq(pair.a.heartbeat_ends, 1); /* that one was the heartbeat's */
	ck_assert_ptr_null(pair.a.heartbeat);
	ck_assert_uint_eq(pair_list(&pair.a).count, PAIR_POOL - 2);
	pair_run_until(pair_is_full);
	ck_assert_ptr_nonnull(pair.a.heartbeat);
}
END_TEST

START_TEST(drops_the_idle_only)
{
	struct conn *leased;
	unsigned int i;
	struct conn_listing listing;

	pair_fill();
	pair_lease();
	leased = pair_lease();
	conn_allow(pair.a.cache, pair_peer(&pair.a), false);
	ck_assert_uint_eq(conn_drop_idle(pair.a.cache, pair_peer(&pair.a)), PAIR_POOL - 3);
	listing = pair_list(&pair.a);
	ck_assert_uint_eq(listing.count, 3); /* these, and the heartbeat's */
	for (i = 0; i < listing.count; i++)
		ck_assert_int_eq(listing.entries[i].state,
				 listing.entries[i].role == CONN_POOL ? CONN_LEASED : CONN_READY);
	conn_return(leased, false);
	ck_assert_uint_eq(conn_drop_idle(pair.a.cache, pair_peer(&pair.a)), 1);
	ck_assert_int_eq(pair.a.heartbeat_ends, 0);
	pair_fill();
}
END_TEST

START_TEST(clears)
{
	pair_fill();
	ck_assert_uint_eq(conn_clear(pair.a.cache, "gone"), PAIR_POOL);
	ck_assert_uint_eq(pair_list(&pair.a).count, 0);
	ck_assert_uint_eq(conn_clear(pair.a.cache, "gone"), 0);
	pair_run_until(pair_is_full);
	ck_assert_uint_eq(conn_clear(pair.b.cache, "gone"), PAIR_POOL);
	pair_run_until(pair_is_full);
}
END_TEST

/* After a flap the heartbeat comes at once, the rest when the hold-down is over. */
START_TEST(holds_down)
{
	uint64_t until_ns;

	pair_run_for(1);
	until_ns = loop_now_ns(pair.loop) + 400 * NS_PER_MS;
	pair_peer(&pair.a)->hold_until_ns = until_ns;
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_until(pair_has_heartbeat);
	ck_assert_uint_lt(loop_now_ns(pair.loop), until_ns);
	while (loop_now_ns(pair.loop) + 50 * NS_PER_MS < until_ns) {
		pair_run_for(10);
		ck_assert_uint_eq(pair_list(&pair.a).count, 1);
	}
	pair_run_until(pair_is_full);
	ck_assert_uint_ge(loop_now_ns(pair.loop), until_ns);
}
END_TEST

START_TEST(stops_dialling_when_told)
{
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	ck_assert_uint_eq(pair_list(&pair.a).connecting, 1);
	conn_allow(pair.a.cache, pair_peer(&pair.a), false);
	ck_assert_uint_eq(pair_list(&pair.a).count, 0);
	pair_run_for(200);
	ck_assert_uint_eq(pair_list(&pair.a).count, 0);
	ck_assert_int_eq(pair.a.prepared, 1);
	ck_assert_int_eq(pair.a.dialled + pair.a.failed, 0);
	pair_fill();
}
END_TEST

START_TEST(backs_off_and_comes_back)
{
	uint16_t port = htons(listen_port(pair.listener));
	int attempts;

	listen_close(pair.listener);
	pair.listener = NULL;
	pair_run_for(20);
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_until(pair_has_failed);
	ck_assert_int_eq(pair.a.last_error, -ECONNREFUSED);
	pair_run_for(1500);
	attempts = pair.a.prepared;
	/* At least half of 50, 100, 200, 400, 800 ms between two. */
	ck_assert_int_ge(attempts, 3);
	ck_assert_int_le(attempts, 7);
	ck_assert(pair.a.single_flight);
	pair_listen(port);
	pair_run_until(pair_is_full);
	/* Allowing anew is a reason to try at once. */
	conn_allow(pair.a.cache, pair_peer(&pair.a), false);
	conn_evict_peer(pair.a.cache, pair_peer(&pair.a), "gone");
	pair_run_until(pair_is_empty);
	pair_fill();
}
END_TEST

static void setup_wrong_name(void)
{
	pair_open("a", "somebody", &pair_limits, false);
}

START_TEST(refuses_another_name)
{
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_until(pair_has_failed);
	ck_assert_int_eq(pair.a.last_error, -EPROTO);
	ck_assert_msg(strstr(pair.a.reason, "expected somebody, got b"), "%s", pair.a.reason);
	pair_run_until(pair_has_refused);
	ck_assert_int_eq(pair.a.heartbeats, 0);
	ck_assert(!conn_has(pair.a.cache, pair_peer(&pair.a)));
}
END_TEST

/* In every stage between nothing and a full pool. */
START_TEST(closes_at_any_stage)
{
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_for((unsigned int)_i);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn");
	TCase *tc = pair_case(suite, "dialling", pair_setup);

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
	tcase_add_loop_test(tc, closes_at_any_stage, 0, 12);
	tcase_add_test(pair_case(suite, "names", setup_wrong_name), refuses_another_name);
	return pair_run(suite);
}
