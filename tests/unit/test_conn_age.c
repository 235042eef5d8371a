// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: what becomes of connections with time: idle ones leave, old ones
 * are replaced, and a late PONG is told. See conn_twins.h.
 */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_twins.h"

enum { IDLE_MS = 400, LIFETIME_MS = 400, PING_MS = 40, LATE_MS = 250, REPEATED_LATE_MS = 700 };

static struct conn_limits limits;

static void setup(void)
{
	limits = twins_limits;
	twins_setup();
}

static bool only_heartbeat_is_left(void)
{
	const struct conn_listing listing = twins_list(&twins.a);

	return listing.count == 1 && listing.entries[0].role == CONN_HEARTBEAT &&
	       twins_list(&twins.b).count == 1;
}

static unsigned int count_wanted;

static bool are_ready(void)
{
	return twins_list(&twins.a).ready == count_wanted;
}

static void idle_open(void)
{
	limits.idle_ns = IDLE_MS * NS_PER_MS;
	twins_reopen(&limits, false);
	twins_fill();
}

START_TEST(idle_ones_leave_and_come_back)
{
	struct conn *first, *second;

	idle_open();
	twins_run_until(only_heartbeat_is_left);
	twins_run_for(2 * IDLE_MS);
	ck_assert(only_heartbeat_is_left()); /* nobody needs them: nothing is dialled */
	ck_assert_int_eq(twins.a.dialled, TWINS_POOL);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	/* The heartbeat's helps out, and one is made for the next. */
	first = twins_lease();
	ck_assert_ptr_eq(conn_http2(first), twins.a.heartbeat);
	count_wanted = 2;
	twins_run_until(are_ready);
	second = twins_lease();
	ck_assert_ptr_ne(conn_http2(second), twins.a.heartbeat);
	/* As many as are needed at once, and no more. */
	conn_return(twins_lease(), false);
	count_wanted = 3;
	twins_run_until(are_ready);
	twins_run_for(IDLE_MS / 3);
	ck_assert_uint_eq(twins_list(&twins.a).ready, 3);
	conn_return(first, false);
	conn_return(second, false);
	twins_run_until(only_heartbeat_is_left);
}
END_TEST

START_TEST(leased_ones_are_not_idle)
{
	struct conn *kept;

	idle_open();
	kept = twins_lease();
	count_wanted = 2;
	twins_run_until(are_ready);
	twins_run_for(2 * IDLE_MS);
	ck_assert_ptr_nonnull(conn_http2(kept));
	ck_assert_uint_eq(twins_list(&twins.a).ready, 2);
	conn_return(kept, false);
	twins_run_until(only_heartbeat_is_left);
}
END_TEST

/* A peer that was lost and comes back is greeted as at the start. */
START_TEST(all_come_back_after_an_eviction)
{
	idle_open();
	twins_run_until(only_heartbeat_is_left);
	ck_assert_uint_eq(conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "gone"), 1);
	twins_run_until(twins_is_full);
}
END_TEST

/* However often: the heartbeat's place must not be given away with the others. */
START_TEST(the_heartbeat_comes_back_while_all_are_idle)
{
	unsigned int round;

	idle_open();
	for (round = 0; round < 3; round++) {
		twins_run_until(only_heartbeat_is_left);
		ck_assert_int_eq(
			conn_evict_id(twins.a.cache, twins_list(&twins.a).entries[0].id, ""), 0);
		ck_assert_ptr_null(twins.a.heartbeat);
		twins_run_until(twins_has_heartbeat);
	}
}
END_TEST

static uint64_t oldest_id;

/* Every pooled one that was there at first has been replaced. */
static bool are_replaced(void)
{
	const struct conn_listing listing = twins_list(&twins.a);
	unsigned int i;

	for (i = 0; i < listing.count; i++)
		if (listing.entries[i].role == CONN_POOL && listing.entries[i].id <= oldest_id)
			return false;
	return listing.ready == TWINS_POOL;
}

static void lifetime_open(void)
{
	limits.lifetime_ns = LIFETIME_MS * NS_PER_MS;
	twins_reopen(&limits, false);
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_is_full);
	oldest_id = TWINS_POOL;
}

static unsigned int fewest, most;

static bool are_replaced_and_counted(void)
{
	const struct conn_listing listing = twins_list(&twins.a);

	fewest = listing.ready < fewest ? listing.ready : fewest;
	most = listing.ready > most ? listing.ready : most;
	return are_replaced();
}

START_TEST(old_ones_are_replaced)
{
	uint64_t heartbeat_id;

	lifetime_open();
	heartbeat_id = twins_list(&twins.a).entries[0].id;
	fewest = most = TWINS_POOL;
	twins_run_until(are_replaced_and_counted);
	/* First the new one, then the old one goes. */
	ck_assert_uint_eq(fewest, TWINS_POOL);
	ck_assert_uint_le(most, TWINS_POOL + 1);
	ck_assert(twins.a.single_flight);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
	ck_assert_uint_eq(twins_list(&twins.a).entries[0].id, heartbeat_id);
}
END_TEST

static bool has_retiring(void)
{
	return twins_list(&twins.a).retiring == 1 && are_ready();
}

static bool has_no_retiring(void)
{
	return !twins_list(&twins.a).retiring;
}

START_TEST(an_old_one_stays_for_its_leases)
{
	struct conn *first, *leases[3 * TWINS_POOL];
	unsigned int i;

	lifetime_open();
	first = twins_lease();
	for (i = 0; i < TWINS_POOL - 1; i++)
		leases[i] = twins_lease();
	ck_assert_ptr_eq(leases[TWINS_POOL - 2], first); /* it has two leases */
	for (i = 0; i < TWINS_POOL - 2; i++)
		conn_return(leases[i], false);
	count_wanted = TWINS_POOL;
	twins_run_until(has_retiring);
	ck_assert_ptr_nonnull(conn_http2(first));
	ck_assert(!http2_is_leaving(conn_http2(first)));
	for (i = 0; i < 3 * TWINS_POOL; i++) {
		leases[i] = twins_lease();
		ck_assert_ptr_ne(leases[i], first);
	}
	for (i = 0; i < 3 * TWINS_POOL; i++)
		conn_return(leases[i], false);
	conn_return(first, false);
	twins_run_for(20);
	ck_assert_uint_eq(twins_list(&twins.a).retiring, 1);
	conn_return(first, false);
	ck_assert_uint_eq(twins_list(&twins.a).retiring, 0); /* with the last lease, at once */
	twins_run_until(has_no_retiring);
}
END_TEST

/* Nobody answers the dial: what is old is still better than nothing. */
START_TEST(an_old_one_stays_until_it_is_replaced)
{
	uint16_t port;

	lifetime_open();
	port = htons(listen_port(twins.listener));
	listen_close(twins.listener);
	twins.listener = NULL;
	twins_run_until(twins_has_failed);
	twins_run_for(LIFETIME_MS);
	ck_assert_uint_eq(twins_list(&twins.a).ready, TWINS_POOL);
	conn_return(twins_lease(), false);
	twins_listen(port);
	twins_run_until(are_replaced);
}
END_TEST

START_TEST(a_retiring_one_can_be_evicted)
{
	struct conn *first;

	lifetime_open();
	first = twins_lease();
	count_wanted = TWINS_POOL;
	twins_run_until(has_retiring);
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	ck_assert_uint_eq(conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "dead"),
			  TWINS_POOL + 1);
	ck_assert_uint_eq(twins_list(&twins.a).count, 0);
	ck_assert_str_eq(conn_reason(first), "dead");
	conn_return(first, false);
	twins_fill();
	ck_assert_uint_eq(twins_list(&twins.a).count, TWINS_POOL);
}
END_TEST

/* ---- PINGs ---- */

static bool pongs_are_late(void)
{
	return twins.a.lates > twins.a.late_ends;
}

static bool pongs_are_back(void)
{
	return twins.a.late_ends == twins.a.lates;
}

static void ping_open(unsigned int late_ms, bool while_idle)
{
	limits.ping_interval_ns = PING_MS * NS_PER_MS;
	limits.ping_timeout_ns = late_ms * NS_PER_MS;
	limits.ping_while_idle = while_idle;
	twins_reopen(&limits, true);
	twins_fill();
}

static bool has_many_pings(void)
{
	return twins.b.pings >= 4 * (TWINS_POOL - 1);
}

START_TEST(pings_while_idle)
{
	ping_open(LATE_MS, true);
	twins_run_until(has_many_pings);
	ck_assert_int_eq(twins.a.acks, 0); /* the heartbeat does not hear of them */
	ck_assert_int_eq(twins.a.lates, 0);
}
END_TEST

static bool has_pings(void)
{
	return twins.b.pings >= 4;
}

START_TEST(pings_the_leased_only_when_told_so)
{
	struct conn *conn;
	uint64_t began_ns;

	ping_open(LATE_MS, false);
	twins_run_for(5 * PING_MS);
	ck_assert_int_eq(twins.b.pings, 0);
	conn = twins_lease();
	began_ns = loop_now_ns(twins.loop);
	/* One an interval, however much longer a PONG may take. */
	twins_run_until(has_pings);
	ck_assert_uint_lt(loop_now_ns(twins.loop) - began_ns, 2 * NS_PER_MS * LATE_MS);
	ck_assert_uint_gt(loop_now_ns(twins.loop) - began_ns, 2 * NS_PER_MS * PING_MS);
	conn_return(conn, false);
}
END_TEST

START_TEST(a_late_pong_is_told_and_nothing_is_closed)
{
	struct conn *conn;
	unsigned int round;

	ping_open(LATE_MS, true);
	conn = twins_lease();
	for (round = 1; round <= 2; round++) {
		twins.relay_stalled = true;
		twins_run_until(pongs_are_late);
		twins_run_for(3 * LATE_MS);
		/* Once, of however many connections. */
		ck_assert_int_eq(twins.a.lates, round);
		ck_assert_int_eq(twins.a.late_ends, round - 1);
		ck_assert_uint_eq(twins_list(&twins.a).ready, TWINS_POOL);
		conn_return(twins_lease(), false);
		twins_resume();
		twins_run_until(pongs_are_back);
	}
	twins_run_for(3 * LATE_MS);
	ck_assert_int_eq(twins.a.lates, 2);
	ck_assert_ptr_nonnull(conn_http2(conn));
	conn_return(conn, false);
	ck_assert_int_eq(twins.a.dialled, TWINS_POOL);
	ck_assert_int_eq(twins.a.heartbeat_ends, 0);
}
END_TEST

/* Where nothing is left that could be late, nothing is. */
START_TEST(what_ends_is_not_late_any_more)
{
	ping_open(LATE_MS, true);
	twins.relay_stalled = true;
	twins_run_until(pongs_are_late);
	conn_allow(twins.a.cache, twins_peer(&twins.a), false);
	twins_run_for(LATE_MS);
	conn_evict_peer(twins.a.cache, twins_peer(&twins.a), "dead");
	ck_assert_int_eq(twins.a.late_ends, 1);
	ck_assert_int_eq(twins.a.lates, 1);
}
END_TEST

/* b's kernel hears nothing of what a sends on @fd, as if the wire were cut. */
static void deafen(int fd, bool deaf)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &nothing};

	if (deaf)
		ck_assert_int_eq(
			setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
	else
		ck_assert_int_eq(
			setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &program, sizeof(program)), 0);
}

static void deafen_b(bool deaf)
{
	const struct conn_listing listing = twins_list(&twins.b);
	unsigned int i;

	for (i = 0; i < listing.count; i++)
		deafen(listing.entries[i].fd, deaf);
}

/* The kernel repeats the PING: the host is silent, which is the detector's matter. */
START_TEST(a_silent_connection_is_not_late)
{
	limits.ping_interval_ns = PING_MS * NS_PER_MS;
	limits.ping_timeout_ns = REPEATED_LATE_MS * NS_PER_MS;
	twins_reopen(&limits, false);
	twins_fill();
	deafen_b(true);
	twins_run_for(2 * REPEATED_LATE_MS);
	ck_assert_int_eq(twins.a.lates, 0);
	ck_assert_uint_eq(twins_list(&twins.a).ready, TWINS_POOL);
	deafen_b(false);
	twins.b.pings = 0;
	twins_run_until(has_many_pings);
	ck_assert_int_eq(twins.a.lates, 0);
}
END_TEST

/* With the magic of our own PINGs, with that of the agent's heartbeat, and with anybody's. */
static const char *const unasked[] = {"knpi\1\0\0", "knpi\0\0\0", "knhb\1\0\0", "12345678"};

enum { UNASKED = sizeof(unasked) / sizeof(*unasked) };

static const char *pong;

static bool is_full_while_b_pongs(void)
{
	twins_pong(pong);
	return twins_is_full();
}

/* At every stage of a connection, of either role, whether PINGs are sent or not. */
START_TEST(ignores_pongs_that_nobody_asked_for)
{
	limits.ping_interval_ns = _i < UNASKED ? 0 : (uint64_t)LATE_MS * NS_PER_MS;
	limits.ping_timeout_ns = LATE_MS * NS_PER_MS;
	twins_reopen(&limits, false);
	pong = unasked[_i % UNASKED];
	twins.a.takes_any_pong = true;
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(is_full_while_b_pongs);
	twins_run_for(50);
	/* Only the heartbeat's are anybody else's business. */
	twins.a.acks = 0;
	twins_pong(pong);
	twins_run_for(50);
	ck_assert_int_eq(twins.a.acks, memcmp(pong, "knpi", 4) ? 1 : 0);
	twins_run_for(3 * LATE_MS);
	ck_assert_int_eq(twins.a.lates, 0);
	ck_assert_int_eq(twins.a.late_ends, 0);
	ck_assert_int_eq(twins.a.dialled, TWINS_POOL);
	ck_assert_int_eq(twins.a.failed, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn_age");
	TCase *tc = twins_case(suite, "idle", setup);

	tcase_add_test(tc, idle_ones_leave_and_come_back);
	tcase_add_test(tc, leased_ones_are_not_idle);
	tcase_add_test(tc, all_come_back_after_an_eviction);
	tcase_add_test(tc, the_heartbeat_comes_back_while_all_are_idle);
	tc = twins_case(suite, "lifetime", setup);
	tcase_add_test(tc, old_ones_are_replaced);
	tcase_add_test(tc, an_old_one_stays_for_its_leases);
	tcase_add_test(tc, an_old_one_stays_until_it_is_replaced);
	tcase_add_test(tc, a_retiring_one_can_be_evicted);
	tc = twins_case(suite, "pings", setup);
	tcase_add_test(tc, pings_while_idle);
	tcase_add_test(tc, pings_the_leased_only_when_told_so);
	tcase_add_test(tc, a_late_pong_is_told_and_nothing_is_closed);
	tcase_add_test(tc, what_ends_is_not_late_any_more);
	tcase_add_test(tc, a_silent_connection_is_not_late);
	tcase_add_loop_test(tc, ignores_pongs_that_nobody_asked_for, 0, 2 * UNASKED);
	return twins_run(suite);
}
