// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: the connection cache, over real TLS on the loopback. Node a dials
 * node b; both caches live on one loop, and only a's dials.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/listen.h"
#include "io/loop.h"
#include "io/tls_context.h"
#include "io_certs.h"
#include "peer/conn.h"

#define NS_PER_MS UINT64_C(1000000)

enum { DEADLINE_MS = 20000, LOOK_MS = 1, POOL = 4, ENTRIES_MAX = 300, BACKLOG = 64 };

struct node {
	struct tls_context *tls;
	struct roster roster; /* of one: the other node */
	struct conn_cache *cache;
	struct http2 *heartbeat;
	int heartbeats, heartbeat_ends, acks, pings, dialled, failed, refused, prepared;
	int last_error;
	char reason[160];
	struct sockaddr_storage refused_from;
	enum conn_role first_role;
	bool single_flight;
};

struct listing {
	struct conn_info entries[ENTRIES_MAX];
	unsigned int count, ready, connecting;
};

static char dir[64];
static struct loop *loop;
static struct listener *listener;
static struct node a, b;
static struct timer look;
static unsigned int patience_ms;
static uint64_t deadline_ns; /* 0: patience_ms from now */
static bool (*wanted)(void);
static bool timed_out;

static struct roster_peer *peer_of(struct node *node)
{
	return &node->roster.peers[0];
}

static void collect(void *ctx, const struct conn_info *info)
{
	struct listing *listing = ctx;

	ck_assert_uint_lt(listing->count, ENTRIES_MAX);
	listing->entries[listing->count++] = *info;
	if (info->state == CONN_CONNECTING)
		listing->connecting++;
	else
		listing->ready++;
}

static struct listing list(const struct node *node)
{
	struct listing listing = {};

	conn_each(node->cache, collect, &listing);
	return listing;
}

static int on_prepare(void *ctx, int fd, enum conn_role role)
{
	struct node *node = ctx;

	ck_assert_int_ge(fd, 0);
	if (!node->prepared++)
		node->first_role = role;
	if (list(node).connecting > 1)
		node->single_flight = false;
	return 0;
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	struct node *node = ctx;

	ck_assert_ptr_eq(peer, peer_of(node));
	node->heartbeat = http2;
	if (http2)
		node->heartbeats++;
	else
		node->heartbeat_ends++;
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	struct node *node = ctx;

	ck_assert_ptr_eq(peer, peer_of(node));
	ck_assert_mem_eq(opaque, "12345678", HTTP2_OPAQUE_BYTES);
	node->acks++;
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	struct node *node = ctx;

	ck_assert_ptr_eq(peer, peer_of(node));
	ck_assert_int_ge(fd, 0);
	ck_assert_mem_eq(opaque, "12345678", HTTP2_OPAQUE_BYTES);
	node->pings++;
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	struct node *node = ctx;

	ck_assert_ptr_eq(peer, peer_of(node));
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
	struct node *node = ctx;

	node->refused++;
	node->refused_from = *from;
	snprintf(node->reason, sizeof(node->reason), "%s", reason);
}

static const struct conn_hooks hooks = {
	.prepare = on_prepare,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping_ack,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
};

static void on_accepted(void *ctx, int fd)
{
	(void)ctx;
	conn_accept(b.cache, fd);
}

static void on_look(struct timer *timer)
{
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
	loop_arm(loop, &look, 0);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void run_until(bool (*condition)(void))
{
	run(condition, DEADLINE_MS);
	ck_assert_msg(!timed_out, "not within %d ms; a: %s, b: %s", DEADLINE_MS, a.reason,
		      b.reason);
}

static void run_for(unsigned int ms)
{
	run(NULL, ms);
}

static bool pool_is_full(void)
{
	return list(&a).ready == POOL && list(&b).ready == POOL;
}

static bool has_heartbeat(void)
{
	return a.heartbeat;
}

static bool has_failed(void)
{
	return a.failed;
}

static bool has_refused(void)
{
	return b.refused;
}

static bool is_empty(void)
{
	return !list(&a).count && !list(&b).count;
}

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

static void listen_again(uint16_t port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	ck_assert_int_eq(
		listen_open(loop, (struct sockaddr *)&addr, BACKLOG, on_accepted, NULL, &listener),
		0);
}

static void node_open(struct node *node, const char *cert, const char *other,
		      const struct sockaddr_storage *addr)
{
	*node = (struct node){.tls = context_of(cert), .single_flight = true};
	ck_assert_int_eq(roster_open(&node->roster, 1, 1), 0);
	roster_set(&node->roster, 0, other, addr);
	ck_assert_int_eq(
		conn_cache_open(&node->cache, loop, node->tls, &node->roster, POOL, &hooks, node),
		0);
}

/* Node a shows @cert and knows b as @name_of_b. */
static void open_as(const char *cert, const char *name_of_b)
{
	struct sockaddr_storage addr = {};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;
	char why[200];

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	listen_again(0);
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v4->sin_port = htons(listen_port(listener));
	node_open(&a, cert, name_of_b, &addr);
	node_open(&b, "b", "a", &addr);
	look = (struct timer){.fire = on_look};
}

static void node_close(struct node *node)
{
	conn_cache_close(node->cache);
	tls_context_close(node->tls);
}

static void setup(void)
{
	open_as("a", "b");
}

static void teardown(void)
{
	listen_close(listener);
	node_close(&a);
	node_close(&b);
	loop_close(loop);
	roster_close(&a.roster);
	roster_close(&b.roster);
}

static void fill(void)
{
	conn_allow(a.cache, peer_of(&a), true);
	run_until(pool_is_full);
}

static struct conn *lease(void)
{
	struct conn *conn = NULL;

	ck_assert_int_eq(conn_lease(a.cache, peer_of(&a), &conn), 0);
	ck_assert_ptr_nonnull(conn_http2(conn));
	return conn;
}

START_TEST(fills_the_pool)
{
	struct listing listing;
	unsigned int i;

	ck_assert(!conn_has(a.cache, peer_of(&a)));
	run_for(100);
	ck_assert_uint_eq(list(&a).count, 0); /* not allowed yet */
	fill();
	listing = list(&a);
	ck_assert(conn_has(a.cache, peer_of(&a)));
	ck_assert_int_eq(a.first_role, CONN_HEARTBEAT);
	ck_assert(a.single_flight);
	ck_assert_int_eq(a.prepared, POOL);
	ck_assert_int_eq(a.dialled, POOL);
	ck_assert_int_eq(a.heartbeats, 1);
	for (i = 0; i < POOL; i++) {
		ck_assert_int_eq(listing.entries[i].role, i ? CONN_POOL : CONN_HEARTBEAT);
		ck_assert_int_eq(listing.entries[i].state, CONN_READY);
		ck_assert_uint_ne(listing.entries[i].cookie, 0);
		ck_assert_int_ge(listing.entries[i].fd, 0);
		ck_assert(!i || listing.entries[i].id > listing.entries[i - 1].id);
	}
	listing = list(&b);
	for (i = 0; i < POOL; i++) {
		ck_assert_int_eq(listing.entries[i].role, CONN_ACCEPTED);
		ck_assert_ptr_eq(listing.entries[i].peer, peer_of(&b));
	}
	run_for(100);
	ck_assert_uint_eq(list(&a).count, POOL);
}
END_TEST

static bool has_ack(void)
{
	return a.acks;
}

START_TEST(carries_pings)
{
	fill();
	ck_assert_int_eq(http2_ping(a.heartbeat, (const uint8_t *)"12345678"), 0);
	run_until(has_ack);
	ck_assert_int_eq(b.pings, 1);
	ck_assert_int_eq(a.pings, 0);
}
END_TEST

START_TEST(leases_the_least_leased_and_oldest)
{
	struct conn *first[POOL], *second[POOL];
	unsigned int i, j;

	fill();
	for (i = 0; i < POOL; i++) {
		first[i] = lease();
		for (j = 0; j < i; j++)
			ck_assert_ptr_ne(first[i], first[j]);
	}
	/* All leased once: the oldest lease comes first. */
	for (i = 0; i < POOL; i++) {
		second[i] = lease();
		ck_assert_ptr_eq(second[i], first[i]);
	}
	/* One that has fewer leases comes before one that was leased longer ago. */
	conn_return(first[2], false);
	ck_assert_ptr_eq(lease(), first[2]);
	for (i = 0; i < POOL; i++) {
		ck_assert_int_eq(list(&a).entries[i].state, CONN_LEASED);
		ck_assert_uint_eq(list(&a).entries[i].leases, 2);
	}
	for (i = 0; i < POOL; i++) {
		conn_return(first[i], false);
		conn_return(first[i], false);
	}
	for (i = 0; i < POOL; i++)
		ck_assert_int_eq(list(&a).entries[i].state, CONN_READY);
	run_for(50);
	ck_assert_uint_eq(list(&a).ready, POOL);
}
END_TEST

START_TEST(refuses_a_lease_at_once)
{
	static const uint16_t usable[] = {VERDICT_NEW, VERDICT_ALIVE, VERDICT_DEGRADED,
					  VERDICT_SUSPECT};
	struct conn *conn = NULL, *kept = (struct conn *)&conn;
	size_t i;

	ck_assert_int_eq(conn_lease(a.cache, peer_of(&a), &conn), -EAGAIN);
	ck_assert_ptr_null(conn);
	fill();
	for (i = 0; i < sizeof(usable) / sizeof(usable[0]); i++) {
		peer_of(&a)->state = usable[i];
		conn_return(lease(), false);
	}
	conn = kept;
	peer_of(&a)->state = VERDICT_LOST;
	ck_assert_int_eq(conn_lease(a.cache, peer_of(&a), &conn), -EHOSTDOWN);
	peer_of(&a)->state = VERDICT_DEAD;
	ck_assert_int_eq(conn_lease(a.cache, peer_of(&a), &conn), -EHOSTDOWN);
	peer_of(&a)->state = VERDICT_ISOLATED;
	ck_assert_int_eq(conn_lease(a.cache, peer_of(&a), &conn), -ENETDOWN);
	ck_assert_ptr_eq(conn, kept);
	/* What b accepted from a leads the other way and is not lent. */
	ck_assert_int_eq(conn_lease(b.cache, peer_of(&b), &conn), -EAGAIN);
	ck_assert(!conn_has(b.cache, peer_of(&b)));
}
END_TEST

START_TEST(replaces_what_is_returned_as_failed)
{
	uint64_t newest = 0;
	struct listing listing;
	unsigned int i;

	fill();
	for (i = 0; i < 2; i++)
		conn_return(lease(), true);
	ck_assert_uint_eq(list(&a).count, POOL - 2);
	run_until(pool_is_full);
	listing = list(&a);
	for (i = 0; i < POOL; i++)
		if (listing.entries[i].id > newest)
			newest = listing.entries[i].id;
	ck_assert_uint_eq(newest, POOL + 2); /* ids are never used twice */
	ck_assert(a.single_flight);
}
END_TEST

/* One connection with two leaseholders. */
static struct conn *lease_twice(void)
{
	struct conn *conn, *others[POOL - 1];
	unsigned int i;

	fill();
	conn = lease();
	for (i = 0; i < POOL - 1; i++)
		others[i] = lease();
	ck_assert_ptr_eq(lease(), conn);
	for (i = 0; i < POOL - 1; i++)
		conn_return(others[i], false);
	return conn;
}

static bool is_whole_again(void)
{
	return pool_is_full() && conn_has(a.cache, peer_of(&a));
}

START_TEST(evicted_lease_lives_until_its_last_return)
{
	struct conn *conn = lease_twice(), *fresh;
	unsigned int i;

	ck_assert_uint_eq(conn_evict_peer(a.cache, peer_of(&a)), POOL);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_uint_eq(list(&a).count, 0);
	run_until(is_whole_again); /* its socket is gone though both leases are out */
	for (i = 0; i < POOL; i++) {
		fresh = lease();
		ck_assert_ptr_ne(fresh, conn); /* and its memory is nobody else's */
		conn_return(fresh, false);
	}
	/* Failed or not: it has ended already. */
	conn_return(conn, _i);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, _i);
	run_for(100);
	ck_assert_uint_eq(list(&a).ready, POOL); /* nothing was ended or dialled on top */
	ck_assert_int_eq(a.dialled, POOL + POOL);
}
END_TEST

START_TEST(failed_return_ends_it_for_all)
{
	struct conn *conn = lease_twice();
	uint64_t id = list(&a).entries[0].id;

	conn_return(conn, true);
	ck_assert_uint_eq(list(&a).count, POOL - 1);
	ck_assert_int_eq(conn_evict_id(a.cache, id), -ENOENT);
	ck_assert_ptr_null(conn_http2(conn));
	ck_assert_int_eq(a.heartbeat_ends, 1); /* the first lease is the heartbeat's */
	run_until(is_whole_again);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, true);
	run_for(100);
	ck_assert_uint_eq(list(&a).ready, POOL);
	ck_assert_int_eq(a.dialled, POOL + 1);
}
END_TEST

static bool has_lost_one(void)
{
	return list(&a).count < POOL;
}

START_TEST(peer_ends_what_is_leased)
{
	struct conn *conn = lease_twice();

	conn_evict_peer(b.cache, peer_of(&b));
	run_until(has_lost_one);
	run_until(is_whole_again);
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, false);
	conn_return(conn, false);
}
END_TEST

/* With the last lease returned before the loop frees the rest, after it, and after the loop. */
START_TEST(cache_closes_while_leased)
{
	struct conn *conn = lease_twice();

	conn_cache_close(a.cache);
	a.cache = NULL;
	ck_assert_ptr_null(conn_http2(conn));
	conn_return(conn, false);
	if (_i == 1)
		run_for(20);
	if (_i == 2) {
		teardown();
		conn_return(conn, true);
		setup();
	} else {
		ck_assert_ptr_null(conn_http2(conn));
		conn_return(conn, true);
	}
}
END_TEST

START_TEST(evicts_a_peer)
{
	struct conn *conn;

	fill();
	lease();
	peer_of(&a)->state = VERDICT_DEAD;
	conn_allow(a.cache, peer_of(&a), false);
	ck_assert_uint_eq(conn_evict_peer(a.cache, peer_of(&a)), POOL);
	/* At once, not when the loop has time. */
	ck_assert_uint_eq(list(&a).count, 0);
	ck_assert(!conn_has(a.cache, peer_of(&a)));
	ck_assert_int_eq(a.heartbeat_ends, 1);
	ck_assert_uint_eq(conn_evict_peer(a.cache, peer_of(&a)), 0);
	run_until(is_empty);
	run_for(200);
	ck_assert_int_eq(a.prepared, POOL); /* nobody dials the dead */
	peer_of(&a)->state = VERDICT_ALIVE;
	ck_assert_int_eq(conn_lease(a.cache, peer_of(&a), &conn), -EAGAIN);
	fill();
	ck_assert_int_eq(a.heartbeats, 2);
}
END_TEST

START_TEST(evicts_what_was_accepted_too)
{
	fill();
	ck_assert_uint_eq(conn_evict_peer(b.cache, peer_of(&b)), POOL);
	ck_assert_uint_eq(list(&b).count, 0);
	run_until(pool_is_full); /* a sees them end and dials again */
	ck_assert(a.single_flight);
}
END_TEST

START_TEST(evicts_one)
{
	struct listing listing;
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	fill();
	listing = list(&a);
	ck_assert_int_eq(
		getsockopt(listing.entries[2].fd, SOL_SOCKET, 57 /* SO_COOKIE */, &cookie, &size),
		0);
	ck_assert_uint_eq(cookie, listing.entries[2].cookie);
	ck_assert_int_eq(conn_evict_id(a.cache, 9999), -ENOENT);
	ck_assert_int_eq(conn_evict_cookie(a.cache, 0), -ENOENT);
	ck_assert_int_eq(conn_evict_cookie(a.cache, cookie), 0);
	ck_assert_int_eq(conn_evict_cookie(a.cache, cookie), -ENOENT);
	ck_assert_int_eq(a.heartbeat_ends, 0);
	ck_assert_int_eq(conn_evict_id(a.cache, listing.entries[0].id), 0);
	ck_assert_int_eq(conn_evict_id(a.cache, listing.entries[0].id), -ENOENT);
	ck_assert_int_eq(a.heartbeat_ends, 1); /* that one was the heartbeat's */
	ck_assert_ptr_null(a.heartbeat);
	ck_assert_uint_eq(list(&a).count, POOL - 2);
	run_until(pool_is_full);
	ck_assert_ptr_nonnull(a.heartbeat);
}
END_TEST

START_TEST(drops_the_idle_only)
{
	struct conn *leased;
	unsigned int i;
	struct listing listing;

	fill();
	lease(); /* the heartbeat's, and one of the pool's */
	leased = lease();
	conn_allow(a.cache, peer_of(&a), false);
	ck_assert_uint_eq(conn_drop_idle(a.cache, peer_of(&a)), POOL - 2);
	listing = list(&a);
	ck_assert_uint_eq(listing.count, 2);
	for (i = 0; i < listing.count; i++)
		ck_assert_int_eq(listing.entries[i].state, CONN_LEASED);
	conn_return(leased, false);
	ck_assert_uint_eq(conn_drop_idle(a.cache, peer_of(&a)), 1);
	ck_assert_int_eq(a.heartbeat_ends, 0);
	fill();
}
END_TEST

START_TEST(clears)
{
	fill();
	ck_assert_uint_eq(conn_clear(a.cache), POOL);
	ck_assert_uint_eq(list(&a).count, 0);
	ck_assert_uint_eq(conn_clear(a.cache), 0);
	run_until(pool_is_full);
	ck_assert_uint_eq(conn_clear(b.cache), POOL);
	run_until(pool_is_full);
}
END_TEST

/* After a flap the heartbeat comes at once, the rest when the hold-down is over. */
START_TEST(holds_down)
{
	uint64_t until_ns;

	run_for(1);
	until_ns = loop_now_ns(loop) + 400 * NS_PER_MS;
	peer_of(&a)->hold_until_ns = until_ns;
	conn_allow(a.cache, peer_of(&a), true);
	run_until(has_heartbeat);
	ck_assert_uint_lt(loop_now_ns(loop), until_ns);
	while (loop_now_ns(loop) + 50 * NS_PER_MS < until_ns) {
		run_for(10);
		ck_assert_uint_eq(list(&a).count, 1);
	}
	run_until(pool_is_full);
	ck_assert_uint_ge(loop_now_ns(loop), until_ns);
}
END_TEST

START_TEST(stops_dialling_when_told)
{
	conn_allow(a.cache, peer_of(&a), true);
	ck_assert_uint_eq(list(&a).connecting, 1);
	conn_allow(a.cache, peer_of(&a), false);
	ck_assert_uint_eq(list(&a).count, 0);
	run_for(200);
	ck_assert_uint_eq(list(&a).count, 0);
	ck_assert_int_eq(a.prepared, 1);
	ck_assert_int_eq(a.dialled + a.failed, 0);
	fill();
}
END_TEST

START_TEST(backs_off_and_comes_back)
{
	uint16_t port = htons(listen_port(listener));
	int attempts;

	listen_close(listener);
	listener = NULL;
	run_for(20);
	conn_allow(a.cache, peer_of(&a), true);
	run_until(has_failed);
	ck_assert_int_eq(a.last_error, -ECONNREFUSED);
	run_for(1500);
	attempts = a.prepared;
	/* At least half of 50, 100, 200, 400, 800 ms between two. */
	ck_assert_int_ge(attempts, 3);
	ck_assert_int_le(attempts, 7);
	ck_assert(a.single_flight);
	listen_again(port);
	run_until(pool_is_full);
	/* Allowing anew is a reason to try at once. */
	conn_allow(a.cache, peer_of(&a), false);
	conn_evict_peer(a.cache, peer_of(&a));
	run_until(is_empty);
	fill();
}
END_TEST

static void setup_stranger(void)
{
	open_as("cn", "b"); /* by the right authority, but nobody's name */
}

START_TEST(turns_strangers_away)
{
	const struct sockaddr_in *from = (const struct sockaddr_in *)&b.refused_from;

	conn_allow(a.cache, peer_of(&a), true);
	run_until(has_refused);
	ck_assert_str_eq(b.reason, "certificate is of 'cn', which is no peer of ours");
	ck_assert_int_eq(from->sin_family, AF_INET);
	ck_assert_uint_eq(from->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	ck_assert_uint_ne(from->sin_port, 0);
	/* a's side of TLS was done each time; that alone must not make it dial without pause. */
	run_for(1500);
	ck_assert_int_le(b.refused, 16);
	ck_assert_uint_eq(list(&b).count, 0);
}
END_TEST

enum { PER_SOURCE = 16, IN_ALL = 256 };

static unsigned int strangers_wanted;

static bool strangers_are_in(void)
{
	return list(&b).count == strangers_wanted;
}

/* A raw TCP connection from 127.0.1.@source that never speaks. */
static int connect_mute(unsigned int source)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f000100 + source)};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(listen_port(listener))};
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
	run_until(strangers_are_in);
	mute = connect_mute(1);
	run_until(is_closed);
	close(mute);
	ck_assert_uint_eq(list(&b).count, PER_SOURCE);
	/* Others are not shut out by that, peers least of all. */
	mute = connect_mute(2);
	strangers_wanted = PER_SOURCE + 1;
	run_until(strangers_are_in);
	ck_assert(!is_closed());
	close(mute);
	conn_allow(a.cache, peer_of(&a), true);
	run_until(has_heartbeat);
	/* One that goes makes room. */
	conn_allow(a.cache, peer_of(&a), false);
	conn_evict_peer(a.cache, peer_of(&a));
	strangers_wanted = PER_SOURCE;
	run_until(strangers_are_in);
	close(fds[0]);
	strangers_wanted = PER_SOURCE - 1;
	run_until(strangers_are_in);
	fds[0] = connect_mute(1);
	strangers_wanted = PER_SOURCE;
	run_until(strangers_are_in);
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
		if (strangers_wanted % BACKLOG == 0)
			run_until(strangers_are_in);
	}
	mute = connect_mute(1 + IN_ALL / PER_SOURCE);
	run_until(is_closed);
	ck_assert_uint_eq(list(&b).count, IN_ALL);
	ck_assert_int_eq(b.refused, 0);
	close(mute);
	for (i = 0; i < IN_ALL; i++)
		close(fds[i]);
}
END_TEST

static void setup_wrong_name(void)
{
	open_as("a", "somebody");
}

START_TEST(refuses_another_name)
{
	conn_allow(a.cache, peer_of(&a), true);
	run_until(has_failed);
	ck_assert_int_eq(a.last_error, -EPROTO);
	ck_assert_msg(strstr(a.reason, "expected somebody, got b"), "%s", a.reason);
	run_until(has_refused);
	ck_assert_int_eq(a.heartbeats, 0);
	ck_assert(!conn_has(a.cache, peer_of(&a)));
}
END_TEST

/* In every stage between nothing and a full pool. */
START_TEST(closes_at_any_stage)
{
	conn_allow(a.cache, peer_of(&a), true);
	run_for((unsigned int)_i);
}
END_TEST

static void make_certs(void)
{
	strcpy(dir, "/tmp/knell-test-conn-XXXXXX");
	io_certs_make(dir);
}

static void remove_certs(void)
{
	io_certs_remove(dir);
}

static TCase *add_case(Suite *suite, const char *name, void (*prepare)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_unchecked_fixture(tc, make_certs, remove_certs);
	tcase_add_checked_fixture(tc, prepare, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("conn");
	TCase *tc = add_case(suite, "cache", setup);
	SRunner *runner;
	int failed;

	tcase_add_test(tc, fills_the_pool);
	tcase_add_test(tc, carries_pings);
	tcase_add_test(tc, leases_the_least_leased_and_oldest);
	tcase_add_test(tc, refuses_a_lease_at_once);
	tcase_add_test(tc, replaces_what_is_returned_as_failed);
	tcase_add_loop_test(tc, evicted_lease_lives_until_its_last_return, 0, 2);
	tcase_add_test(tc, failed_return_ends_it_for_all);
	tcase_add_test(tc, peer_ends_what_is_leased);
	tcase_add_loop_test(tc, cache_closes_while_leased, 0, 3);
	tcase_add_test(tc, caps_strangers_of_one_source);
	tcase_add_test(tc, caps_strangers_in_all);
	tcase_add_test(tc, evicts_a_peer);
	tcase_add_test(tc, evicts_what_was_accepted_too);
	tcase_add_test(tc, evicts_one);
	tcase_add_test(tc, drops_the_idle_only);
	tcase_add_test(tc, clears);
	tcase_add_test(tc, holds_down);
	tcase_add_test(tc, stops_dialling_when_told);
	tcase_add_test(tc, backs_off_and_comes_back);
	tcase_add_loop_test(tc, closes_at_any_stage, 0, 12);
	tcase_add_test(add_case(suite, "strangers", setup_stranger), turns_strangers_away);
	tcase_add_test(add_case(suite, "names", setup_wrong_name), refuses_another_name);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
