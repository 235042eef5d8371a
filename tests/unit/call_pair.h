/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two nodes on one loop, or one each, over real TLS on the loopback: a dials b and calls it, b
 * serves.
 * Called by: tests of what lies above the connection cache.
 */
#ifndef KNELL_TESTS_CALL_PAIR_H
#define KNELL_TESTS_CALL_PAIR_H

#include <stdbool.h>

#include "io/loop.h"
#include "peer/call.h"
#include "peer/conn.h"
#include "peer/roster.h"
#include "peer/serve.h"

struct call_pair {
	char dir[64]; /* of the certificates */
	bool apart;   /* b has a loop of its own, which runs while a's does */
	bool b_stands_still;
	bool a_is_a_stranger; /* to whoever serves */
	struct loop *loop, *loop_b;
	struct listener *listener;
	struct tls_context *tls_a, *tls_b;
	struct roster roster_a, roster_b; /* of one: the other node */
	struct conn_cache *cache_a, *cache_b;
	struct call_book *book; /* a's */
	struct serve *serve;	/* b's */
	struct serve_door door;
	struct timer look, look_b;
	bool (*wanted)(void);
	uint64_t deadline_ns;
	bool timed_out;
};

/*
 * Aborts the test on failure. `pair` must be zeroed, `apart` excepted, and not move. Nothing is
 * dialled yet.
 */
void call_pair_open(struct call_pair *pair, const struct conn_limits *limits);
void call_pair_close(struct call_pair *pair);

/* Of a's roster. */
struct roster_peer *call_pair_b(struct call_pair *pair);

/* Runs the loop until `wanted` (called every millisecond) says so, or aborts after seconds. */
void call_pair_run_until(struct call_pair *pair, bool (*wanted)(void), unsigned int seconds);

/* The same, but a stands still meanwhile; they are apart. */
void call_pair_run_b_until(struct call_pair *pair, bool (*wanted)(void), unsigned int seconds);

#endif
