// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/config: what is read, and that everything else is refused with the line that
 * is to blame. The last cases throw broken files at it; run them under AddressSanitizer.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"

enum { WHY_BYTES = 512, FILE_BYTES = 4096, BROKEN_FILES = 3000, SEED = 7 };

#define NODE  "[node]\nname = n1\nlisten = 10.0.0.1:7401\n"
#define TLS   "[tls]\ncert = /c.pem\nkey = /c.key\nca = /ca.pem\n"
#define PEERS "[peer n2]\naddress = 10.0.0.2\n[peer n3]\naddress = [fd00::3]:7403\n"
#define GOOD  NODE TLS PEERS

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  (1000 * NS_PER_MS)
#define NS_PER_M  (60 * NS_PER_S)
#define NS_PER_H  (60 * NS_PER_M)

static char path[] = "/tmp/knell-test-config-XXXXXX";
static char why[WHY_BYTES];
static struct config config;

static int read_bytes(const void *bytes, size_t length)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
	fclose(file);
	return config_read(&config, path, why, sizeof(why));
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void setup(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	memset(&config, 0, sizeof(config));
}

static void teardown(void)
{
	config_free(&config);
	unlink(path);
}

START_TEST(reads_everything)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&config.listen;
	const struct sockaddr_in6 *v6;

	ck_assert_msg(
		!read_text("# comment\n\n[node]\nname = n1\nlisten = 10.0.0.1:7401\n"
			   "profile = rack\npin = /sys/fs/bpf/other\nsocket = /run/k.sock\n"
			   "link = eth0\nring_bytes = 8192\n" TLS "[cache]\nper_peer = 3\n"
			   "[watch]\nprefix = 10.9.0.0/16\nprefix = fd00::/64 shared\n" PEERS),
		"%s", why);
	ck_assert_str_eq(why, "");
	ck_assert_str_eq(config.name, "n1");
	ck_assert_int_eq(v4->sin_family, AF_INET);
	ck_assert_int_eq(ntohs(v4->sin_port), 7401);
	ck_assert_int_eq(config.profile, KNELL_PROFILE_RACK);
	ck_assert_str_eq(config.pin_dir, "/sys/fs/bpf/other");
	ck_assert_str_eq(config.socket, "/run/k.sock");
	ck_assert_str_eq(config.link, "eth0");
	ck_assert_uint_eq(config.ring_bytes, 8192);
	ck_assert_str_eq(config.cert, "/c.pem");
	ck_assert_str_eq(config.key, "/c.key");
	ck_assert_str_eq(config.ca, "/ca.pem");
	ck_assert_uint_eq(config.cache.per_peer, 3);
	ck_assert_uint_eq(config.watch_count, 2);
	ck_assert_uint_eq(config.watch[0].key.prefix_bits, KNELL_V4_PREFIX_BITS + 16);
	ck_assert_uint_eq(config.watch[0].flags, 0);
	ck_assert_uint_eq(config.watch[1].key.prefix_bits, 64);
	ck_assert_uint_eq(config.watch[1].flags, KNELL_WATCH_SHARED);
	ck_assert_uint_eq(config.peer_count, 2);
	ck_assert_str_eq(config.peers[0].name, "n2");
	v4 = (const struct sockaddr_in *)&config.peers[0].addr;
	ck_assert_int_eq(ntohs(v4->sin_port), CONFIG_PORT_DEFAULT);
	ck_assert_str_eq(config.peers[1].name, "n3");
	v6 = (const struct sockaddr_in6 *)&config.peers[1].addr;
	ck_assert_int_eq(v6->sin6_family, AF_INET6);
	ck_assert_int_eq(ntohs(v6->sin6_port), 7403);
}
END_TEST

START_TEST(reads_limits_and_times)
{
	ck_assert_msg(!read_text(GOOD "[cache]\nwaiting = 7\nidle = 90s\nlifetime = 36h\n"
				      "[timeouts]\nconnect = 1500ms\ntcp_keepalive = 2m\n"
				      "ping_interval = 250ms\nping_timeout = 20s\n"
				      "ping_while_idle = no\ncall = 1h\nper_peer = 700ms\n"),
		      "%s", why);
	ck_assert_uint_eq(config.cache.waiting, 7);
	ck_assert_uint_eq(config.cache.idle_ns, 90 * NS_PER_S);
	ck_assert_uint_eq(config.cache.lifetime_ns, 36 * NS_PER_H);
	ck_assert_uint_eq(config.timeouts.connect_ns, 1500 * NS_PER_MS);
	ck_assert_uint_eq(config.timeouts.tcp_keepalive_ns, 2 * NS_PER_M);
	ck_assert_uint_eq(config.timeouts.ping_interval_ns, 250 * NS_PER_MS);
	ck_assert_uint_eq(config.timeouts.ping_timeout_ns, 20 * NS_PER_S);
	ck_assert(!config.timeouts.ping_while_idle);
	ck_assert_uint_eq(config.timeouts.call_ns, NS_PER_H);
	ck_assert_uint_eq(config.timeouts.per_peer_ns, 700 * NS_PER_MS);
	ck_assert_uint_eq(config.cache.per_peer, 2);
}
END_TEST

START_TEST(reads_never)
{
	ck_assert_msg(!read_text(GOOD "[cache]\nidle = 0\nlifetime = 0\n"
				      "[timeouts]\ntcp_keepalive = 0\nping_interval = 0s\n"),
		      "%s", why);
	ck_assert_uint_eq(config.cache.idle_ns, 0);
	ck_assert_uint_eq(config.cache.lifetime_ns, 0);
	ck_assert_uint_eq(config.timeouts.tcp_keepalive_ns, 0);
	ck_assert_uint_eq(config.timeouts.ping_interval_ns, 0);
}
END_TEST

START_TEST(reads_who_may_ask_and_where)
{
	static const char *const loopbacks[] = {"127.0.0.1:7401", "127.9.9.9:1", "[::1]:7401",
						"[::ffff:127.0.0.1]:7401"};
	const struct sockaddr_un *un = (const struct sockaddr_un *)&config.grpc_local;
	char text[FILE_BYTES];
	size_t i;

	ck_assert_msg(!read_text(GOOD "[grpc]\nlocal = /run/knell/grpc.sock\nclient = watcher\n"
				      "client = ops.example\n"
				      "[store]\ndrive = /srv/1\ndrive = /srv/2\n"),
		      "%s", why);
	ck_assert_int_eq(un->sun_family, AF_UNIX);
	ck_assert_str_eq(un->sun_path, "/run/knell/grpc.sock");
	ck_assert_uint_eq(config.client_count, 2);
	ck_assert_str_eq(config.clients[0].name, "watcher");
	ck_assert_str_eq(config.clients[1].name, "ops.example");
	ck_assert_uint_eq(config.drive_count, 2);
	ck_assert_str_eq(config.drives[0], "/srv/1");
	ck_assert_str_eq(config.drives[1], "/srv/2");
	for (i = 0; i < sizeof(loopbacks) / sizeof(loopbacks[0]); i++) {
		config_free(&config);
		snprintf(text, sizeof(text), GOOD "[grpc]\nlocal = %s\n", loopbacks[i]);
		ck_assert_msg(!read_text(text), "%s", why);
		ck_assert_int_eq(config.grpc_local.ss_family,
				 loopbacks[i][0] == '[' ? AF_INET6 : AF_INET);
	}
}
END_TEST

/* Whoever listens on every address has none that a peer's could equal. */
START_TEST(takes_different_hosts)
{
	ck_assert_msg(!read_text("[node]\nname = n1\nlisten = [::]:7400\n" TLS PEERS
				 "[peer n4]\naddress = 10.0.0.4:7400\n"),
		      "%s", why);
	ck_assert_uint_eq(config.peer_count, 3);
}
END_TEST

START_TEST(has_defaults)
{
	ck_assert_msg(!read_text(NODE TLS), "%s", why);
	ck_assert_int_eq(config.profile, KNELL_PROFILE_LAN);
	ck_assert_str_eq(config.pin_dir, KNELL_PIN_DEFAULT);
	ck_assert_str_eq(config.socket, CONFIG_SOCKET_DEFAULT);
	ck_assert_str_eq(config.link, "");
	ck_assert_uint_eq(config.cache.per_peer, 2);
	ck_assert_uint_eq(config.cache.waiting, 1024);
	ck_assert_uint_eq(config.cache.idle_ns, 5 * NS_PER_M);
	ck_assert_uint_eq(config.cache.lifetime_ns, NS_PER_H);
	ck_assert_uint_eq(config.timeouts.connect_ns, 3 * NS_PER_S);
	ck_assert_uint_eq(config.timeouts.tcp_keepalive_ns, 10 * NS_PER_S);
	ck_assert_uint_eq(config.timeouts.ping_interval_ns, 5 * NS_PER_S);
	ck_assert_uint_eq(config.timeouts.ping_timeout_ns, 3 * NS_PER_S);
	ck_assert(config.timeouts.ping_while_idle);
	ck_assert_uint_eq(config.timeouts.call_ns, 30 * NS_PER_S);
	ck_assert_uint_eq(config.timeouts.per_peer_ns, 2 * NS_PER_S);
	ck_assert_int_eq(config.grpc_local.ss_family, AF_UNSPEC);
	ck_assert_uint_eq(config.client_count, 0);
	ck_assert_uint_eq(config.drive_count, 0);
	ck_assert_uint_eq(config.ring_bytes, 0);
	ck_assert_uint_eq(config.peer_count, 0);
	ck_assert_uint_eq(config.watch_count, 0);
}
END_TEST

/* Without a newline at the end, with CRs, with blanks around, with a comment behind. */
START_TEST(forgives_layout)
{
	ck_assert_msg(!read_text("[node]\r\nname=n1\r\nlisten =   [::1]  \r\n[tls]\ncert=/c\n"
				 "key : /k\nca = /a ; the cluster's\n[peer n2]\naddress=10.0.0.2"),
		      "%s", why);
	ck_assert_str_eq(config.name, "n1");
	ck_assert_str_eq(config.key, "/k");
	ck_assert_str_eq(config.ca, "/a");
	ck_assert_uint_eq(config.peer_count, 1);
}
END_TEST

struct refusal {
	const char *text;
	int line;	     /* 0: of the file as a whole */
	const char *thing;   /* in the reason */
	const char *way_out; /* too */
};

static const struct refusal refusals[] = {
	{NODE "colour = red\n", 4, "unknown key \"colour\" in [node]", "knelld(8)"},
	{NODE "NAME = n2\n", 4, "unknown key \"NAME\"", ""},
	{"colour = red\n", 1, "\"colour\" stands before the first [SECTION]", ""},
	{GOOD "[colours]\nred = 1\n", 12, "unknown section [colours]", "knelld(8)"},
	{GOOD "[colours]\n", 12, "unknown section [colours]", ""},
	{GOOD "[Node]\n", 12, "unknown section [Node]", ""},
	{GOOD "[peer n4]\n", 0, "peer n4 has no address", ""},
	{GOOD "[peer n2]\nweight = 1\n", 13, "unknown key \"weight\" in [peer n2]", "\"address\""},
	{GOOD "[peer ]\n", 12, "name \"\" must have 1 to 63", ""},
	{GOOD "[peer a/b]\n", 12, "name \"a/b\"", "letters, digits"},
	{GOOD "[peer n1]\naddress = 10.0.0.9\n", 0, "n1 is this node itself", "take [peer n1] out"},
	{GOOD "[peer n4]\naddress = 10.0.0.1:7409\n", 0,
	 "peer n4 has the address that this node, n1", "give it its own"},
	{GOOD "[peer n4]\naddress = [::ffff:10.0.0.1]\n", 0, "this node, n1, listens on", "n4"},
	{GOOD "[peer n4]\naddress = 10.0.0.2:7409\n", 0, "peers n2 and n4 have the same address",
	 "keep one"},
	{GOOD "[peer n4]\naddress = [::ffff:10.0.0.2]:7400\n", 0, "peers n2 and n4 have the same",
	 ""},
	{GOOD "[peer n4]\naddress = fd00:0::3\n", 0, "peers n3 and n4 have the same address", ""},
	{NODE "nonsense\n", 4, "not a setting", "KEY = VALUE"},
	{"[node\n", 1, "not a setting", "[SECTION]"},
	{"[node]\nlisten = 10.0.0.1\n" TLS, 0, "no name", "[node]"},
	{"[node]\nname = n1\n" TLS, 0, "no listen address", "[node]"},
	{NODE, 0, "no certificate", "knell cert"},
	{NODE "[tls]\ncert = /c\nkey = /k\n", 0, "no certificate", "ca in [tls]"},
	{"", 0, "no name", "[node]"},
	{"[node]\nname =\n", 2, "name \"\"", "1 to 63"},
	{"[node]\nname = a_b\n", 2, "\"a_b\"", "letters"},
	{"[node]\nlisten = n1\n", 2, "listen \"n1\"", "ADDRESS:PORT"},
	{"[node]\nlisten = 10.0.0\n", 2, "\"10.0.0\"", "ADDRESS:PORT"},
	{"[node]\nlisten = 10.0.0.1:0\n", 2, "10.0.0.1:0", ""},
	{"[node]\nlisten = 10.0.0.1:65536\n", 2, "65536", ""},
	{"[node]\nlisten = 10.0.0.1:\n", 2, "\"10.0.0.1:\"", ""},
	{"[node]\nlisten = 10.0.0.1:+7\n", 2, "+7", ""},
	{"[node]\nlisten = [fd00::1\n", 2, "[fd00::1", "[fd00::1]:7400"},
	{"[node]\nlisten = [fd00::1]7400\n", 2, "[fd00::1]7400", ""},
	{"[node]\nlisten = fe80::1%eth0\n", 2, "fe80::1%eth0", ""},
	{"[node]\nlisten = 1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb\n", 2, "1111",
	 ""},
	{"[node]\nprofile = slow\n", 2, "profile \"slow\"", "lan, rack, fast, safe or wan"},
	{"[node]\npin = knell\n", 2, "\"knell\"", "absolute path"},
	{"[node]\nsocket = ./k.sock\n", 2, "./k.sock", "absolute path"},
	{"[node]\nlink = a-very-long-interface\n", 2, "a-very-long-interface", "interface name"},
	{"[node]\nring_bytes = 2048\n", 2, "\"2048\"", "4096 to"},
	{"[node]\nring_bytes = 12288\n", 2, "12288", "power of two"},
	{"[node]\nring_bytes = -4096\n", 2, "-4096", "number"},
	{"[node]\nring_bytes = 4096k\n", 2, "4096k", "number"},
	{"[node]\nring_bytes = 99999999999999999999\n", 2, "9999", "number"},
	{"[tls]\ncert = c.pem\n", 2, "c.pem", "absolute path"},
	{"[cache]\nper_peer = 0\n", 2, "\"0\"", "from 1 to 4096"},
	{"[cache]\nper_peer = 4097\n", 2, "\"4097\"", "from 1 to 4096"},
	{"[cache]\nper_peer =\n", 2, "\"\"", "from 1 to 4096"},
	{"[cache]\nwaiting = 0\n", 2, "\"0\"", "from 1 to 65536"},
	{"[cache]\nidle = 5\n", 2, "\"5\" must be a time from 1s to 168h, or 0 for never",
	 "unit: ms, s, m or h"},
	{"[cache]\nidle = 999ms\n", 2, "\"999ms\"", "from 1s"},
	{"[cache]\nidle =\n", 2, "\"\" must be a time", ""},
	{"[cache]\nlifetime = 8d\n", 2, "\"8d\"", "ms, s, m or h"},
	{"[cache]\nlifetime = 169h\n", 2, "\"169h\"", "to 168h"},
	{"[timeouts]\n", 0, "no name", ""},
	{"[timeouts]\nread = 3s\n", 2, "unknown key \"read\" in [timeouts]", "knelld(8)"},
	{"[timeouts]\nconnect = 0\n", 2, "\"0\" must be a time from 10ms to 1m, with", "ms"},
	{"[timeouts]\nconnect = 2m\n", 2, "\"2m\"", "to 1m"},
	{"[timeouts]\nconnect = -3s\n", 2, "\"-3s\"", "from 10ms"},
	{"[timeouts]\nconnect = 3 s\n", 2, "\"3 s\"", "unit"},
	{"[timeouts]\nconnect = 18446744073709551616ms\n", 2, "\"18446744073709551616ms\"", ""},
	{"[timeouts]\nconnect = 5124095576030431h\n", 2, "\"5124095576030431h\"", ""},
	{"[timeouts]\ntcp_keepalive = 1500ms\n", 2, "\"1500ms\"", "a multiple of 1s"},
	{"[timeouts]\ntcp_keepalive = 3h\n", 2, "\"3h\"", "from 1s to 2h, or 0 for never"},
	{"[timeouts]\nping_interval = 99ms\n", 2, "\"99ms\"", "from 100ms"},
	{"[timeouts]\nping_timeout = 0\n", 2, "\"0\"", "from 10ms to 1h, with"},
	{"[timeouts]\nping_while_idle = 1\n", 2, "\"1\"", "yes or no"},
	{"[timeouts]\ncall = 0\n", 2, "\"0\"", "from 1ms to 24h, with"},
	{"[timeouts]\nper_peer = soon\n", 2, "\"soon\"", "from 1ms to 1h"},
	{"[grpc]\nlocal = grpc.sock\n", 2, "local \"grpc.sock\"", "in the clear"},
	{"[grpc]\nlocal = 10.0.0.1:7401\n", 2, "10.0.0.1:7401", "loopback ADDRESS:PORT"},
	{"[grpc]\nlocal = 127.0.0.1\n", 2, "\"127.0.0.1\"", "ADDRESS:PORT"},
	{"[grpc]\nlocal = 0.0.0.0:7401\n", 2, "0.0.0.0:7401", ""},
	{"[grpc]\nlocal = [::]:7401\n", 2, "[::]:7401", ""},
	{"[grpc]\nlocal = ::1\n", 2, "\"::1\"", ""},
	{"[grpc]\nlocal = [::1]\n", 2, "\"[::1]\"", ""},
	{"[grpc]\nlocal = localhost:7401\n", 2, "localhost:7401", ""},
	{"[grpc]\nlocal = /a\nlocal = /b\n", 3, "two places", "keep one"},
	{"[node]\nsocket = /run/k.sock\nname = n1\nlisten = 10.0.0.1\n" TLS
	 "[grpc]\nlocal = /run/k.sock\n",
	 0, "/run/k.sock is `local` in [grpc] and `socket` in [node]", "change one"},
	{"[grpc]\nclient = a_b\n", 2, "name \"a_b\"", "letters"},
	{"[grpc]\nclient =\n", 2, "name \"\"", ""},
	{"[store]\ndrive = srv\n", 2, "\"srv\"", "absolute path"},
	{"[store]\ndrive = /srv\ndrive = /srv\n", 3, "drive /srv stands here twice", "keep one"},
	{"[watch]\nprefix = 10.0.0.1/24\n", 2, "bits set beyond", "10.0.0.0/24"},
	{"[watch]\nprefix = 10.0.0.0/33\n", 2, "10.0.0.0/33", "up to 32"},
	{"[watch]\nprefix = everything\n", 2, "everything", "fd00::/64"},
	{"[watch]\nprefix = 10.0.0.0/8 nat\n", 2, "\"nat\"", "shared"},
	{GOOD "[peer n4]\naddress = db1.example:7400\n", 13, "db1.example", "not looked up"},
};

START_TEST(refuses)
{
	const struct refusal *refusal = &refusals[_i];
	const struct config before = {.cache.per_peer = 77};
	char place[128];

	config = before;
	ck_assert_int_eq(read_text(refusal->text), -EINVAL);
	if (refusal->line)
		snprintf(place, sizeof(place), "%s:%d: ", path, refusal->line);
	else
		snprintf(place, sizeof(place), "%s: ", path);
	ck_assert_msg(!strncmp(why, place, strlen(place)), "\"%s\" is not at %s", why, place);
	ck_assert_msg(strstr(why, refusal->thing) && strstr(why, refusal->way_out),
		      "\"%s\" lacks \"%s\" or \"%s\"", why, refusal->thing, refusal->way_out);
	ck_assert_ptr_null(strchr(why, '\n'));
	ck_assert_mem_eq(&config, &before, sizeof(config));
}
END_TEST

/* A setting whose value is @length letters long. */
static int read_long(const char *before, size_t length)
{
	char text[FILE_BYTES];
	int used = snprintf(text, sizeof(text), "%s", before);

	memset(text + used, 'a', length);
	text[used + length] = '\n';
	return read_bytes(text, used + length + 1);
}

START_TEST(refuses_what_is_too_long)
{
	ck_assert_int_eq(read_long("[node]\nname = ", CONFIG_NAME_MAX + 1), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, ":2: name"));
	ck_assert_int_eq(read_long(GOOD "[peer ", CONFIG_NAME_MAX + 1), -EINVAL);
	ck_assert_int_eq(read_long("[node]\nsocket = /", 108), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "longer than 107 characters"));
	ck_assert_int_eq(read_long("[node]\npin = /", CONFIG_PIN_DIR_MAX), -EINVAL);
	/* Longer than inih's line: it would fall apart into two settings. */
	ck_assert_int_eq(read_long("[node]\nname = n1\n[tls]\ncert = /", 1000), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, ":4: the line is longer than"));
	ck_assert_int_eq(read_long("[grpc]\nlocal = /", 107), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, ":2: local \"/aaa"));
	ck_assert_int_eq(read_long("[grpc]\nclient = ", CONFIG_NAME_MAX + 1), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, ":2: name"));
}
END_TEST

START_TEST(refuses_what_is_too_many)
{
	size_t size = (CONFIG_PEERS_MAX + 2) * (size_t)64, used = 0, i;
	char *text = malloc(size);

	ck_assert_ptr_nonnull(text);
	for (i = 0; i <= CONFIG_PEERS_MAX; i++)
		used += snprintf(text + used, size - used, "[peer p%zu]\naddress = 10.0.0.2:%zu\n",
				 i, i + 1);
	ck_assert_int_eq(read_bytes(text, used), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "more than 1024 peers"));
	used = snprintf(text, size, "[watch]\n");
	for (i = 0; i <= CONFIG_WATCH_MAX; i++)
		used += snprintf(text + used, size - used, "prefix = 10.0.%zu.0/24\n", i % 256);
	ck_assert_int_eq(read_bytes(text, used), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "more than 256 prefixes"));
	used = snprintf(text, size, "[store]\n");
	for (i = 0; i <= CONFIG_DRIVES_MAX; i++)
		used += snprintf(text + used, size - used, "drive = /srv/%zu\n", i);
	ck_assert_int_eq(read_bytes(text, used), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "more than 64 drives"));
	used = snprintf(text, size, "[grpc]\n");
	for (i = 0; i <= CONFIG_CLIENTS_MAX; i++)
		used += snprintf(text + used, size - used, "client = c%zu\n", i);
	ck_assert_int_eq(read_bytes(text, used), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "more than 64 clients"));
	free(text);
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
	ck_assert_int_eq(config_read(&config, "/nonexistent/k.conf", why, sizeof(why)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/nonexistent/k.conf: No such file"));
	ck_assert_int_eq(config_read(&config, "/tmp", why, sizeof(why)), -EISDIR);
	ck_assert_ptr_nonnull(strstr(why, "/tmp: cannot read: Is a directory"));
}
END_TEST

/* Either it is read, or it is refused in one line that begins with the file's name. */
static void read_broken(const char *bytes, size_t length)
{
	int err = read_bytes(bytes, length);

	if (!err) {
		config_free(&config);
		ck_assert_str_eq(why, "");
		return;
	}
	ck_assert_int_lt(err, 0);
	ck_assert_msg(!strncmp(why, path, strlen(path)), "\"%s\"", why);
}

START_TEST(survives_broken_files)
{
	static const char whole[] =
		GOOD "[cache]\nidle = 5m\n[timeouts]\ncall = 30s\n[grpc]\nlocal = /k\nclient = c\n"
		     "[store]\ndrive = /d\n[watch]\nprefix = 10.0.0.0/8 shared\n";
	static const char spice[] = "[]=\n\r :;#/.\"\0\xff\t%sn0";
	char bytes[sizeof(whole) + 64];
	size_t length = sizeof(whole) - 1, at, i;
	int round, changes;

	srandom(SEED);
	for (i = 0; i <= length; i++)
		read_broken(whole, i);
	for (round = 0; round < BROKEN_FILES; round++) {
		memcpy(bytes, whole, length);
		for (changes = 1 + (int)(random() % 4); changes; changes--) {
			at = random() % length;
			bytes[at] = spice[random() % (sizeof(spice) - 1)];
		}
		read_broken(bytes, length);
	}
	for (round = 0; round < BROKEN_FILES / 10; round++) {
		length = random() % sizeof(bytes);
		for (i = 0; i < length; i++)
			bytes[i] = (char)random();
		read_broken(bytes, length);
	}
}
END_TEST

/* However small the room for the reason, it is ended and not overrun. */
START_TEST(respects_the_room_for_the_reason)
{
	char small[8];
	size_t size;

	ck_assert_int_eq(read_text(NODE "colour = red\n"), -EINVAL);
	for (size = 1; size <= sizeof(small); size++) {
		memset(small, 'x', sizeof(small));
		ck_assert_int_lt(config_read(&config, path, small, size), 0);
		ck_assert_uint_lt(strnlen(small, sizeof(small)), size);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, reads_everything);
	tcase_add_test(tc, takes_different_hosts);
	tcase_add_test(tc, has_defaults);
	tcase_add_test(tc, reads_limits_and_times);
	tcase_add_test(tc, reads_never);
	tcase_add_test(tc, reads_who_may_ask_and_where);
	tcase_add_test(tc, forgives_layout);
	tcase_add_loop_test(tc, refuses, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tc, refuses_what_is_too_long);
	tcase_add_test(tc, refuses_what_is_too_many);
	tcase_add_test(tc, refuses_what_is_no_file);
	tcase_add_test(tc, survives_broken_files);
	tcase_add_test(tc, respects_the_room_for_the_reason);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
