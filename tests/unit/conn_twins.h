/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_twins.h - two nodes with a connection cache each, on one loop and the loopback, over real
 * TLS. Node a dials node b, through a relay when the test wants one; b dials nobody.
 *
 * Room: tests. Called by test_conn*.
 */
#ifndef KNELL_TESTS_CONN_TWINS_H
#define KNELL_TESTS_CONN_TWINS_H

#include <check.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "io/listen.h"
#include "io/loop.h"
#include "io/tls_context.h"
#include "peer/conn.h"

#define NS_PER_MS UINT64_C(1000000)

enum { TWINS_POOL = 4, TWINS_ENTRIES_MAX = 320, TWINS_BACKLOG = 64 };

struct conn_node {
	struct tls_context *tls;
	struct roster roster; /* of one: the other node */
	struct conn_cache *cache;
	struct http2 *heartbeat;
	int heartbeats, heartbeat_ends, acks, pings, dialled, failed, refused, prepared;
	int lates, late_ends, requests;
	int last_error;
	char reason[160];
	char path[64];			    /* of the last request */
	const struct roster_peer *asked_by; /* that one */
	const char *admitted;		    /* whoever may ask and is no peer */
	bool takes_no_request;		    /* as if nobody served */
	bool keeps_requests;		    /* and never answers them */
	bool takes_any_pong;		    /* not only to the PINGs that the tests send */
	struct sockaddr_storage refused_from;
	enum conn_role first_role;
	bool single_flight;
};

struct conn_listing {
	struct conn_info entries[TWINS_ENTRIES_MAX];
	unsigned int count, ready, connecting, retiring;
};

struct conn_relay;

extern struct conn_twins {
	struct loop *loop;
	struct listener *listener;
	struct conn_node a, b;
	struct listener *relay_listener;
	LIST_HEAD(, conn_relay) relays;
	bool relay_stalled; /* from b to a nothing comes through */
} twins;

/* TWINS_POOL connections, no limit of age, no PING. */
extern const struct conn_limits twins_limits;

/* For a TCase: the certificates, once; each test by twins_setup(). */
TCase *twins_case(Suite *suite, const char *name, void (*setup)(void));

/* Node a shows @cert and knows b as @name_of_b; @relayed: reaches it through the relay. */
void twins_open(const char *cert, const char *name_of_b, const struct conn_limits *limits,
		bool relayed);
void twins_close(void);

/* A certificate that the usual authority made, and a. */
void twins_setup(void);

/* Afresh with other @limits. */
void twins_reopen(const struct conn_limits *limits, bool relayed);

/* b accepts on @port again, network byte order, after listen_close(). */
void twins_listen(uint16_t port);

/* What is read from b and not yet given to a comes through now, and all that follows. */
void twins_resume(void);

/* b says PONG with @opaque, unasked, on every connection that it has accepted and that can speak.
 */
void twins_pong(const char *opaque);

/* b says GOAWAY on every connection that it has accepted, and closes none. */
void twins_goaway(void);

/* Runs the loop until @condition, which must come true. */
void twins_run_until(bool (*condition)(void));
void twins_run_for(unsigned int ms);

struct roster_peer *twins_peer(struct conn_node *node);
struct conn_listing twins_list(const struct conn_node *node);

/* Conditions. */
bool twins_is_full(void);
bool twins_is_empty(void);
bool twins_has_heartbeat(void);
bool twins_has_failed(void);
bool twins_has_refused(void);

/* Lets a dial, and waits until both sides are full. */
void twins_fill(void);

/* A lease of a's, which must be there. */
struct conn *twins_lease(void);

/* A TCase's worth of main(). */
int twins_run(Suite *suite);

#endif
