// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/tls and tls_context: who is let in, who is not, and whether the reason
 * can be read, on both sides. Where our own side would not do what the test needs (show an expired
 * certificate, or none), a blocking OpenSSL peer in a thread does it.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "io/listen.h"
#include "io/loop.h"
#include "io/loop_poll.h"
#include "io/reason.h"
#include "io/tls.h"
#include "io/tls_context.h"
#include "io_certs.h"

#define NS_PER_MS UINT64_C(1000000)

enum { DEADLINE_MS = 10000, BIG_BYTES = 3 << 20 };

static char dir[] = "/tmp/knell-test-tls-XXXXXX";
static struct loop *loop;
static struct listener *listener;
static struct timer deadline;
static bool timed_out;

struct end {
	struct tls *tls;
	struct tls_context *context;
	bool ready;
	int closed; /* 1: not told */
	char reason[REASON_BYTES];
	size_t received;
	size_t to_send, sent;
	bool echo;
	bool stop_when_ready, stop_when_closed;
	bool abort_when_ready, abort_on_data, abort_when_closed, close_when_ready;
};

static struct end client, server;

static void on_deadline(struct timer *timer)
{
	(void)timer;
	timed_out = true;
	loop_stop(loop);
}

static void run(void)
{
	loop_arm(loop, &deadline, loop_now_ns(loop) + DEADLINE_MS * NS_PER_MS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_msg(!timed_out, "nothing happened within %d ms; client: %s, server: %s",
		      DEADLINE_MS, client.reason, server.reason);
}

static void give_up(struct end *end, bool abort)
{
	if (abort)
		tls_abort(end->tls);
	else
		tls_close(end->tls);
	end->tls = NULL;
}

static void pump(struct end *end)
{
	static const uint8_t piece[20000];

	while (end->tls && end->sent < end->to_send) {
		size_t len = end->to_send - end->sent;

		if (len > sizeof(piece))
			len = sizeof(piece);
		if (tls_send(end->tls, piece, len))
			return;
		end->sent += len;
	}
}

static void end_ready(void *ctx)
{
	struct end *end = ctx;

	ck_assert(!end->ready);
	end->ready = true;
	if (end->abort_when_ready || end->close_when_ready)
		give_up(end, end->abort_when_ready);
	if (end->stop_when_ready || end->abort_when_ready)
		loop_stop(loop);
	pump(end);
}

static void end_data(void *ctx, const uint8_t *data, size_t len)
{
	struct end *end = ctx;

	if (end->abort_on_data) {
		give_up(end, true);
		loop_stop(loop);
		return;
	}
	end->received += len;
	if (end->echo)
		ck_assert_int_eq(tls_send(end->tls, data, len), 0);
	if (end->to_send && end->received == end->to_send)
		loop_stop(loop);
}

static void end_writable(void *ctx)
{
	pump(ctx);
}

static void end_close(void *ctx, int err, const char *reason)
{
	struct end *end = ctx;

	ck_assert_int_eq(end->closed, 1);
	end->closed = err;
	snprintf(end->reason, sizeof(end->reason), "%s", reason);
	if (end->abort_when_closed)
		give_up(end, true);
	if (end->stop_when_closed)
		loop_stop(loop);
}

static const struct tls_callbacks end_events = {
	.on_ready = end_ready,
	.on_data = end_data,
	.on_writable = end_writable,
	.on_close = end_close,
};

static struct tls_context *context_of(const char *name, const char *ca)
{
	char cert_file[64], key_file[64], paths[3][IO_CERTS_PATH_BYTES], why[300];
	struct tls_context *context = NULL;
	int err;

	snprintf(cert_file, sizeof(cert_file), "%s.crt", name);
	snprintf(key_file, sizeof(key_file), "%s.key", name);
	err = tls_context_open(io_certs_path(paths[0], dir, cert_file),
			       io_certs_path(paths[1], dir, key_file),
			       io_certs_path(paths[2], dir, ca), &context, why, sizeof(why));
	ck_assert_msg(!err, "%s", why);
	ck_assert_str_eq(why, "");
	return context;
}

static void on_accept(void *ctx, int fd)
{
	(void)ctx;
	ck_assert_int_eq(
		tls_accept(loop, fd, NULL, server.context, &end_events, &server, &server.tls), 0);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void setup(void)
{
	struct sockaddr_in addr = loopback(0);
	char why[200];

	ck_assert_msg(loop_open(&loop, why, sizeof(why)) == 0, "%s", why);
	ck_assert_int_eq(
		listen_open(loop, (struct sockaddr *)&addr, 16, on_accept, NULL, &listener), 0);
	deadline = (struct timer){.fire = on_deadline};
	timed_out = false;
	client = (struct end){.closed = 1};
	server = (struct end){.closed = 1};
}

static void teardown(void)
{
	tls_abort(client.tls);
	tls_abort(server.tls);
	listen_close(listener);
	loop_disarm(loop, &deadline);
	loop_close(loop);
	tls_context_close(client.context);
	tls_context_close(server.context);
}

static void make_certs(void)
{
	io_certs_make(dir);
}

static void remove_certs(void)
{
	io_certs_remove(dir);
}

static void connect_to(uint16_t port, const char *expected)
{
	struct sockaddr_in addr = loopback(port);

	ck_assert_int_eq(tls_connect(loop, (struct sockaddr *)&addr, NULL, client.context, expected,
				     &end_events, &client, &client.tls),
			 0);
}

static void open_pair(const char *client_cert, const char *server_cert, const char *expected)
{
	client.context = context_of(client_cert, "ca.crt");
	server.context = context_of(server_cert, "ca.crt");
	connect_to(listen_port(listener), expected);
}

static void run_until_both_closed(void)
{
	client.stop_when_closed = server.stop_when_closed = true;
	while (client.closed == 1 || server.closed == 1)
		run();
}

/* ---- a blocking peer ---- */

struct raw_peer {
	pthread_t thread;
	int fd;
	int done; /* eventfd */
	bool is_server;
	const char *name;     /* certificate to show, NULL: none */
	time_t believes_time; /* 0: the real one */
	const char *alpn;     /* NULL: h2 */
	char error[200];      /* what it ended with */
};

static const char *last_error(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_error());

	return words ? words : "";
}

static int choose_first(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
			const unsigned char *offered, unsigned offered_len, void *ctx)
{
	(void)ssl;
	(void)ctx;
	ck_assert_uint_ge(offered_len, 3);
	*chosen = offered + 1;
	*chosen_len = offered[0];
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *raw_context(const struct raw_peer *peer)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	char path[IO_CERTS_PATH_BYTES], file[64];

	if (peer->name) {
		snprintf(file, sizeof(file), "%s.crt", peer->name);
		SSL_CTX_use_certificate_chain_file(ctx, io_certs_path(path, dir, file));
		snprintf(file, sizeof(file), "%s.key", peer->name);
		SSL_CTX_use_PrivateKey_file(ctx, io_certs_path(path, dir, file), SSL_FILETYPE_PEM);
	}
	SSL_CTX_load_verify_file(ctx, io_certs_path(path, dir, "ca.crt"));
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (peer->believes_time)
		X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ctx), peer->believes_time);
	SSL_CTX_set_alpn_select_cb(ctx, choose_first, NULL);
	if (!peer->is_server)
		SSL_CTX_set_alpn_protos(
			ctx, (const unsigned char *)(peer->alpn ? peer->alpn : "\x02h2"), 3);
	return ctx;
}

static void *raw_run(void *arg)
{
	struct raw_peer *peer = arg;
	SSL_CTX *ctx = raw_context(peer);
	SSL *ssl = SSL_new(ctx);
	char byte;
	int fd = peer->fd;

	if (peer->is_server)
		fd = accept(peer->fd, NULL, NULL);
	SSL_set_fd(ssl, fd);
	ERR_clear_error();
	if ((peer->is_server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1 ||
	    SSL_read(ssl, &byte, 1) <= 0)
		snprintf(peer->error, sizeof(peer->error), "%s", last_error());
	ERR_clear_error();
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	if (peer->is_server)
		close(peer->fd);
	eventfd_write(peer->done, 1);
	return NULL;
}

static void on_raw_done(void *ctx, uint32_t revents)
{
	(void)ctx;
	(void)revents;
	loop_stop(loop);
}

/* Gives our ends up and lets the loop run until the peer has heard of it. */
static void raw_finish(struct raw_peer *peer)
{
	struct loop_poll *poll;

	give_up(&client, false);
	give_up(&server, false);
	ck_assert_int_eq(loop_poll(loop, peer->done, POLLIN, on_raw_done, NULL, &poll), 0);
	run();
	loop_poll_stop(poll);
	pthread_join(peer->thread, NULL);
	close(peer->done);
}

/* Starts the peer; the port that it listens on when it is a server. */
static uint16_t raw_start(struct raw_peer *peer)
{
	struct sockaddr_in addr = loopback(peer->is_server ? 0 : listen_port(listener));
	socklen_t len = sizeof(addr);

	peer->done = eventfd(0, EFD_NONBLOCK);
	peer->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (peer->is_server) {
		ck_assert_int_eq(bind(peer->fd, (struct sockaddr *)&addr, len), 0);
		ck_assert_int_eq(listen(peer->fd, 1), 0);
		ck_assert_int_eq(getsockname(peer->fd, (struct sockaddr *)&addr, &len), 0);
	} else {
		ck_assert_int_eq(connect(peer->fd, (struct sockaddr *)&addr, len), 0);
	}
	ck_assert_int_eq(pthread_create(&peer->thread, NULL, raw_run, peer), 0);
	return ntohs(addr.sin_port);
}

/* ---- tests ---- */

START_TEST(both_sides_learn_each_others_name)
{
	const char *shown = _i ? "cn" : "b";

	open_pair(shown, "a", "a");
	server.stop_when_ready = true;
	run();
	ck_assert_str_eq(tls_peer_name(server.tls), shown);
	ck_assert_str_eq(tls_peer_name(client.tls), "a");
	ck_assert_int_ge(tls_fd(server.tls), 0);
	/* In order: the peer hears of it, and it is not an error. */
	server.stop_when_closed = true;
	give_up(&client, false);
	run();
	ck_assert_int_eq(server.closed, 0);
	ck_assert_str_eq(server.reason, "peer closed the connection");
	ck_assert_int_eq(tls_send(server.tls, "x", 1), -EPIPE);
}
END_TEST

START_TEST(big_transfer_with_back_pressure)
{
	open_pair("b", "a", "a");
	client.to_send = BIG_BYTES;
	server.echo = true;
	run();
	ck_assert_uint_eq(server.received, BIG_BYTES);
	ck_assert_uint_eq(client.received, BIG_BYTES);
}
END_TEST

struct refusal {
	const char *client, *server, *expected;
	const char *client_reason, *server_reason;
};

/* The side that refuses says why in full; the other says which alert it got. */
static const struct refusal refusals[] = {
	{"b", "a", "c", "name mismatch: expected c, got a",
	 "peer refused our certificate: alert bad certificate"},
	{"b", "cn", "cn", "name mismatch: expected cn, got cn",
	 "peer refused our certificate: alert bad certificate"},
	{"b", "wild", "x.example", "name mismatch: expected x.example, got *.example",
	 "peer refused our certificate: alert bad certificate"},
	{"b", "self", "a", "self-signed certificate",
	 "peer refused our certificate: alert unknown CA"},
	{"b", "stranger", "a", "unable to get local issuer certificate",
	 "peer refused our certificate: alert unknown CA"},
	{"self", "a", "a", "peer refused our certificate: alert unknown CA",
	 "self-signed certificate"},
	{"stranger", "a", "a", "peer refused our certificate: alert unknown CA",
	 "unable to get local issuer certificate"},
};

START_TEST(refusals_are_readable_on_both_sides)
{
	const struct refusal *refusal = &refusals[_i];

	open_pair(refusal->client, refusal->server, refusal->expected);
	run_until_both_closed();
	ck_assert_str_eq(client.reason, refusal->client_reason);
	ck_assert_str_eq(server.reason, refusal->server_reason);
	ck_assert_int_eq(client.closed, -EPROTO);
	ck_assert_int_eq(server.closed, -EPROTO);
	ck_assert(!server.ready);
}
END_TEST

START_TEST(expired_or_future_server_is_refused)
{
	struct raw_peer peer = {.is_server = true, .name = _i ? "future" : "expired"};

	client.context = context_of("b", "ca.crt");
	client.stop_when_closed = true;
	connect_to(raw_start(&peer), "a");
	run();
	raw_finish(&peer);
	ck_assert_str_eq(client.reason,
			 _i ? "certificate is not yet valid" : "certificate has expired");
	ck_assert_str_eq(peer.error,
			 _i ? "sslv3 alert bad certificate" : "sslv3 alert certificate expired");
}
END_TEST

START_TEST(client_hears_that_its_certificate_expired)
{
	struct raw_peer peer = {
		.is_server = true, .name = "a", .believes_time = time(NULL) + 36 * 3600L};

	/* The CA lives two days, the client's certificate one. */
	client.context = context_of("b", "ca.crt");
	client.stop_when_closed = true;
	connect_to(raw_start(&peer), "a");
	run();
	pthread_join(peer.thread, NULL);
	ck_assert(client.ready);
	ck_assert_str_eq(client.reason, "peer refused our certificate: alert certificate expired");
	ck_assert_str_eq(peer.error, "certificate verify failed");
}
END_TEST

struct bad_client {
	const char *name, *alpn, *reason, *error;
};

static const struct bad_client bad_clients[] = {
	{"expired", NULL, "certificate has expired", "sslv3 alert certificate expired"},
	{NULL, NULL, "TLS failed: peer did not return a certificate",
	 "tlsv13 alert certificate required"},
	{"b", "\x02h3", "TLS failed: no application protocol",
	 "tlsv1 alert no application protocol"},
};

START_TEST(bad_client_is_refused)
{
	const struct bad_client *bad = &bad_clients[_i];
	struct raw_peer peer = {.name = bad->name, .alpn = bad->alpn};

	server.context = context_of("a", "ca.crt");
	server.stop_when_closed = true;
	raw_start(&peer);
	run();
	raw_finish(&peer);
	ck_assert_str_eq(server.reason, bad->reason);
	ck_assert_str_eq(peer.error, bad->error);
}
END_TEST

START_TEST(garbage_is_refused)
{
	static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff",
					      "\x16\x03\x01\x00\x02\x01"};
	struct sockaddr_in addr = loopback(listen_port(listener));
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	server.context = context_of("a", "ca.crt");
	server.stop_when_closed = true;
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_gt(write(fd, garbage[_i], strlen(garbage[_i]) + 1), 0);
	shutdown(fd, SHUT_WR);
	run();
	ck_assert_int_lt(server.closed, 0);
	ck_assert_int_gt(strlen(server.reason), 10);
	close(fd);
}
END_TEST

START_TEST(peer_gone_during_handshake)
{
	struct sockaddr_in addr = loopback(listen_port(listener));
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	server.context = context_of("a", "ca.crt");
	server.stop_when_closed = true;
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	run();
	ck_assert_int_eq(server.closed, -ECONNRESET);
	ck_assert_str_eq(server.reason, "peer closed the connection during the TLS handshake");
}
END_TEST

START_TEST(refused_connect_is_readable)
{
	uint16_t port = listen_port(listener);

	listen_close(listener);
	listener = NULL;
	loop_close(loop);
	setup();
	client.context = context_of("b", "ca.crt");
	client.stop_when_closed = true;
	connect_to(port, "a");
	run();
	ck_assert_int_eq(client.closed, -ECONNREFUSED);
	ck_assert_str_eq(client.reason, "cannot connect: Connection refused");
}
END_TEST

START_TEST(abort_in_every_callback)
{
	client.abort_when_ready = _i == 0;
	server.abort_when_ready = _i == 1;
	server.abort_on_data = _i == 2;
	server.abort_when_closed = server.stop_when_closed = _i == 3;
	client.close_when_ready = _i == 3;
	client.to_send = 100;
	open_pair("b", "a", "a");
	run();
	ck_assert(!client.tls || !server.tls);
}
END_TEST

struct bad_files {
	const char *cert, *key, *ca;
	int err;
	const char *says;
};

static const struct bad_files bad_files[] = {
	{"none.crt", "a.key", "ca.crt", -ENOENT, "/none.crt: cannot read: No such file"},
	{"a.crt", "none.key", "ca.crt", -ENOENT, "/none.key: cannot read: No such file"},
	{"a.crt", "a.key", "none.crt", -ENOENT, "CA "},
	{".", "a.key", "ca.crt", -EISDIR, "cannot read: Is a directory"},
	{"a.crt", "b.key", "ca.crt", -EINVAL, "/b.key: does not fit the certificate"},
	{"a.key", "a.key", "ca.crt", -EINVAL, "/a.key: not a usable certificate: no start line"},
	{"a.crt", "a.crt", "ca.crt", -EINVAL, "/a.crt: not a usable private key"},
	{"a.crt", "a.key", "a.key", -EINVAL, "/a.key: not a usable certificate"},
	{"expired.crt", "expired.key", "ca.crt", -EKEYEXPIRED, "/expired.crt: expired on "},
	{"future.crt", "future.key", "ca.crt", -EKEYREJECTED,
	 "/future.crt: becomes valid only on "},
};

START_TEST(bad_files_are_named)
{
	const struct bad_files *bad = &bad_files[_i];
	struct tls_context *context = NULL;
	char paths[3][IO_CERTS_PATH_BYTES], why[300];

	ck_assert_int_eq(tls_context_open(io_certs_path(paths[0], dir, bad->cert),
					  io_certs_path(paths[1], dir, bad->key),
					  io_certs_path(paths[2], dir, bad->ca), &context, why,
					  sizeof(why)),
			 bad->err);
	ck_assert_ptr_null(context);
	ck_assert_msg(strstr(why, bad->says), "%s", why);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *suite = suite_create("io_tls");
	TCase *tcase = tcase_create("tls");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_unchecked_fixture(tcase, make_certs, remove_certs);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, both_sides_learn_each_others_name, 0, 2);
	tcase_add_test(tcase, big_transfer_with_back_pressure);
	tcase_add_loop_test(tcase, refusals_are_readable_on_both_sides, 0, COUNT(refusals));
	tcase_add_loop_test(tcase, expired_or_future_server_is_refused, 0, 2);
	tcase_add_test(tcase, client_hears_that_its_certificate_expired);
	tcase_add_loop_test(tcase, bad_client_is_refused, 0, COUNT(bad_clients));
	tcase_add_loop_test(tcase, garbage_is_refused, 0, 3);
	tcase_add_test(tcase, peer_gone_during_handshake);
	tcase_add_test(tcase, refused_connect_is_readable);
	tcase_add_loop_test(tcase, abort_in_every_callback, 0, 4);
	tcase_add_loop_test(tcase, bad_files_are_named, 0, COUNT(bad_files));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
