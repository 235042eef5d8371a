/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror_trio.h - three nodes a, b and c that keep the same objects, each with a drive of its own,
 * over real TLS on the loopback. All of them on one loop; or some, when the others live in another
 * process.
 *
 * Room: tests. Called by test_mirror*. What fixture_*() does with a drive goes through the node:
 * &trio.nodes[0].fx.
 */
#ifndef KNELL_TESTS_MIRROR_TRIO_H
#define KNELL_TESTS_MIRROR_TRIO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/listen.h"
#include "io/loop.h"
#include "io/tls_context.h"
#include "peer/call.h"
#include "peer/conn.h"
#include "peer/roster.h"
#include "peer/serve.h"
#include "store/mirror.h"
#include "store/service_mirror.h"
#include "store_fixture.h"

enum { TRIO_NODES = 3, TRIO_METHODS_MAX = 4 };

struct trio;

struct trio_node {
	struct fixture fx; /* first; path, engine and the common loop */
	struct trio *trio;
	const char *name;
	struct sockaddr_in addr;
	bool is_open;
	/* From the next opening on: no engine and no mirror; answers with these alone. */
	const struct serve_method *methods;
	size_t method_count;
	/* Methods that it does not know, however its mirror does; and that it never answers. */
	const char *refused[TRIO_METHODS_MAX];
	const char *ignored;
	struct tls_context *tls;
	struct roster roster; /* of the other two */
	struct listener *listener;
	struct conn_cache *cache;
	struct call_book *book;
	struct serve *serve;
	struct serve_door door;
	struct mirror *mirror;
	struct service_mirror *service;
};

struct trio {
	struct loop *loop;
	char certs[64];
	struct trio_node nodes[TRIO_NODES];
	struct timer look;
	char why[256]; /* in what the nodes differ */
};

enum { TRIO_A = 1, TRIO_B = 2, TRIO_C = 4, TRIO_ALL = TRIO_A | TRIO_B | TRIO_C };

/* trio_make - drives, certificates and addresses; may be used by several processes then. */
void trio_make(struct trio *trio);
void trio_remove(struct trio *trio);

/* trio_start - a loop, and the nodes of @which; trio_stop - all of it. */
void trio_start(struct trio *trio, unsigned int which);
void trio_stop(struct trio *trio);

/* trio_open - one node; trio_close - at once, as a program does that is told to end. */
void trio_open(struct trio *trio, size_t which);
void trio_close(struct trio *trio, size_t which);

/* trio_wipe - an empty drive instead of that of a node that is closed. */
void trio_wipe(struct trio *trio, size_t node);

/* trio_verdict - the others of @which hear that it is dead, or alive again. */
void trio_verdict(struct trio *trio, size_t which, enum verdict_state state);

/* trio_peer - how @of knows @node. */
struct roster_peer *trio_peer(struct trio *trio, size_t of, size_t node);

/* trio_turn - the next batch of the loop. trio_run - for so long. */
void trio_turn(struct trio *trio);
void trio_run(struct trio *trio, unsigned int ms);

/* trio_run_until - or abort after a while. */
void trio_run_until(struct trio *trio, bool (*wanted)(void));

/* trio_meet - all that are open know each other's journals. */
void trio_meet(struct trio *trio);

/*
 * trio_settle - wait until all that are open say the same: the same entries, all with their bytes;
 * nothing begun or unneeded on any drive, no row without a file. Aborts the test after a while.
 */
void trio_settle(struct trio *trio);

/* trio_find - the version of what @node has there, 0: nothing; *@gone (may be NULL). */
uint64_t trio_find(struct trio *trio, size_t node, const char *bucket, const char *key, bool *gone);

/* trio_number - the number that @sql selects from a node's index. */
uint64_t trio_number(struct trio *trio, size_t node, const char *sql);

/* trio_all_hold - every open node answers with these bytes; NULL: that nothing is there. */
bool trio_all_hold(struct trio *trio, const char *key, const void *data, size_t len);

#endif
