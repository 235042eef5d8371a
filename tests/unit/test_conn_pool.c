// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: leases, in whatever order they are taken, given back and cut off.
 * See conn_pair.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn_pair.h"

enum { POOLED = PAIR_POOL - 1 };

START_TEST(leases_the_least_leased_and_oldest)
{
	struct conn *first[POOLED];
	unsigned int i, j;

	pair_fill();
	for (i = 0; i < POOLED; i++) {
		first[i] = pair_lease();
		for (j = 0; j < i; j++)
			ck_assert_ptr_ne(first[i], first[j]);
		ck_assert_ptr_ne(conn_http2(first[i]), pair.a.heartbeat);
	}
	/* All leased once: the oldest lease comes first. */
	for (i = 0; i < POOLED; i++)
		ck_assert_ptr_eq(pair_lease(), first[i]);
	/* One that has fewer leases comes before one that was leased longer ago. */
	conn_return(first[2], false);
	ck_assert_ptr_eq(pair_lease(), first[2]);
	for (i = 0; i < PAIR_POOL; i++) {
		const struct conn_info info = pair_list(&pair.a).entries[i];

		ck_assert_int_eq(info.state, i ? CONN_LEASED : CONN_READY);
		ck_assert_uint_eq(info.leases, i ? 2 : 0); /* the heartbeat's is the first */
	}
	for (i = 0; i < POOLED; i++) {
		conn_return(first[i], false);
		conn_return(first[i], false);
	}
	for (i = 0; i < PAIR_POOL; i++)
		ck_assert_int_eq(pair_list(&pair.a).entries[i].state, CONN_READY);
	pair_run_for(50);
	ck_assert_uint_eq(pair_list(&pair.a).ready, PAIR_POOL);
}
END_TEST

/* Never more leases than the peer allows streams; then the heartbeat's connection; then nothing. */
START_TEST(leases_no_more_than_streams)
{
	static struct conn *leases[PAIR_POOL * HTTP2_STREAMS_MAX];
	struct conn *conn = NULL;
	unsigned int i;

	pair_fill();
	for (i = 0; i < PAIR_POOL * HTTP2_STREAMS_MAX; i++) {
		leases[i] = pair_lease();
		ck_assert_int_eq(conn_http2(leases[i]) == pair.a.heartbeat,
				 i >= POOLED * HTTP2_STREAMS_MAX);
	}
	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -EAGAIN);
	for (i = 0; i < PAIR_POOL; i++)
		ck_assert_uint_eq(pair_list(&pair.a).entries[i].leases, HTTP2_STREAMS_MAX);
	conn_return(leases[7], false);
	conn = pair_lease();
	ck_assert_ptr_eq(conn, leases[7]);
	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -EAGAIN);
	for (i = 0; i < PAIR_POOL * HTTP2_STREAMS_MAX; i++)
		conn_return(leases[i], false);
}
END_TEST

/* What is left when nothing is pooled. */
START_TEST(leases_the_heartbeats_when_it_is_alone)
{
	struct conn_limits limits = pair_limits;
	struct conn *conn;

	limits.per_peer = 1;
	pair_reopen(&limits, false);
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_until(pair_has_heartbeat);
	conn = pair_lease();
	ck_assert_ptr_eq(conn_http2(conn), pair.a.heartbeat);
	conn_return(conn, false);
	pair_run_for(50);
	ck_assert_uint_eq(pair_list(&pair.a).count, 1);
}
END_TEST

START_TEST(refuses_a_lease_at_once)
{
	static const uint16_t usable[] = {VERDICT_NEW, VERDICT_ALIVE, VERDICT_DEGRADED,
					  VERDICT_SUSPECT};
	struct conn *conn = NULL, *kept = (struct conn *)&conn;
	size_t i;

	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -EAGAIN);
	ck_assert_ptr_null(conn);
	pair_fill();
	for (i = 0; i < sizeof(usable) / sizeof(usable[0]); i++) {
		pair_peer(&pair.a)->state = usable[i];
		conn_return(pair_lease(), false);
	}
	conn = kept;
	pair_peer(&pair.a)->state = VERDICT_LOST;
	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -EHOSTDOWN);
	pair_peer(&pair.a)->state = VERDICT_DEAD;
	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -EHOSTDOWN);
	pair_peer(&pair.a)->state = VERDICT_ISOLATED;
	ck_assert_int_eq(conn_lease(pair.a.cache, pair_peer(&pair.a), &conn), -ENETDOWN);
	ck_assert_ptr_eq(conn, kept);
	/* What b accepted from a leads the other way and is not lent. */
	ck_assert_int_eq(conn_lease(pair.b.cache, pair_peer(&pair.b), &conn), -EAGAIN);
	ck_assert(!conn_has(pair.b.cache, pair_peer(&pair.b)));
}
END_TEST

START_TEST(replaces_what_is_returned_as_failed)
{
	uint64_t newest = 0;
	struct conn_listing listing;
	unsigned int i;

	pair_fill();
	for (i = 0; i < 2; i++)
		conn_return(pair_lease(), true);
	ck_assert_uint_eq(pair_list(&pair.a).count, PAIR_POOL - 2);
	pair_run_until(pair_is_full);
	listing = pair_list(&pair.a);
	for (i = 0; i < PAIR_POOL; i++)
		if (listing.entries[i].id > newest)
			newest = listing.entries[i].id;
	ck_assert_uint_eq(newest, PAIR_POOL + 2); /* ids are never used twice */
	ck_assert(pair.a.single_flight);
}
END_TEST

/* One connection with two leaseholders. */
static struct conn *lease_twice(void)
{
	struct conn *conn, *others[POOLED - 1];
	unsigned int i;

	pair_fill();
	conn = pair_lease();
	for (i = 0; i < POOLED - 1; i++)
		others[i] = pair_lease();
	ck_assert_ptr_eq(pair_lease(), conn);
	for (i = 0; i < POOLED - 1; i++)
		conn_return(others[i], false);
	return conn;
}

static bool is_whole_again(void)
{
	return pair_is_full() && conn_has(pair.a.cache, pair_peer(&pair.a));
}

START_TEST(evicted_lease_lives_until_its_last_return)
{
	struct conn *conn = lease_twice(), *fresh;
	unsigned int i;

	ck_assert_uint_eq(conn_evict_peer(pair.a.cache, pair_peer(&pair.a), "gone"), PAIR_POOL);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_str_eq(conn_reason(conn), "gone");
	ck_assert_uint_eq(pair_list(&pair.a).count, 0);
	pair_run_until(is_whole_again); /* its socket is gone though both leases are out */
	for (i = 0; i < PAIR_POOL; i++) {
		fresh = pair_lease();
		ck_assert_ptr_ne(fresh, conn); /* and its memory is nobody else's */
		conn_return(fresh, false);
	}
	/* Failed or not: it has ended already. */
	conn_return(conn, _i);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, _i);
	pair_run_for(100);
	ck_assert_uint_eq(pair_list(&pair.a).ready,
			  PAIR_POOL); /* nothing was ended or dialled on top */
	ck_assert_int_eq(pair.a.dialled, PAIR_POOL + PAIR_POOL);
}
END_TEST

START_TEST(failed_return_ends_it_for_all)
{
	struct conn *conn = lease_twice();
	uint64_t id = pair_list(&pair.a).entries[1].id;

	ck_assert_str_eq(conn_reason(conn), "");
	conn_return(conn, true);
	ck_assert_str_eq(conn_reason(conn), "another call on the connection failed");
	ck_assert_uint_eq(pair_list(&pair.a).count, PAIR_POOL - 1);
	ck_assert_int_eq(conn_evict_id(pair.a.cache, id, "gone"), -ENOENT);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_int_eq(pair.a.heartbeat_ends, 0);
	pair_run_until(is_whole_again);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, true);
	pair_run_for(100);
	ck_assert_uint_eq(pair_list(&pair.a).ready, PAIR_POOL);
	ck_assert_int_eq(pair.a.dialled, PAIR_POOL + 1);
}
END_TEST

static bool has_lost_one(void)
{
	return pair_list(&pair.a).count < PAIR_POOL;
}

START_TEST(peer_ends_what_is_leased)
{
	struct conn *conn = lease_twice();

	conn_evict_peer(pair.b.cache, pair_peer(&pair.b), "gone");
	pair_run_until(has_lost_one);
	pair_run_until(is_whole_again);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_msg(strstr(conn_reason(conn), "reset"), "%s", conn_reason(conn));
	conn_return(conn, false);
	conn_return(conn, false);
}
END_TEST

/* With the last lease returned before the loop frees the rest, after it, and after the loop. */
START_TEST(cache_closes_while_leased)
{
	struct conn *conn = lease_twice();

	conn_cache_close(pair.a.cache);
	pair.a.cache = NULL;
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_str_eq(conn_reason(conn), "this node's agent stops");
	conn_return(conn, false);
	if (_i == 1)
		pair_run_for(20);
	if (_i == 2) {
		pair_close();
		ck_assert_str_eq(conn_reason(conn), "this node's agent stops");
		conn_return(conn, true);
		pair_setup();
	} else {
		ck_assert_ptr_null(conn_http2(conn));
		conn_return(conn, true);
	}
}
END_TEST

/* Each keeps its own, whatever ends afterwards. */
START_TEST(tells_each_why_it_ended)
{
	struct conn *by_id, *by_cookie, *by_verdict;
	struct conn_listing listing;
	unsigned int i;

	pair_fill();
	by_id = pair_lease();
	by_cookie = pair_lease();
	by_verdict = pair_lease();
	/* Whom a lease is of can be told by its socket. */
	listing = pair_list(&pair.a);
	for (i = 0; i < listing.count; i++) {
		const struct conn_info *info = &listing.entries[i];

		if (conn_http2(by_id) && info->fd == http2_fd(conn_http2(by_id)))
			ck_assert_int_eq(conn_evict_id(pair.a.cache, info->id, "by hand"), 0);
		else if (conn_http2(by_cookie) && info->fd == http2_fd(conn_http2(by_cookie)))
			ck_assert_int_eq(
				conn_evict_cookie(pair.a.cache, info->cookie, "it stalled"), 0);
	}
	ck_assert_uint_eq(conn_evict_peer(pair.a.cache, pair_peer(&pair.a), "b is dead: silence"),
			  2);
	ck_assert_str_eq(conn_reason(by_id), "by hand");
	ck_assert_str_eq(conn_reason(by_cookie), "it stalled");
	ck_assert_str_eq(conn_reason(by_verdict), "b is dead: silence");
	conn_return(by_verdict, true);
	pair_run_until(is_whole_again);
	ck_assert_uint_eq(conn_clear(pair.a.cache, "all"), PAIR_POOL);
	ck_assert_str_eq(conn_reason(by_id), "by hand");
	ck_assert_str_eq(conn_reason(by_cookie), "it stalled");
	conn_return(by_id, false);
	conn_return(by_cookie, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn_pool");
	TCase *tc = pair_case(suite, "leases", pair_setup);

	tcase_add_test(tc, leases_the_least_leased_and_oldest);
	tcase_add_test(tc, leases_no_more_than_streams);
	tcase_add_test(tc, leases_the_heartbeats_when_it_is_alone);
	tcase_add_test(tc, refuses_a_lease_at_once);
	tcase_add_test(tc, replaces_what_is_returned_as_failed);
	tcase_add_test(tc, failed_return_ends_it_for_all);
	tcase_add_test(tc, peer_ends_what_is_leased);
	tcase_add_test(tc, tells_each_why_it_ended);
	tcase_add_loop_test(tc, evicted_lease_lives_until_its_last_return, 0, 2);
	tcase_add_loop_test(tc, cache_closes_while_leased, 0, 3);
	return pair_run(suite);
}
