// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: leases, in whatever order they are taken, given back and cut off.
 * See conn_twins.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn_twins.h"

enum { POOLED = TWINS_POOL - 1 };

START_TEST(leases_the_least_leased_and_oldest)
{
	struct conn *first[POOLED];
	unsigned int i, j;

	twins_fill();
	for (i = 0; i < POOLED; i++) {
		first[i] = twins_lease();
		for (j = 0; j < i; j++)
			ck_assert_ptr_ne(first[i], first[j]);
		ck_assert_ptr_ne(conn_http2(first[i]), twins.a.heartbeat);
	}
	/* All leased once: the oldest lease comes first. */
	for (i = 0; i < POOLED; i++)
		ck_assert_ptr_eq(twins_lease(), first[i]);
	/* One that has fewer leases comes before one that was leased longer ago. */
	conn_return(first[2], false);
	ck_assert_ptr_eq(twins_lease(), first[2]);
	for (i = 0; i < TWINS_POOL; i++) {
		const struct conn_info info = twins_list(&twins.a).entries[i];

		ck_assert_int_eq(info.state, i ? CONN_LEASED : CONN_READY);
		ck_assert_uint_eq(info.leases, i ? 2 : 0); /* the heartbeat's is the first */
	}
	for (i = 0; i < POOLED; i++) {
		conn_return(first[i], false);
		conn_return(first[i], false);
	}
	for (i = 0; i < TWINS_POOL; i++)
		ck_assert_int_eq(twins_list(&twins.a).entries[i].state, CONN_READY);
	twins_run_for(50);
	ck_assert_uint_eq(twins_list(&twins.a).ready, TWINS_POOL);
}
END_TEST

/* Never more leases than the peer allows streams; then the heartbeat's connection; then nothing. */
START_TEST(leases_no_more_than_streams)
{
	static struct conn *leases[TWINS_POOL * HTTP2_STREAMS_MAX];
	struct conn *conn = NULL;
	unsigned int i;

	twins_fill();
	for (i = 0; i < TWINS_POOL * HTTP2_STREAMS_MAX; i++) {
		leases[i] = twins_lease();
		ck_assert_int_eq(conn_http2(leases[i]) == twins.a.heartbeat,
				 i >= POOLED * HTTP2_STREAMS_MAX);
	}
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EAGAIN);
	for (i = 0; i < TWINS_POOL; i++)
		ck_assert_uint_eq(twins_list(&twins.a).entries[i].leases, HTTP2_STREAMS_MAX);
	conn_return(leases[7], false);
	conn = twins_lease();
	ck_assert_ptr_eq(conn, leases[7]);
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EAGAIN);
	for (i = 0; i < TWINS_POOL * HTTP2_STREAMS_MAX; i++)
		conn_return(leases[i], false);
}
END_TEST

/* What is left when nothing is pooled. */
START_TEST(leases_the_heartbeats_when_it_is_alone)
{
	struct conn_limits limits = twins_limits;
	struct conn *conn;

	limits.per_peer = 1;
	twins_reopen(&limits, false);
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_heartbeat);
	conn = twins_lease();
	ck_assert_ptr_eq(conn_http2(conn), twins.a.heartbeat);
	conn_return(conn, false);
	twins_run_for(50);
	ck_assert_uint_eq(twins_list(&twins.a).count, 1);
}
END_TEST

START_TEST(refuses_a_lease_at_once)
{
	static const uint16_t usable[] = {VERDICT_NEW, VERDICT_ALIVE, VERDICT_DEGRADED,
					  VERDICT_SUSPECT};
	struct conn *conn = NULL, *kept = (struct conn *)&conn;
	size_t i;

	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EAGAIN);
	ck_assert_ptr_null(conn);
	twins_fill();
	for (i = 0; i < sizeof(usable) / sizeof(usable[0]); i++) {
		twins_peer(&twins.a)->state = usable[i];
		conn_return(twins_lease(), false);
	}
	conn = kept;
	twins_peer(&twins.a)->state = VERDICT_LOST;
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EHOSTDOWN);
	twins_peer(&twins.a)->state = VERDICT_DEAD;
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EHOSTDOWN);
	twins_peer(&twins.a)->state = VERDICT_ISOLATED;
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -ENETDOWN);
	ck_assert_ptr_eq(conn, kept);
	/* What b accepted from a leads the other way and is not lent. */
	ck_assert_int_eq(conn_lease(twins.b.cache, twins_peer(&twins.b), &conn), -EAGAIN);
	ck_assert(!conn_has(twins.b.cache, twins_peer(&twins.b)));
}
END_TEST

START_TEST(replaces_what_is_returned_as_failed)
{
	uint64_t newest = 0;
	struct conn_listing listing;
	unsigned int i;

	twins_fill();
	for (i = 0; i < 2; i++)
		conn_return(twins_lease(), true);
	ck_assert_uint_eq(twins_list(&twins.a).count, TWINS_POOL - 2);
	twins_run_until(twins_is_full);
	listing = twins_list(&twins.a);
	for (i = 0; i < TWINS_POOL; i++)
		if (listing.entries[i].id > newest)
			newest = listing.entries[i].id;
	ck_assert_uint_eq(newest, TWINS_POOL + 2); /* ids are never used twice */
	ck_assert(twins.a.single_flight);
}
END_TEST

/* One connection with two leaseholders. */
static struct conn *lease_twice(void)
{
	struct conn *conn, *others[POOLED - 1];
	unsigned int i;

	twins_fill();
	conn = twins_lease();
	for (i = 0; i < POOLED - 1; i++)
		others[i] = twins_lease();
	ck_assert_ptr_eq(twins_lease(), conn);
	for (i = 0; i < POOLED - 1; i++)
		conn_return(others[i], false);
	return conn;
}

static bool is_whole_again(void)
{
	return twins_is_full() && conn_has(twins.a.cache, twins_peer(&twins.a));
}

START_TEST(evicted_lease_lives_until_its_last_return)
{
	struct conn *conn = lease_twice(), *fresh;
	unsigned int i;

	ck_assert_uint_eq(conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "gone"), TWINS_POOL);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_str_eq(conn_reason(conn), "gone");
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	twins_run_until(is_whole_again); /* its socket is gone though both leases are out */
	for (i = 0; i < TWINS_POOL; i++) {
		fresh = twins_lease();
		ck_assert_ptr_ne(fresh, conn); /* and its memory is nobody else's */
		conn_return(fresh, false);
	}
	/* Failed or not: it has ended already. */
	conn_return(conn, _i);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, _i);
	twins_run_for(100);
	ck_assert_uint_eq(twins_list(&twins.a).ready,
			  TWINS_POOL); /* nothing was ended or dialled on top */
	ck_assert_int_eq(twins.a.dialled, TWINS_POOL + TWINS_POOL);
}
END_TEST

START_TEST(failed_return_ends_it_for_all)
{
	struct conn *conn = lease_twice();
	uint64_t id = twins_list(&twins.a).entries[1].id;

	ck_assert_str_eq(conn_reason(conn), "");
	conn_return(conn, true);
	ck_assert_str_eq(conn_reason(conn), "another call on the connection failed");
	ck_assert_uint_eq(twins_list(&twins.a).count, TWINS_POOL - 1);
	ck_assert_int_eq(conn_evict_id(twins.a.cache, id, "gone"), -ENOENT);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	twins_run_until(is_whole_again);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, true);
	twins_run_for(100);
	ck_assert_uint_eq(twins_list(&twins.a).ready, TWINS_POOL);
	ck_assert_int_eq(twins.a.dialled, TWINS_POOL + 1);
}
END_TEST

static bool has_lost_one(void)
{
	return twins_list(&twins.a).count < TWINS_POOL;
}

START_TEST(peer_ends_what_is_leased)
{
	struct conn *conn = lease_twice();

	conn_evict_peer(twins.b.cache, twins_peer(&twins.b), "gone");
	twins_run_until(has_lost_one);
	twins_run_until(is_whole_again);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_msg(strstr(conn_reason(conn), "reset"), "%s", conn_reason(conn));
	conn_return(conn, false);
	conn_return(conn, false);
}
END_TEST

/* ---- the peer says GOAWAY ---- */

static int deaf_closes;

static void on_deaf_close(void *ctx, int64_t code)
{
	(void)ctx;
	(void)code;
	deaf_closes++;
}

/* A call that b takes and does not answer. */
static struct http2_stream *keep_asking(struct conn *conn)
{
	static const struct http2_stream_callbacks deaf = {.on_close = on_deaf_close};
	const struct http2_field head[] = {
		{":method", "POST"}, {":scheme", "https"}, {":authority", "b"}, {":path", "/"}};
	struct http2_stream *stream = NULL;

	ck_assert_int_eq(http2_stream_open(conn_http2(conn), head, 4, &deaf, NULL, &stream), 0);
	return stream;
}

static bool b_is_asked(void)
{
	return twins.b.requests;
}

static bool one_retires(void)
{
	return twins_list(&twins.a).retiring;
}

static struct conn *granted;

static void on_granted(struct conn_wait *wait, int err, const char *reason, struct conn *conn)
{
	(void)wait;
	ck_assert_msg(!err, "%s", reason);
	granted = conn;
}

static bool is_granted(void)
{
	return granted;
}

static unsigned int ready_wanted;

static bool are_ready(void)
{
	return twins_list(&twins.a).ready == ready_wanted;
}

enum { CANCEL = 8 }; /* RFC 9113, 7 */

/*
 * Of one, which is the heartbeat's, or of two, of which the pooled one is leased. By no timer:
 * these connections are never idle, old or pinged.
 */
START_TEST(replaces_at_once_what_leaves)
{
	struct conn_wait wait = {.granted = on_granted};
	struct conn_limits limits = twins_limits;
	struct http2_stream *stream;
	struct conn *kept, *conn;
	uint64_t left_ns;

	limits.per_peer = ready_wanted = _i;
	twins_reopen(&limits, false);
	twins.b.keeps_requests = true;
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(are_ready);
	kept = twins_lease();
	stream = keep_asking(kept);
	twins_run_until(b_is_asked);
	twins_goaway();
	twins_run_until(one_retires);
	left_ns = loop_now_ns(twins.loop);
	ck_assert_uint_eq(twins_list(&twins.a).ready, 0);
	ck_assert(!conn_has(twins.a.cache, twins_peer(&twins.a)));
	ck_assert_int_eq(twins.a.heartbeat_ends, 1);
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EAGAIN);
	ck_assert_int_eq(conn_wait(twins.a.cache, twins_peer(&twins.a), &wait), 0);
	twins_run_until(is_granted);
	ck_assert_uint_lt(loop_now_ns(twins.loop) - left_ns, 1000 * NS_PER_MS);
	ck_assert_ptr_ne(granted, kept);
	ck_assert_int_eq(twins.a.heartbeats, 2);
	twins_run_until(are_ready);
	/* What was begun goes on. */
	ck_assert_ptr_nonnull(conn_http2(kept));
	ck_assert_int_eq(deaf_closes, 0);
	http2_stream_reset(stream, CANCEL);
	conn_return(granted, false);
	conn_return(kept, false);
	ck_assert_uint_eq(twins_list(&twins.a).retiring, 0);
	twins_run_for(100);
	ck_assert_int_eq(twins.a.dialled, _i + _i);
}
END_TEST

static bool b_is_met(void)
{
	return twins.a.prepared;
}

static bool b_has_said_enough(void)
{
	twins_goaway();
	return twins.a.prepared >= 6;
}

/* On each connection as soon as it can: dialled again, but with pauses. */
START_TEST(backs_off_from_who_always_leaves)
{
	uint64_t began_ns;

	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(b_is_met);
	began_ns = loop_now_ns(twins.loop);
	twins_run_until(b_has_said_enough);
	/* Half of 50 + 100 + 200 + 400 + 800 ms at least. */
	ck_assert_uint_gt(loop_now_ns(twins.loop) - began_ns, 775 * NS_PER_MS);
}
END_TEST

/* With the last lease returned before the loop frees the rest, after it, and after the loop. */
START_TEST(cache_closes_while_leased)
{
	struct conn *conn = lease_twice();

	conn_cache_close(twins.a.cache);
	twins.a.cache = NULL;
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_str_eq(conn_reason(conn), "this node's agent stops");
	conn_return(conn, false);
	if (_i == 1)
		twins_run_for(20);
	if (_i == 2) {
		twins_close();
		ck_assert_str_eq(conn_reason(conn), "this node's agent stops");
		conn_return(conn, true);
		twins_setup();
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

	twins_fill();
	by_id = twins_lease();
	by_cookie = twins_lease();
	by_verdict = twins_lease();
	/* Whom a lease is of can be told by its socket. */
	listing = twins_list(&twins.a);
	for (i = 0; i < listing.count; i++) {
		const struct conn_info *info = &listing.entries[i];

		if (conn_http2(by_id) && info->fd == http2_fd(conn_http2(by_id)))
			ck_assert_int_eq(conn_evict_id(twins.a.cache, info->id, "by hand"), 0);
		else if (conn_http2(by_cookie) && info->fd == http2_fd(conn_http2(by_cookie)))
			ck_assert_int_eq(
				conn_evict_cookie(twins.a.cache, info->cookie, "it stalled"), 0);
	}
	ck_assert_uint_eq(
		conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "b is dead: silence"), 2);
	ck_assert_str_eq(conn_reason(by_id), "by hand");
	ck_assert_str_eq(conn_reason(by_cookie), "it stalled");
	ck_assert_str_eq(conn_reason(by_verdict), "b is dead: silence");
	conn_return(by_verdict, true);
	twins_run_until(is_whole_again);
	ck_assert_uint_eq(conn_clear(twins.a.cache, "all"), TWINS_POOL);
	ck_assert_str_eq(conn_reason(by_id), "by hand");
	ck_assert_str_eq(conn_reason(by_cookie), "it stalled");
	conn_return(by_id, false);
	conn_return(by_cookie, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn_pool");
	TCase *tc = twins_case(suite, "leases", twins_setup);

	tcase_add_test(tc, leases_the_least_leased_and_oldest);
	tcase_add_test(tc, leases_no_more_than_streams);
	tcase_add_test(tc, leases_the_heartbeats_when_it_is_alone);
	tcase_add_test(tc, refuses_a_lease_at_once);
	tcase_add_test(tc, replaces_what_is_returned_as_failed);
	tcase_add_test(tc, failed_return_ends_it_for_all);
	tcase_add_test(tc, peer_ends_what_is_leased);
	tcase_add_loop_test(tc, replaces_at_once_what_leaves, 1, 3);
	tcase_add_test(tc, backs_off_from_who_always_leaves);
	tcase_add_test(tc, tells_each_why_it_ended);
	tcase_add_loop_test(tc, evicted_lease_lives_until_its_last_return, 0, 2);
	tcase_add_loop_test(tc, cache_closes_while_leased, 0, 3);
	return twins_run(suite);
}
