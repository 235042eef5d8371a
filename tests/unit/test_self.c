// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/self: what a node says of itself, when there is more of it than anybody
 * reads, and that who asks for the drives costs nothing but the drives.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "self.h"

enum { PEERS = SERVER_NETWORK_MAX + 1, DRIVES = 3, CONNS = 5 };

static struct loop *loop;
static struct config config;
static struct roster roster;
static struct self self;
static struct server server;
static struct drive drive;
static unsigned int walks;
static char names[PEERS][8];
static char path[] = "/mnt/d";

size_t drives_count(const struct drives *drives)
{
	(void)drives;
	return DRIVES;
}

const struct drive *drives_get(const struct drives *drives, size_t index)
{
	(void)drives, (void)index;
	return &drive;
}

bool drives_known(const struct drives *drives)
{
	(void)drives;
	return true;
}

void conn_each(const struct conn_cache *cache, void (*visit)(void *ctx, const struct conn_info *),
	       void *ctx)
{
	struct conn_info conn = {.peer = &roster.peers[0], .state = CONN_READY};
	int i;

	(void)cache;
	walks++;
	for (i = 0; i < CONNS; i++)
		visit(ctx, &conn);
	conn.state = CONN_CONNECTING;
	visit(ctx, &conn);
	conn = (struct conn_info){.state = CONN_READY}; /* a client's */
	visit(ctx, &conn);
}

static void setup(void)
{
	struct sockaddr_storage addr = {.ss_family = AF_INET};
	char name[] = "a", why[200];
	size_t i;

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	drive = (struct drive){.path = path, .state = DRIVE_OK};
	config.listen.ss_family = AF_INET;
	snprintf(config.name, sizeof(config.name), "%s", name);
	ck_assert_int_eq(roster_open(&roster, PEERS, 1), 0);
	for (i = 0; i < PEERS; i++) {
		snprintf(names[i], sizeof(names[i]), "n%04zu", i);
		roster_set(&roster, i, names[i], &addr);
		roster.peers[i].state = VERDICT_ALIVE;
	}
	self = (struct self){.config = &config, .roster = &roster, .loop = loop};
	self_begin(&self);
	server = (struct server){0};
	walks = 0;
}

static void teardown(void)
{
	server_free(&server);
	loop_close(loop);
	roster_close(&roster);
}

/* More peers than are told: the drives are told all the same. */
START_TEST(many_peers_hide_no_drive)
{
	ck_assert_int_eq(self_describe(&self, SERVER_SCOPE_ALL, &server), 0);
	ck_assert_uint_eq(server.network_count, SERVER_NETWORK_MAX);
	ck_assert_uint_eq(server.drive_count, DRIVES);
	ck_assert_uint_eq(server.connections, CONNS);
	ck_assert_uint_eq(walks, 1);
}
END_TEST

START_TEST(drives_alone_need_no_connections)
{
	ck_assert_int_eq(self_describe(&self, SERVER_SCOPE_DRIVES, &server), 0);
	ck_assert_str_eq(server.name, "a");
	ck_assert(!server.initializing);
	ck_assert_uint_eq(server.drive_count, DRIVES);
	ck_assert_uint_eq(server.network_count, 0);
	ck_assert_uint_eq(walks, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("self");
	TCase *tcase = tcase_create("self");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, many_peers_hide_no_drive);
	tcase_add_test(tcase, drives_alone_need_no_connections);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
