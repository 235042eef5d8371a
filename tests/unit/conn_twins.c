// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_twins.c - two nodes with a connection cache each. See conn_twins.h.
 *
 * Room: tests. The relay is a pair of tcps per connection, and holds back what it is told to: the
 * kernels on both sides go on acknowledging, as they do for a program that is busy. What no cache
 * would say is put into the mouth of b's connections from below.
 */
#include "conn_twins.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/http2_inner.h"
#include "io/tcp.h"
#include "io_certs.h"
#include "peer/conn_line.h"

enum { DEADLINE_MS = 20000, LOOK_MS = 1 };

struct conn_twins twins;

const struct conn_limits twins_limits = {
	.per_peer = TWINS_POOL,
	.waiting = 8,
	.keepalive_s = 10,
	.connect_ns = 3000 * NS_PER_MS,
	.ping_while_idle = true,
};

static char dir[64];
static struct timer look;
static unsigned int patience_ms;
static uint64_t deadline_ns; /* 0: patience_ms from now */
static bool (*wanted)(void);
static bool timed_out;

struct roster_peer *twins_peer(struct conn_node *node)
{
	return &node->roster.peers[0];
}

static void collect(void *ctx, const struct conn_info *info)
{
	struct conn_listing *listing = ctx;

	ck_assert_uint_lt(listing->count, TWINS_ENTRIES_MAX);
	listing->entries[listing->count++] = *info;
	if (info->state == CONN_CONNECTING)
		listing->connecting++;
	else if (info->state == CONN_RETIRING)
		listing->retiring++;
	else
		listing->ready++;
}

struct conn_listing twins_list(const struct conn_node *node)
{
	struct conn_listing listing = {};

	conn_each(node->cache, collect, &listing);
	return listing;
}

/* ---- what the caches tell ---- */

static int on_prepare(void *ctx, int fd, enum conn_role role)
{
	struct conn_node *node = ctx;

	ck_assert_int_ge(fd, 0);
	if (!node->prepared++)
		node->first_role = role;
	if (twins_list(node).connecting > 1)
		node->single_flight = false;
	return 0;
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	struct conn_node *node = ctx;

	ck_assert_ptr_eq(peer, twins_peer(node));
	node->heartbeat = http2;
	if (http2)
		node->heartbeats++;
	else
		node->heartbeat_ends++;
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	struct conn_node *node = ctx;

	ck_assert_ptr_eq(peer, twins_peer(node));
	if (!node->takes_any_pong)
		ck_assert_mem_eq(opaque, "12345678", HTTP2_OPAQUE_BYTES);
	node->acks++;
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	struct conn_node *node = ctx;

	(void)opaque;
	ck_assert_ptr_eq(peer, twins_peer(node));
	ck_assert_int_ge(fd, 0);
	node->pings++;
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	struct conn_node *node = ctx;

	ck_assert_ptr_eq(peer, twins_peer(node));
	if (!err) {
		node->dialled++;
		return;
	}
	node->failed++;
	node->last_error = err;
	snprintf(node->reason, sizeof(node->reason), "%s", reason);
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	struct conn_node *node = ctx;

	node->refused++;
	node->refused_from = *from;
	snprintf(node->reason, sizeof(node->reason), "%s", reason);
}

static void on_late(void *ctx, struct roster_peer *peer, bool late)
{
	struct conn_node *node = ctx;

	ck_assert_ptr_eq(peer, twins_peer(node));
	if (late)
		node->lates++;
	else
		node->late_ends++;
}

static void on_stream_close(void *ctx, int64_t code)
{
	(void)ctx;
	(void)code;
}

static const struct http2_stream_callbacks stream_callbacks = {.on_close = on_stream_close};

static void on_request(void *ctx, const struct roster_peer *peer, struct http2_stream *stream,
		       const struct http2_head *head)
{
	const struct http2_field fields[] = {{":status", "200"}, {"grpc-status", "0"}};
	struct conn_node *node = ctx;

	node->requests++;
	node->asked_by = peer;
	snprintf(node->path, sizeof(node->path), "%s", head->value[HTTP2_PATH]);
	if (node->takes_no_request)
		return;
	http2_stream_take(stream, &stream_callbacks, node);
	if (node->keeps_requests)
		return;
	ck_assert_int_eq(http2_stream_respond(stream, fields, 1, false), 0);
	ck_assert_int_eq(http2_stream_end(stream, fields + 1, 1), 0);
}

static bool admits(void *ctx, const char *name)
{
	const struct conn_node *node = ctx;

	return node->admitted && !strcmp(node->admitted, name);
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
	.admits = admits,
};

/* ---- the relay ---- */

/* One end of a relayed connection. */
struct conn_relay {
	LIST_ENTRY(conn_relay) entry;
	struct conn_relay *other;
	struct tcp *tcp;
	bool from_b, connecting;
	uint8_t *held; /* read here, not yet given to the other */
	size_t held_bytes;
};

static void relay_free(struct conn_relay *relay)
{
	LIST_REMOVE(relay, entry);
	tcp_abort(relay->tcp);
	free(relay->held);
	free(relay);
}

static void relay_end(struct conn_relay *relay)
{
	relay_free(relay->other);
	relay_free(relay);
}

static void hand_over(struct conn_relay *relay)
{
	if (!relay->held_bytes || relay->other->connecting ||
	    (relay->from_b && twins.relay_stalled))
		return;
	ck_assert_int_eq(tcp_send(relay->other->tcp, relay->held, relay->held_bytes), 0);
	relay->held_bytes = 0;
}

static void on_relay_connect(void *ctx, int err)
{
	struct conn_relay *relay = ctx;

	if (err) {
		relay_end(relay);
		return;
	}
	relay->connecting = false;
	hand_over(relay->other);
}

static void on_relay_data(void *ctx, const uint8_t *data, size_t len)
{
	struct conn_relay *relay = ctx;

	if (!len) {
		relay_end(relay);
		return;
	}
	relay->held = realloc(relay->held, relay->held_bytes + len);
	ck_assert_ptr_nonnull(relay->held);
	memcpy(relay->held + relay->held_bytes, data, len);
	relay->held_bytes += len;
	hand_over(relay);
}

static void on_relay_close(void *ctx, int err)
{
	(void)err;
	relay_end(ctx);
}

static const struct tcp_callbacks relay_callbacks = {
	.on_connect = on_relay_connect,
	.on_data = on_relay_data,
	.on_close = on_relay_close,
};

static void on_relayed(void *ctx, int fd)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(listen_port(twins.listener))};
	struct conn_relay *to_a = calloc(1, sizeof(*to_a)), *to_b = calloc(1, sizeof(*to_b));

	(void)ctx;
	ck_assert(to_a && to_b);
	*to_a = (struct conn_relay){.other = to_b};
	*to_b = (struct conn_relay){.other = to_a, .from_b = true, .connecting = true};
	LIST_INSERT_HEAD(&twins.relays, to_a, entry);
	LIST_INSERT_HEAD(&twins.relays, to_b, entry);
	ck_assert_int_eq(tcp_adopt(twins.loop, fd, NULL, &relay_callbacks, to_a, &to_a->tcp), 0);
	ck_assert_int_eq(tcp_connect(twins.loop, (struct sockaddr *)&addr, NULL, &relay_callbacks,
				     to_b, &to_b->tcp),
			 0);
}

void twins_resume(void)
{
	struct conn_relay *relay;

	twins.relay_stalled = false;
	LIST_FOREACH(relay, &twins.relays, entry)
		hand_over(relay);
}

/* ---- what nobody says who keeps to the rules ---- */

void twins_pong(const char *opaque)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &twins.b.cache->book.all, of_cache) {
		if (!conn->http2->session)
			continue;
		ck_assert_int_eq(nghttp2_submit_ping(conn->http2->session, NGHTTP2_FLAG_ACK,
						     (const uint8_t *)opaque),
				 0);
		loop_defer(twins.loop, &conn->http2->flush_task);
	}
}

void twins_goaway(void)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &twins.b.cache->book.all, of_cache) {
		nghttp2_session *session = conn->http2->session;

		if (!session)
			continue;
		ck_assert_int_eq(
			nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
					      nghttp2_session_get_last_proc_stream_id(session),
					      NGHTTP2_NO_ERROR, NULL, 0),
			0);
		loop_defer(twins.loop, &conn->http2->flush_task);
	}
}

/* ---- running ---- */

static void on_look(struct timer *timer)
{
	struct loop *loop = twins.loop;

	/* The loop's clock stands still while it does not run. */
	if (!deadline_ns)
		deadline_ns = loop_now_ns(loop) + patience_ms * NS_PER_MS;
	timed_out = loop_now_ns(loop) >= deadline_ns;
	if (timed_out || (wanted && wanted()))
		loop_stop(loop);
	else
		loop_arm(loop, timer, loop_now_ns(loop) + LOOK_MS * NS_PER_MS);
}

static void run(bool (*condition)(void), unsigned int ms)
{
	wanted = condition;
	patience_ms = ms;
	deadline_ns = 0;
	timed_out = false;
	loop_arm(twins.loop, &look, 0);
	ck_assert_int_eq(loop_run(twins.loop), 0);
}

void twins_run_until(bool (*condition)(void))
{
	run(condition, DEADLINE_MS);
	ck_assert_msg(!timed_out, "not within %d ms; a: %s, b: %s", DEADLINE_MS, twins.a.reason,
		      twins.b.reason);
}

void twins_run_for(unsigned int ms)
{
	run(NULL, ms);
}

bool twins_is_full(void)
{
	return twins_list(&twins.a).ready == TWINS_POOL && twins_list(&twins.b).ready == TWINS_POOL;
}

bool twins_is_empty(void)
{
	return !twins_list(&twins.a).count && !twins_list(&twins.b).count;
}

bool twins_has_heartbeat(void)
{
	return twins.a.heartbeat;
}

bool twins_has_failed(void)
{
	return twins.a.failed;
}

bool twins_has_refused(void)
{
	return twins.b.refused;
}

void twins_fill(void)
{
	conn_allow(twins.a.cache, twins_peer(&twins.a), true);
	twins_run_until(twins_is_full);
}

struct conn *twins_lease(void)
{
	struct conn *conn = NULL;

	ck_assert_int_eq(conn_lease(twins.a.cache, twins_peer(&twins.a), &conn), 0);
	ck_assert_ptr_nonnull(conn_http2(conn));
	return conn;
}

/* ---- open and close ---- */

static struct tls_context *context_of(const char *name)
{
	char cert[64], key[64], paths[3][IO_CERTS_PATH_BYTES], why[300];
	struct tls_context *context = NULL;

	snprintf(cert, sizeof(cert), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	ck_assert_msg(!tls_context_open(
			      io_certs_path(paths[0], dir, cert), io_certs_path(paths[1], dir, key),
			      io_certs_path(paths[2], dir, "ca.crt"), &context, why, sizeof(why)),
		      "%s", why);
	return context;
}

static void on_accepted(void *ctx, int fd)
{
	(void)ctx;
	conn_accept(twins.b.cache, fd);
}

static struct listener *listen_on(uint16_t port, void (*accepted)(void *ctx, int fd))
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct listener *listener = NULL;

	ck_assert_int_eq(listen_open(twins.loop, (struct sockaddr *)&addr, TWINS_BACKLOG, accepted,
				     NULL, &listener),
			 0);
	return listener;
}

void twins_listen(uint16_t port)
{
	twins.listener = listen_on(port, on_accepted);
}

static void node_open(struct conn_node *node, const char *cert, const char *other,
		      const struct sockaddr_storage *addr, const struct conn_limits *limits)
{
	*node = (struct conn_node){.tls = context_of(cert), .single_flight = true};
	ck_assert_int_eq(roster_open(&node->roster, 1, 1), 0);
	roster_set(&node->roster, 0, other, addr);
	ck_assert_int_eq(conn_cache_open(&node->cache, twins.loop, node->tls, &node->roster, limits,
					 &hooks, node),
			 0);
}

void twins_open(const char *cert, const char *name_of_b, const struct conn_limits *limits,
		bool relayed)
{
	struct sockaddr_storage addr = {};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;
	char why[200];

	memset(&twins, 0, sizeof(twins));
	LIST_INIT(&twins.relays);
	ck_assert_msg(!loop_open(&twins.loop, why, sizeof(why)), "%s", why);
	twins_listen(0);
	if (relayed)
		twins.relay_listener = listen_on(0, on_relayed);
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v4->sin_port = htons(listen_port(relayed ? twins.relay_listener : twins.listener));
	node_open(&twins.a, cert, name_of_b, &addr, limits);
	node_open(&twins.b, "b", "a", &addr, &twins_limits);
	look = (struct timer){.fire = on_look};
}

static void node_close(struct conn_node *node)
{
	conn_cache_close(node->cache);
	tls_context_close(node->tls);
}

void twins_close(void)
{
	struct conn_relay *relay;

	listen_close(twins.listener);
	listen_close(twins.relay_listener);
	node_close(&twins.a);
	node_close(&twins.b);
	while ((relay = LIST_FIRST(&twins.relays)))
		relay_end(relay);
	loop_close(twins.loop);
	roster_close(&twins.a.roster);
	roster_close(&twins.b.roster);
}

void twins_setup(void)
{
	twins_open("a", "b", &twins_limits, false);
}

void twins_reopen(const struct conn_limits *limits, bool relayed)
{
	twins_close();
	twins_open("a", "b", limits, relayed);
}

static void make_certs(void)
{
	strcpy(dir, "/tmp/knell-test-conn-XXXXXX");
	io_certs_make(dir);
}

static void remove_certs(void)
{
	io_certs_remove(dir);
}

TCase *twins_case(Suite *suite, const char *name, void (*setup)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_unchecked_fixture(tc, make_certs, remove_certs);
	tcase_add_checked_fixture(tc, setup, twins_close);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return tc;
}

int twins_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
