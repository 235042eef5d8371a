// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_chore.c - what is due from time to time on a pooled connection. See conn_chore.h.
 *
 * Room: peer. Calls conn_ping, conn_age, conn_line and io/loop; called by conn_line.c.
 *
 * Happy path: begun -> the timer fires when the first of them is due -> armed for the next.
 * Failure modes: a PONG is late: told, nothing else. It ends, also by a chore: the timer is
 * disarmed with it. Nothing will ever be due: no timer runs.
 */
#include "peer/conn_chore.h"
#include "peer/conn_line.h"

static uint64_t now_of(const struct conn *conn)
{
	return loop_now_ns(conn->book->loop);
}

static const struct conn_limits *limits_of(const struct conn *conn)
{
	return &conn_line_cache(conn)->limits;
}

static void arm(struct conn *conn)
{
	uint64_t ping_ns = conn_ping_next_ns(&conn->ping);
	uint64_t age_ns =
		conn_age_next_ns(&conn->age, limits_of(conn), conn->leases > 0, now_of(conn));
	uint64_t next_ns = ping_ns < age_ns ? ping_ns : age_ns;

	if (next_ns != UINT64_MAX)
		loop_arm(conn->book->loop, &conn->chore, next_ns);
}

static void on_chore(struct timer *timer)
{
	struct conn *conn = LOOP_OWNER(timer, struct conn, chore);
	const struct conn_limits *limits = limits_of(conn);
	uint64_t now_ns = now_of(conn);

	if (conn->ended)
		return;
	if (conn->state != CONN_RETIRING && http2_is_leaving(conn->http2))
		conn_line_leave(conn);
	else if (conn->state == CONN_READY && conn_age_is_idle(&conn->age, limits, now_ns))
		conn_line_idle_away(conn);
	if (conn->ended)
		return;
	if (conn_ping_run(&conn->ping, limits, conn->http2, conn->leases > 0, now_ns))
		conn_line_late(conn_line_of(conn), 1);
	if (conn_age_becomes_old(&conn->age, now_ns) && conn->state != CONN_RETIRING)
		conn_line_replace(conn);
	arm(conn);
}

void conn_chore_begin(struct conn *conn)
{
	conn_ping_begin(&conn->ping, limits_of(conn), now_of(conn));
	conn_age_begin(&conn->age, limits_of(conn), now_of(conn));
	conn->chore.fire = on_chore;
	arm(conn);
}

bool conn_chore_pong(struct conn *conn, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	bool was_late = conn->ping.late;

	if (!conn_ping_is_ours(opaque))
		return false;
	/* It answers a PING, so chores were begun; on no other connection is there a timer to arm.
	 */
	if (conn_ping_ack(&conn->ping, limits_of(conn), opaque, now_of(conn))) {
		if (was_late)
			conn_line_late(conn_line_of(conn), -1);
		arm(conn);
	}
	return true;
}

void conn_chore_returned(struct conn *conn)
{
	conn_age_unused(&conn->age, now_of(conn));
}
