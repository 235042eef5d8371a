// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/conn: connections that others open. See conn_pair.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn_pair.h"

static void setup_stranger(void)
{
	/* By the right authority, but nobody's name. */
	pair_open("cn", "b", &pair_limits, false);
}

START_TEST(turns_strangers_away)
{
	const struct sockaddr_in *from = (const struct sockaddr_in *)&pair.b.refused_from;

	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_until(pair_has_refused);
	ck_assert_str_eq(pair.b.reason, "certificate is of 'cn', which is no peer of ours");
	ck_assert_int_eq(from->sin_family, AF_INET);
	ck_assert_uint_eq(from->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	ck_assert_uint_ne(from->sin_port, 0);
	/* a's side of TLS was done each time; that alone must not make it dial without pause. */
	pair_run_for(1500);
	ck_assert_int_le(pair.b.refused, 16);
	ck_assert_uint_eq(pair_list(&pair.b).count, 0);
}
END_TEST

enum { PER_SOURCE = 16, IN_ALL = 256 };

static unsigned int strangers_wanted;

static bool strangers_are_in(void)
{
	return pair_list(&pair.b).count == strangers_wanted;
}

/* A raw TCP connection from 127.0.1.@source that never speaks. */
static int connect_mute(unsigned int source)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f000100 + source)};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(listen_port(pair.listener))};
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
	pair_run_until(strangers_are_in);
	mute = connect_mute(1);
	pair_run_until(is_closed);
	close(mute);
	ck_assert_uint_eq(pair_list(&pair.b).count, PER_SOURCE);
	/* Others are not shut out by that, peers least of all. */
	mute = connect_mute(2);
	strangers_wanted = PER_SOURCE + 1;
	pair_run_until(strangers_are_in);
	ck_assert(!is_closed());
	close(mute);
	conn_allow(pair.a.cache, pair_peer(&pair.a), true);
	pair_run_until(pair_has_heartbeat);
	/* One that goes makes room. */
	conn_allow(pair.a.cache, pair_peer(&pair.a), false);
	conn_evict_peer(pair.a.cache, pair_peer(&pair.a), "gone");
	strangers_wanted = PER_SOURCE;
	pair_run_until(strangers_are_in);
	close(fds[0]);
	strangers_wanted = PER_SOURCE - 1;
	pair_run_until(strangers_are_in);
	fds[0] = connect_mute(1);
	strangers_wanted = PER_SOURCE;
	pair_run_until(strangers_are_in);
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
		if (strangers_wanted % PAIR_BACKLOG == 0)
			pair_run_until(strangers_are_in);
	}
	mute = connect_mute(1 + IN_ALL / PER_SOURCE);
	pair_run_until(is_closed);
	ck_assert_uint_eq(pair_list(&pair.b).count, IN_ALL);
	ck_assert_int_eq(pair.b.refused, 0);
	close(mute);
	for (i = 0; i < IN_ALL; i++)
		close(fds[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn_accept");
	TCase *tc = pair_case(suite, "strangers", pair_setup);

	tcase_add_test(tc, caps_strangers_of_one_source);
	tcase_add_test(tc, caps_strangers_in_all);
	tc = pair_case(suite, "clients", setup_stranger);
	tcase_add_test(tc, turns_strangers_away);
	return pair_run(suite);
}
