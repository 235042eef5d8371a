// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two nodes on one loop, or on two. See call_pair.h.
 * May call: io, peer, check. Called by: tests of what lies above the connection cache.
 */
#include "call_pair.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/listen.h"
#include "io/tls_context.h"
#include "io_certs.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum { BACKLOG = 64, CALL_TIMEOUT_S = 60 };

static int on_prepare(void *ctx, int fd, enum conn_role role)
{
	(void)ctx;
	(void)fd;
	(void)role;
	return 0;
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	(void)ctx;
	(void)peer;
	(void)http2;
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	(void)ctx;
	(void)peer;
	(void)opaque;
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	(void)fd;
	on_ping_ack(ctx, peer, opaque);
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	(void)ctx;
	(void)peer;
	(void)err;
	(void)reason;
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	(void)ctx;
	(void)from;
	(void)reason;
}

static void on_late(void *ctx, struct roster_peer *peer, bool late)
{
	(void)ctx;
	(void)peer;
	(void)late;
}

static void on_request(void *ctx, const struct roster_peer *peer, struct http2_stream *stream,
		       const struct http2_head *head)
{
	struct call_pair *pair = ctx;

	serve_request(pair->serve, &pair->door, pair->a_is_a_stranger ? NULL : peer, stream, head);
}

static bool on_admits(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return false;
}

static const struct conn_hooks hooks = {
	.prepare = on_prepare,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping_ack,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
	.late = on_late,
	.request = on_request,
	.admits = on_admits,
};

static void on_accepted(void *ctx, int fd)
{
	struct call_pair *pair = ctx;

	conn_accept(pair->cache_b, fd);
}

/* One turn of b's loop: a timer that has expired fires when all else is done. */
static void run_b(struct call_pair *pair)
{
	loop_arm(pair->loop_b, &pair->look_b, 0);
	ck_assert_int_eq(loop_run(pair->loop_b), 0);
}

static void on_look_b(struct timer *timer)
{
	loop_stop(LOOP_OWNER(timer, struct call_pair, look_b)->loop_b);
}

static void on_look(struct timer *timer)
{
	struct call_pair *pair = LOOP_OWNER(timer, struct call_pair, look);

	if (pair->apart && !pair->b_stands_still)
		run_b(pair);
	pair->timed_out = loop_now_ns(pair->loop) >= pair->deadline_ns;
	if (pair->timed_out || pair->wanted())
		loop_stop(pair->loop);
	else
		loop_arm(pair->loop, timer, loop_now_ns(pair->loop) + NS_PER_MS);
}

static struct tls_context *context_of(const struct call_pair *pair, const char *name)
{
	char cert[8], key[8], paths[3][IO_CERTS_PATH_BYTES], why[300];
	struct tls_context *context = NULL;
	int err;

	snprintf(cert, sizeof(cert), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	err = tls_context_open(
		io_certs_path(paths[0], pair->dir, cert), io_certs_path(paths[1], pair->dir, key),
		io_certs_path(paths[2], pair->dir, "ca.crt"), &context, why, sizeof(why));
	ck_assert_msg(!err, "%s", why);
	return context;
}

static void roster_of(struct roster *roster, const char *name, uint16_t port)
{
	struct sockaddr_storage addr = {};
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(roster_open(roster, 1, 1), 0);
	roster_set(roster, 0, name, &addr);
}

void call_pair_open(struct call_pair *pair, const struct conn_limits *limits)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char why[200];

	snprintf(pair->dir, sizeof(pair->dir), "/tmp/knell-test-pair-XXXXXX");
	io_certs_make(pair->dir);
	ck_assert_msg(!loop_open(&pair->loop, why, sizeof(why)), "%s", why);
	pair->loop_b = pair->loop;
	if (pair->apart)
		ck_assert_msg(!loop_open(&pair->loop_b, why, sizeof(why)), "%s", why);
	pair->look.fire = on_look;
	pair->look_b.fire = on_look_b;
	ck_assert_int_eq(listen_open(pair->loop_b, (struct sockaddr *)&addr, BACKLOG, on_accepted,
				     pair, &pair->listener),
			 0);
	pair->tls_a = context_of(pair, "a");
	pair->tls_b = context_of(pair, "b");
	roster_of(&pair->roster_a, "b", listen_port(pair->listener));
	roster_of(&pair->roster_b, "a", 1);
	ck_assert_int_eq(conn_cache_open(&pair->cache_a, pair->loop, pair->tls_a, &pair->roster_a,
					 limits, &hooks, pair),
			 0);
	ck_assert_int_eq(conn_cache_open(&pair->cache_b, pair->loop_b, pair->tls_b, &pair->roster_b,
					 limits, &hooks, pair),
			 0);
	ck_assert_int_eq(
		call_book_open(&pair->book, pair->loop, pair->cache_a, CALL_TIMEOUT_S * NS_PER_S),
		0);
	ck_assert_int_eq(serve_open(&pair->serve, pair->loop_b), 0);
}

void call_pair_close(struct call_pair *pair)
{
	serve_close(pair->serve);
	call_book_close(pair->book);
	conn_cache_close(pair->cache_a);
	conn_cache_close(pair->cache_b);
	listen_close(pair->listener);
	loop_close(pair->loop);
	if (pair->apart)
		loop_close(pair->loop_b);
	roster_close(&pair->roster_a);
	roster_close(&pair->roster_b);
	tls_context_close(pair->tls_a);
	tls_context_close(pair->tls_b);
	io_certs_remove(pair->dir);
}

struct roster_peer *call_pair_b(struct call_pair *pair)
{
	return &pair->roster_a.peers[0];
}

void call_pair_run_until(struct call_pair *pair, bool (*wanted)(void), unsigned int seconds)
{
	pair->wanted = wanted;
	pair->deadline_ns = loop_now_ns(pair->loop) + seconds * NS_PER_S;
	loop_arm(pair->loop, &pair->look, 0);
	ck_assert_int_eq(loop_run(pair->loop), 0);
	loop_disarm(pair->loop, &pair->look);
	ck_assert_msg(!pair->timed_out, "not within %u s", seconds);
}

void call_pair_run_b_until(struct call_pair *pair, bool (*wanted)(void), unsigned int seconds)
{
	const struct timespec pause = {.tv_nsec = NS_PER_MS};
	unsigned int turns = seconds * 1000;

	do {
		nanosleep(&pause, NULL);
		run_b(pair);
	} while (!wanted() && --turns);
	ck_assert_msg(turns, "not within %u s", seconds);
}
