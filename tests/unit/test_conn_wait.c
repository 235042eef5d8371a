// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: waiting in line for a lease. See conn_twins.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn_twins.h"

enum { WAITING_MAX = 8, LEASES = TWINS_POOL * HTTP2_STREAMS_MAX };

static struct waiter {
	struct conn_wait wait;
	unsigned int told;
	unsigned int order; /* in which they were told; 1 is the first */
	int err;
	char reason[160];
	struct conn *conn;
	struct waiter *forgets; /* as it is told */
	bool again;
} waiters[WAITING_MAX + 1];

static unsigned int told;
static struct conn *leases[LEASES];

static int wait_as(unsigned int i);

static void on_granted(struct conn_wait *wait, int err, const char *reason, struct conn *conn)
{
	struct waiter *waiter = LOOP_OWNER(wait, struct waiter, wait);

	ck_assert_ptr_null(wait->peer);
	ck_assert(err ? !conn : conn && conn_http2(conn));
	waiter->told++;
	waiter->order = ++told;
	waiter->err = err;
	snprintf(waiter->reason, sizeof(waiter->reason), "%s", reason);
	waiter->conn = conn;
	if (waiter->forgets)
		conn_wait_forget(twins.a.cache, &waiter->forgets->wait);
	if (waiter->again) {
		waiter->again = false;
		ck_assert_int_eq(wait_as(waiter - waiters), 0);
	}
}

static int wait_as(unsigned int i)
{
	waiters[i].wait.granted = on_granted;
	return conn_wait(twins.a.cache, twins_peer(&twins.a), &waiters[i].wait);
}

static void wait_all(unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		ck_assert_int_eq(wait_as(i), 0);
}

static void setup(void)
{
	memset(waiters, 0, sizeof(waiters));
	told = 0;
	twins_setup();
}

static unsigned int told_wanted;

static bool are_told(void)
{
	return told >= told_wanted;
}

static void run_until_told(unsigned int count)
{
	told_wanted = count;
	twins_run_until(are_told);
	ck_assert_uint_eq(told, count);
}

static void lease_all(void)
{
	unsigned int i;

	twins_fill();
	for (i = 0; i < LEASES; i++)
		leases[i] = twins_lease();
}

static void return_all(void)
{
	unsigned int i;

	for (i = 0; i < LEASES; i++)
		conn_return(leases[i], false);
}

START_TEST(grants_what_becomes_ready)
{
	unsigned int i;

	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	wait_all(3);
	ck_assert_uint_eq(told, 0); /* never from inside a call */
	run_until_told(3);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(waiters[i].err, 0);
		ck_assert_uint_eq(waiters[i].order, i + 1);
		conn_return(waiters[i].conn, false);
	}
}
END_TEST

/* Also when there is something to lease at once. */
START_TEST(grants_from_the_loop)
{
	twins_fill();
	wait_all(1);
	ck_assert_uint_eq(told, 0);
	run_until_told(1);
	conn_return(waiters[0].conn, false);
}
END_TEST

START_TEST(first_come_first_served)
{
	struct conn *conn = NULL;
	unsigned int i;

	lease_all();
	wait_all(WAITING_MAX);
	twins_run_for(30);
	ck_assert_uint_eq(told, 0);
	for (i = 0; i < 3; i++)
		conn_return(leases[i], false);
	/* There is room now, but not for one who has not waited. */
	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), -EAGAIN);
	run_until_told(3);
	twins_run_for(30);
	ck_assert_uint_eq(told, 3);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(waiters[i].order, i + 1);
		leases[i] = waiters[i].conn;
	}
	for (i = 3; i < WAITING_MAX; i++)
		conn_return(leases[i], false);
	run_until_told(WAITING_MAX);
	for (i = 3; i < WAITING_MAX; i++) {
		ck_assert_uint_eq(waiters[i].order, i + 1);
		leases[i] = waiters[i].conn;
	}
	return_all();
	conn_return(twins_lease(), false);
}
END_TEST

START_TEST(the_line_is_bounded)
{
	lease_all();
	wait_all(WAITING_MAX);
	ck_assert_int_eq(wait_as(WAITING_MAX), -ENOBUFS);
	ck_assert_ptr_null(waiters[WAITING_MAX].wait.peer);
	conn_wait_forget(twins.a.cache, &waiters[3].wait);
	ck_assert_int_eq(wait_as(WAITING_MAX), 0);
	return_all();
	run_until_told(WAITING_MAX);
	ck_assert_uint_eq(waiters[3].told, 0);
	ck_assert_uint_eq(waiters[WAITING_MAX].order, WAITING_MAX);
}
END_TEST

START_TEST(may_be_forgotten_at_any_moment)
{
	twins_fill();
	conn_wait_forget(twins.a.cache, &waiters[0].wait); /* has never waited */
	wait_all(4);
	conn_wait_forget(twins.a.cache, &waiters[1].wait);
	conn_wait_forget(twins.a.cache, &waiters[1].wait);
	waiters[0].forgets = &waiters[2];
	run_until_told(2);
	twins_run_for(30);
	ck_assert_uint_eq(told, 2);
	ck_assert_uint_eq(waiters[3].order, 2);
	conn_wait_forget(twins.a.cache, &waiters[0].wait); /* has been told */
}
END_TEST

static const struct {
	uint16_t state;
	int err;
} verdicts[] = {
	{VERDICT_LOST, -EHOSTDOWN},
	{VERDICT_DEAD, -EHOSTDOWN},
	{VERDICT_ISOLATED, -ENETDOWN},
};

START_TEST(fails_with_the_verdict)
{
	unsigned int i;

	lease_all();
	wait_all(3);
	waiters[0].forgets = &waiters[1]; /* among those who are told that it is in vain, too */
	twins_peer(&twins.a)->state = verdicts[_i].state;
	conn_turn_away(twins.a.cache, twins_peer(&twins.a), "b is dead: phi 12.0");
	ck_assert_uint_eq(told, 0);
	run_until_told(2);
	for (i = 0; i < 3; i += 2) {
		ck_assert_int_eq(waiters[i].err, verdicts[_i].err);
		ck_assert_str_eq(waiters[i].reason, "b is dead: phi 12.0");
	}
	/* From here on nobody waits at all. */
	ck_assert_int_eq(wait_as(0), verdicts[_i].err);
	return_all();
	twins_run_for(30);
	ck_assert_uint_eq(told, 2);
}
END_TEST

START_TEST(the_living_turn_nobody_away)
{
	lease_all();
	wait_all(1);
	conn_turn_away(twins.a.cache, twins_peer(&twins.a), "a rumour");
	twins_run_for(30);
	ck_assert_uint_eq(told, 0);
	return_all();
	run_until_told(1);
	ck_assert_int_eq(waiters[0].err, 0);
}
END_TEST

/* The verdict is known before its consequences are. */
START_TEST(grants_nothing_against_a_verdict)
{
	lease_all();
	wait_all(1);
	twins_peer(&twins.a)->state = VERDICT_DEAD;
	return_all();
	run_until_told(1);
	ck_assert_int_eq(waiters[0].err, -EHOSTDOWN);
}
END_TEST

static void stop_listening(void)
{
	listen_close(twins.listener);
	twins.listener = NULL;
	twins_run_for(20);
}

START_TEST(fails_with_a_refused_dial)
{
	uint16_t port = htons(listen_port(twins.listener));

	stop_listening();
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	wait_all(2);
	run_until_told(2);
	ck_assert_int_eq(waiters[0].err, -ECONNREFUSED);
	ck_assert_int_eq(waiters[1].err, -ECONNREFUSED);
	ck_assert_msg(strstr(waiters[1].reason, "refused"), "%s", waiters[1].reason);
	/* While the next attempt is not due, that is still what is known. */
	ck_assert_uint_eq(twins_list(&twins.a).connecting, 0);
	ck_assert_int_eq(wait_as(2), 0);
	ck_assert_uint_eq(told, 2);
	twins_run_for(2);
	ck_assert_uint_eq(told, 3);
	ck_assert_int_eq(waiters[2].err, -ECONNREFUSED);
	/* And no longer when it is there again. */
	twins_listen(port);
	twins_run_until(twins_is_full);
	ck_assert_int_eq(wait_as(3), 0);
	run_until_told(4);
	ck_assert_int_eq(waiters[3].err, 0);
	conn_return(waiters[3].conn, false);
}
END_TEST

/* Who is told may be back at once; that must hold up nobody else on the loop. */
START_TEST(may_come_back_from_inside)
{
	stop_listening();
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_has_failed);
	wait_all(2);
	waiters[0].again = true;
	waiters[1].again = true;
	run_until_told(4);
	ck_assert_uint_eq(waiters[0].told, 2);
	ck_assert_uint_eq(waiters[1].told, 2);
	ck_assert_uint_eq(waiters[0].order, 3);
}
END_TEST

/* A dial that fails takes nothing from those who wait for what is there. */
START_TEST(waits_on_when_only_a_further_dial_fails)
{
	struct conn_listing listing;

	lease_all();
	stop_listening();
	listing = twins_list(&twins.a);
	ck_assert_int_eq(conn_evict_id(twins.a.cache, listing.entries[1].id, "by hand"), 0);
	wait_all(1);
	twins_run_until(twins_has_failed);
	twins_run_for(100);
	ck_assert_uint_eq(told, 0);
	return_all();
	run_until_told(1);
	ck_assert_int_eq(waiters[0].err, 0);
	conn_return(waiters[0].conn, false);
}
END_TEST

/* Nobody is told any more; that they are forgotten can be seen from their peer. */
START_TEST(cache_closes_while_they_wait)
{
	lease_all();
	wait_all(2);
	if (_i) {
		twins_peer(&twins.a)->state = VERDICT_DEAD;
		conn_turn_away(twins.a.cache, twins_peer(&twins.a), "dead");
	}
	return_all();
	conn_cache_close(twins.a.cache);
	twins.a.cache = NULL;
	ck_assert_ptr_null(waiters[0].wait.peer);
	ck_assert_ptr_null(waiters[1].wait.peer);
	twins_run_for(20);
	ck_assert_uint_eq(told, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn_wait");
	TCase *tc = twins_case(suite, "line", setup);

	tcase_add_test(tc, grants_what_becomes_ready);
	tcase_add_test(tc, grants_from_the_loop);
	tcase_add_test(tc, first_come_first_served);
	tcase_add_test(tc, the_line_is_bounded);
	tcase_add_test(tc, may_be_forgotten_at_any_moment);
	tcase_add_loop_test(tc, fails_with_the_verdict, 0, 3);
	tcase_add_test(tc, the_living_turn_nobody_away);
	tcase_add_test(tc, grants_nothing_against_a_verdict);
	tcase_add_test(tc, fails_with_a_refused_dial);
	tcase_add_test(tc, may_come_back_from_inside);
	tcase_add_test(tc, waits_on_when_only_a_further_dial_fails);
	tcase_add_loop_test(tc, cache_closes_while_they_wait, 0, 2);
	return twins_run(suite);
}
