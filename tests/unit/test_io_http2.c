// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/http2: pings, requests, violations and floods, peers that leave at each
 * stage, and what it costs to let go of a thousand connections at once. A blocking OpenSSL peer in
 * a thread says what our own side never would.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "io/http2.h"
#include "io/http2_stream.h"
#include "io/listen.h"
#include "io/loop.h"
#include "io/loop_poll.h"
#include "io/reason.h"
#include "io/tls_context.h"
#include "io_certs.h"

#define NS_PER_MS UINT64_C(1000000)

#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define SANITIZED 1
#elif defined(__has_feature) /* clang */
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum { DEADLINE_MS = 30000, MANY = 1000, AT_ONCE = 50, PREFACE_BYTES = 24, FRAME_HEAD_BYTES = 9 };

static char dir[] = "/tmp/knell-test-http2-XXXXXX";
static struct loop *loop;
static struct listener *listener;
static struct tls_context *context_a, *context_b;
static struct timer deadline;
static bool timed_out;

struct end {
	struct http2 *http2;
	char peer_name[32];
	int ready, pings, acks, requests;
	bool asked_early; /* before it was ready */
	int closed;	  /* 1: not told */
	char reason[REASON_BYTES];
	uint8_t opaque[HTTP2_OPAQUE_BYTES];
	char method[16], path[64];
	bool stop_when_ready, stop_on_ping, stop_on_ack, stop_when_closed;
	bool abort_when_ready, abort_on_ping, abort_on_ack, abort_on_request, abort_when_closed;
	bool goaway_on_ping;
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
	ck_assert_msg(!timed_out, "nothing happened within %d ms; client: %s; server: %s",
		      DEADLINE_MS, client.reason, server.reason);
}

static void abort_end(struct end *end)
{
	http2_abort(end->http2);
	end->http2 = NULL;
	loop_stop(loop);
}

static void end_ready(void *ctx, const char *peer_name)
{
	struct end *end = ctx;

	end->ready++;
	snprintf(end->peer_name, sizeof(end->peer_name), "%s", peer_name);
	if (end->abort_when_ready)
		abort_end(end);
	if (end->stop_when_ready)
		loop_stop(loop);
}

static void end_ping(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct end *end = ctx;

	end->pings++;
	memcpy(end->opaque, opaque, HTTP2_OPAQUE_BYTES);
	if (end->abort_on_ping)
		abort_end(end);
	if (end->goaway_on_ping) {
		http2_goaway_close(end->http2);
		end->http2 = NULL;
	}
	if (end->stop_on_ping)
		loop_stop(loop);
}

static void end_ack(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct end *end = ctx;

	end->acks++;
	memcpy(end->opaque, opaque, HTTP2_OPAQUE_BYTES);
	if (end->abort_on_ack)
		abort_end(end);
	if (end->stop_on_ack)
		loop_stop(loop);
}

static void end_request(void *ctx, struct http2_stream *stream, const struct http2_head *head)
{
	static const struct http2_field answer[] = {
		{":status", "200"},
		{"content-type", "application/grpc"},
		{"grpc-status", "5"},
		{"grpc-message", "no such thing"},
	};
	struct end *end = ctx;

	end->requests++;
	end->asked_early |= !end->ready;
	snprintf(end->method, sizeof(end->method), "%s", head->value[HTTP2_METHOD]);
	snprintf(end->path, sizeof(end->path), "%s", head->value[HTTP2_PATH]);
	if (end->abort_on_request) {
		abort_end(end);
		return;
	}
	ck_assert_int_eq(http2_stream_respond(stream, answer, 4, true), 0);
	ck_assert_int_eq(http2_stream_respond(stream, answer, 4, true), -EPIPE);
}

static void end_close(void *ctx, int err, const char *reason)
{
	struct end *end = ctx;

	ck_assert_int_eq(end->closed, 1);
	end->closed = err;
	snprintf(end->reason, sizeof(end->reason), "%s", reason);
	if (end->abort_when_closed)
		abort_end(end);
	if (end->stop_when_closed)
		loop_stop(loop);
}

static const struct http2_callbacks plain_events = {
	.on_ready = end_ready,
	.on_ping = end_ping,
	.on_ping_ack = end_ack,
	.on_close = end_close,
};

static const struct http2_callbacks request_events = {
	.on_ready = end_ready,
	.on_request = end_request,
	.on_close = end_close,
};

static const struct http2_callbacks *server_events;

static void on_accept(void *ctx, int fd)
{
	(void)ctx;
	ck_assert_int_eq(http2_server(loop, fd, context_a, server_events, &server, &server.http2),
			 0);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static struct tls_context *context_of(const char *cert, const char *key)
{
	char paths[3][IO_CERTS_PATH_BYTES], why[300];
	struct tls_context *context = NULL;
	int err = tls_context_open(
		io_certs_path(paths[0], dir, cert), io_certs_path(paths[1], dir, key),
		io_certs_path(paths[2], dir, "ca.crt"), &context, why, sizeof(why));

	ck_assert_msg(!err, "%s", why);
	return context;
}

static void setup(void)
{
	struct sockaddr_in addr = loopback(0);
	char why[200];

	signal(SIGPIPE, SIG_IGN); /* the blocking peer's; our own sends do not raise it */
	ck_assert_msg(loop_open(&loop, why, sizeof(why)) == 0, "%s", why);
	ck_assert_int_eq(
		listen_open(loop, (struct sockaddr *)&addr, 2 * MANY, on_accept, NULL, &listener),
		0);
	deadline = (struct timer){.fire = on_deadline};
	client = (struct end){.closed = 1};
	server = (struct end){.closed = 1};
	server_events = &plain_events;
	context_a = context_of("a.crt", "a.key");
	context_b = context_of("b.crt", "b.key");
}

static void teardown(void)
{
	http2_abort(client.http2);
	http2_abort(server.http2);
	listen_close(listener);
	loop_disarm(loop, &deadline);
	loop_close(loop);
	tls_context_close(context_a);
	tls_context_close(context_b);
}

static void make_certs(void)
{
	io_certs_make(dir);
}

static void remove_certs(void)
{
	io_certs_remove(dir);
}

static void connect_to(uint16_t port, const char *expected, uint64_t timeout_ms)
{
	struct sockaddr_in addr = loopback(port);
	struct tcp_opts opts = {.connect_timeout_ns = timeout_ms * NS_PER_MS};

	ck_assert_int_eq(http2_client(loop, (struct sockaddr *)&addr, context_b, expected, &opts,
				      &plain_events, &client, &client.http2),
			 0);
}

static void open_pair(void)
{
	client.stop_when_ready = server.stop_when_ready = true;
	connect_to(listen_port(listener), "a", 0);
	while (!client.ready || !server.ready)
		run();
}

START_TEST(ready_once_with_verified_names)
{
	open_pair();
	ck_assert_int_eq(client.ready + server.ready, 2);
	ck_assert_str_eq(client.peer_name, "a");
	ck_assert_str_eq(server.peer_name, "b");
	ck_assert_int_ge(http2_fd(client.http2), 0);
}
END_TEST

START_TEST(ping_round_trip_in_both_roles)
{
	const uint8_t opaque[HTTP2_OPAQUE_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct end *from = _i ? &server : &client, *to = _i ? &client : &server;

	open_pair();
	from->stop_on_ack = true;
	for (int i = 1; i <= 100; i++) {
		ck_assert_int_eq(http2_ping(from->http2, opaque), 0);
		run();
		ck_assert_int_eq(from->acks, i);
		ck_assert_int_eq(to->pings, i);
	}
	ck_assert_mem_eq(to->opaque, opaque, sizeof(opaque));
	ck_assert_mem_eq(from->opaque, opaque, sizeof(opaque));
}
END_TEST

START_TEST(goaway_closes_in_order)
{
	open_pair();
	client.stop_when_closed = true;
	if (_i) {
		/* From inside nghttp2's callbacks, which must not be re-entered. */
		server.goaway_on_ping = true;
		ck_assert_int_eq(http2_ping(client.http2, (const uint8_t *)"12345678"), 0);
	} else {
		http2_goaway_close(server.http2);
		server.http2 = NULL;
	}
	run();
	ck_assert_int_eq(client.closed, 0);
	ck_assert_str_eq(client.reason, "peer closed the connection (GOAWAY)");
	ck_assert_int_eq(http2_ping(client.http2, (const uint8_t *)"12345678"), -ENOTCONN);
	ck_assert_int_eq(http2_fd(client.http2), -1);
}
END_TEST

START_TEST(abort_in_every_callback)
{
	client.abort_when_ready = _i == 0;
	server.abort_when_ready = _i == 1;
	server.abort_on_ping = _i == 2;
	client.abort_on_ack = _i == 3;
	client.abort_when_closed = _i == 4;
	client.stop_when_closed = server.stop_when_closed = true;
	if (_i < 2) {
		connect_to(listen_port(listener), "a", 0);
		while (client.closed == 1 && server.closed == 1)
			run();
		return;
	}
	open_pair();
	ck_assert_int_eq(http2_ping(client.http2, (const uint8_t *)"12345678"), 0);
	if (_i == 4)
		abort_end(&server);
	while (client.closed == 1 && server.closed == 1)
		run();
	ck_assert_int_eq(_i == 3 ? server.closed : client.closed, -ECONNRESET);
}
END_TEST

START_TEST(wrong_name_is_readable)
{
	client.stop_when_closed = true;
	connect_to(listen_port(listener), "c", 0);
	ck_assert_int_eq(http2_ping(client.http2, (const uint8_t *)"12345678"), -ENOTCONN);
	run();
	ck_assert_int_eq(client.closed, -EPROTO);
	ck_assert_str_eq(client.reason, "name mismatch: expected c, got a");
}
END_TEST

/* ---- frames by hand ---- */

struct script {
	uint8_t bytes[40000];
	size_t len;
};

static void say(struct script *script, const void *bytes, size_t len)
{
	memcpy(script->bytes + script->len, bytes, len);
	script->len += len;
}

static void frame(struct script *script, uint8_t type, uint8_t flags, uint32_t stream,
		  const void *payload, size_t len)
{
	const uint8_t head[FRAME_HEAD_BYTES] = {
		(uint8_t)(len >> 16),
		(uint8_t)(len >> 8),
		(uint8_t)len,
		type,
		flags,
		(uint8_t)(stream >> 24),
		(uint8_t)(stream >> 16),
		(uint8_t)(stream >> 8),
		(uint8_t)stream,
	};

	say(script, head, sizeof(head));
	say(script, payload, len);
}

enum {
	DATA = 0,
	HEADERS = 1,
	PRIORITY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	WINDOW_UPDATE = 8,
};
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

static void greet(struct script *script)
{
	say(script, PREFACE, PREFACE_BYTES);
	frame(script, SETTINGS, 0, 0, "", 0);
	frame(script, SETTINGS, ACK, 0, "", 0);
}

/* HPACK: POST (index 3), https (7), :path and :authority as literals without indexing. */
static void request(struct script *script, uint32_t stream, uint8_t flags, const char *path)
{
	static const uint8_t authority[] = {0x01, 0x01, 'a'};
	uint8_t block[2000] = {0x83, 0x87, 0x04};
	size_t len = 3, path_len = strlen(path);

	if (path_len < 127) {
		block[len++] = (uint8_t)path_len;
	} else {
		block[len++] = 127;
		block[len++] = (uint8_t)((path_len - 127) % 128 + 128);
		block[len++] = (uint8_t)((path_len - 127) / 128);
	}
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): HPACK tells the length instead. */
	memcpy(block + len, path, path_len);
	len += path_len;
	memcpy(block + len, authority, sizeof(authority));
	len += sizeof(authority);
	frame(script, HEADERS, flags | END_HEADERS, stream, block, len);
}

/* ---- a blocking peer that says what it is told to ---- */

struct raw_peer {
	pthread_t thread;
	int fd, done;
	bool is_server;
	bool small_window;
	bool no_tls; /* closes, or says `script`, in the clear */
	const uint8_t *script;
	size_t script_len;
	size_t repeat; /* how often the script's tail of `repeat_len` is said again */
	size_t repeat_len;
	uint32_t requests; /* how many to send without reading one answer */
	uint32_t resets;   /* how many to send and reset at once, then GOAWAY */
	bool hang_up;	   /* closes at once, else listens until the other side closes */
	uint8_t heard[4096];
	size_t heard_len;
};

static int choose_first(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
			const unsigned char *offered, unsigned offered_len, void *ctx)
{
	(void)ssl;
	(void)ctx;
	(void)offered_len;
	*chosen = offered + 1;
	*chosen_len = offered[0];
	return SSL_TLSEXT_ERR_OK;
}

static void raw_flood(SSL *ssl, uint32_t requests)
{
	static struct script script;

	for (uint32_t i = 0; i < requests;) {
		script.len = 0;
		for (int n = 0; n < 90; n++, i++)
			request(&script, 2 * i + 1, END_STREAM, "/");
		if (SSL_write(ssl, script.bytes, (int)script.len) <= 0)
			return;
	}
}

static void raw_resets(SSL *ssl, uint32_t resets)
{
	static struct script script;

	for (uint32_t i = 0; i < resets;) {
		script.len = 0;
		for (int n = 0; n < 90; n++, i++) {
			request(&script, 2 * i + 1, i & 1 ? END_STREAM : 0, "/x");
			frame(&script, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
		}
		if (SSL_write(ssl, script.bytes, (int)script.len) <= 0)
			return;
	}
	script.len = 0;
	frame(&script, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	SSL_write(ssl, script.bytes, (int)script.len);
}

static void raw_talk(struct raw_peer *peer, SSL *ssl)
{
	bool open = SSL_write(ssl, peer->script, (int)peer->script_len) > 0 || !peer->script_len;

	for (size_t i = 0; open && i < peer->repeat; i++)
		open = SSL_write(ssl, peer->script + peer->script_len - peer->repeat_len,
				 (int)peer->repeat_len) > 0;
	if (open && peer->requests)
		raw_flood(ssl, peer->requests);
	if (open && peer->resets)
		raw_resets(ssl, peer->resets);
	while (!peer->hang_up && peer->heard_len < sizeof(peer->heard)) {
		int len = SSL_read(ssl, peer->heard + peer->heard_len,
				   (int)(sizeof(peer->heard) - peer->heard_len));

		if (len <= 0)
			break;
		peer->heard_len += (size_t)len;
	}
}

static void *raw_run(void *arg)
{
	struct raw_peer *peer = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	char path[IO_CERTS_PATH_BYTES];
	SSL *ssl;
	int fd = peer->is_server ? accept(peer->fd, NULL, NULL) : peer->fd;

	SSL_CTX_use_certificate_chain_file(
		ctx, io_certs_path(path, dir, peer->is_server ? "a.crt" : "b.crt"));
	SSL_CTX_use_PrivateKey_file(ctx,
				    io_certs_path(path, dir, peer->is_server ? "a.key" : "b.key"),
				    SSL_FILETYPE_PEM);
	SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
	SSL_CTX_set_alpn_select_cb(ctx, choose_first, NULL);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (!peer->no_tls && (peer->is_server ? SSL_accept(ssl) : SSL_connect(ssl)) == 1)
		raw_talk(peer, ssl);
	else if (peer->no_tls && !peer->hang_up)
		while (read(fd, peer->heard, sizeof(peer->heard)) > 0)
			;
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	if (peer->is_server)
		close(peer->fd);
	eventfd_write(peer->done, 1);
	return NULL;
}

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
		const int bytes = 4096;

		if (peer->small_window)
			setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		ck_assert_int_eq(connect(peer->fd, (struct sockaddr *)&addr, len), 0);
	}
	ck_assert_int_eq(pthread_create(&peer->thread, NULL, raw_run, peer), 0);
	return ntohs(addr.sin_port);
}

static void on_raw_done(void *ctx, uint32_t revents)
{
	(void)ctx;
	(void)revents;
	loop_stop(loop);
}

/* Waits until the peer has ended; on_close of our side has been told by then. */
static void raw_finish(struct raw_peer *peer)
{
	struct loop_poll *poll;

	ck_assert_int_eq(loop_poll(loop, peer->done, POLLIN, on_raw_done, NULL, &poll), 0);
	run();
	loop_poll_stop(poll);
	pthread_join(peer->thread, NULL);
	close(peer->done);
}

/* Whether the peer heard a frame of `type` on `stream`, and its payload. */
static const uint8_t *heard(const struct raw_peer *peer, uint8_t type, uint32_t stream, size_t *len)
{
	size_t at = 0;

	while (at + FRAME_HEAD_BYTES <= peer->heard_len) {
		const uint8_t *head = peer->heard + at;
		size_t payload = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		uint32_t on = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 |
			      (uint32_t)head[7] << 8 | head[8];

		if (head[3] == type && on == stream &&
		    at + FRAME_HEAD_BYTES + payload <= peer->heard_len) {
			*len = payload;
			return head + FRAME_HEAD_BYTES;
		}
		at += FRAME_HEAD_BYTES + payload;
	}
	return NULL;
}

static uint32_t goaway_code(const struct raw_peer *peer)
{
	size_t len = 0;
	const uint8_t *payload = heard(peer, GOAWAY, 0, &len);

	ck_assert_msg(payload && len >= 8, "no GOAWAY was heard");
	return (uint32_t)payload[4] << 24 | (uint32_t)payload[5] << 16 | (uint32_t)payload[6] << 8 |
	       payload[7];
}

/* The grpc-status in a block of headers, which must be a whole 200 answer. */
static const char *grpc_status(const uint8_t *block, size_t len)
{
	static char status[16];
	nghttp2_hd_inflater *inflater;
	int flags = 0;
	bool ok = false;

	status[0] = 0;
	ck_assert_int_eq(nghttp2_hd_inflate_new(&inflater), 0);
	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, block, len, 1);

		ck_assert_int_ge(used, 0);
		block += used;
		len -= (size_t)used;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
			continue;
		ok |= !strcmp((char *)nv.name, ":status") && !strcmp((char *)nv.value, "200");
		if (!strcmp((char *)nv.name, "grpc-status"))
			snprintf(status, sizeof(status), "%s", (char *)nv.value);
	}
	nghttp2_hd_inflate_del(inflater);
	ck_assert(ok);
	return status;
}

START_TEST(request_is_answered)
{
	struct script script = {0};
	struct raw_peer peer = {0};
	const uint8_t *block;
	size_t len;

	server_events = _i ? &request_events : &plain_events;
	greet(&script);
	request(&script, 1, _i ? 0 : END_STREAM, "/knell.Peer/Ping");
	frame(&script, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	peer.script = script.bytes;
	peer.script_len = script.len;
	raw_start(&peer);
	raw_finish(&peer);
	block = heard(&peer, HEADERS, 1, &len);
	ck_assert_ptr_nonnull(block);
	ck_assert_str_eq(grpc_status(block, len), _i ? "5" : "12");
	if (_i) {
		ck_assert_str_eq(server.method, "POST");
		ck_assert_str_eq(server.path, "/knell.Peer/Ping");
		ck_assert_ptr_nonnull(heard(&peer, RST_STREAM, 1, &len));
	} else {
		ck_assert_ptr_null(heard(&peer, RST_STREAM, 1, &len));
	}
	ck_assert_int_eq(server.closed, 0);
	ck_assert_str_eq(server.reason, "peer closed the connection (GOAWAY)");
}
END_TEST

/* As clients do that want no round trip more: their SETTINGS and what they ask, in one piece. */
START_TEST(who_asks_is_known_by_then)
{
	struct script script = {0};
	struct raw_peer peer = {0};

	server_events = &request_events;
	say(&script, PREFACE, PREFACE_BYTES);
	frame(&script, SETTINGS, 0, 0, "", 0);
	request(&script, 1, END_STREAM, "/knell.Peer/Ping");
	frame(&script, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	peer.script = script.bytes;
	peer.script_len = script.len;
	raw_start(&peer);
	raw_finish(&peer);
	ck_assert_int_eq(server.requests, 1);
	ck_assert_int_eq(server.ready, 1);
	ck_assert(!server.asked_early);
}
END_TEST

START_TEST(oversized_request_costs_its_stream_only)
{
	struct script script = {0};
	struct raw_peer peer = {0};
	char path[HTTP2_PATH_BYTES_MAX + 100];
	size_t len;

	server_events = &request_events;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	greet(&script);
	request(&script, 1, END_STREAM, path);
	request(&script, 3, END_STREAM, "/small");
	frame(&script, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	peer.script = script.bytes;
	peer.script_len = script.len;
	raw_start(&peer);
	raw_finish(&peer);
	ck_assert_ptr_nonnull(heard(&peer, RST_STREAM, 1, &len));
	ck_assert_ptr_nonnull(heard(&peer, HEADERS, 3, &len));
	ck_assert_int_eq(server.requests, 1);
}
END_TEST

enum violation {
	GARBAGE,
	NO_SETTINGS,
	BAD_SETTINGS,
	BAD_PING,
	DATA_ON_IDLE,
	HUGE_FRAME,
	VIOLATIONS
};

START_TEST(violation_ends_with_goaway_and_reason)
{
	struct script script = {0};
	struct raw_peer peer = {0};

	switch ((enum violation)_i) {
	case GARBAGE:
		say(&script, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
		break;
	case NO_SETTINGS:
		say(&script, PREFACE, PREFACE_BYTES);
		frame(&script, PING, 0, 0, "12345678", 8);
		break;
	case BAD_SETTINGS:
		say(&script, PREFACE, PREFACE_BYTES);
		frame(&script, SETTINGS, 0, 0, "\0\x02\0\0\0\x07", 6);
		break;
	case BAD_PING:
		greet(&script);
		frame(&script, PING, 0, 1, "12345678", 8);
		break;
	case DATA_ON_IDLE:
		greet(&script);
		frame(&script, DATA, 0, 1, "x", 1);
		break;
	default:
		greet(&script);
		say(&script, "\xff\xff\xff\x00\x00\x00\x00\x00\x01", FRAME_HEAD_BYTES);
		break;
	}
	peer.script = script.bytes;
	peer.script_len = script.len;
	raw_start(&peer);
	raw_finish(&peer);
	ck_assert_int_eq(server.closed, -EPROTO);
	ck_assert_msg(!strncmp(server.reason, "HTTP/2 violated: ", 17), "%s", server.reason);
	ck_assert_uint_ne(goaway_code(&peer), 0);
}
END_TEST

/*
 * _i: 0 PING, 1 SETTINGS, 2 requests reset at once, 3 one SETTINGS with too many entries, 4
 * WINDOW_UPDATE, 5 PRIORITY.
 */
START_TEST(flood_is_ended)
{
	static struct script script;
	struct raw_peer peer = {0};
	size_t greeted;
	uint8_t entries[33 * 6] = {0};

	script.len = 0;
	greet(&script);
	greeted = script.len;
	for (uint32_t i = 0; i < 300; i++) {
		if (_i == 0) {
			frame(&script, PING, 0, 0, "12345678", 8);
		} else if (_i == 1) {
			frame(&script, SETTINGS, 0, 0, "", 0);
		} else if (_i == 4) {
			frame(&script, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
		} else if (_i == 5) {
			frame(&script, PRIORITY, 0, 1, "\0\0\0\0\1", 5);
		}
	}
	if (_i == 3)
		frame(&script, SETTINGS, 0, 0, entries, sizeof(entries));
	peer.script = script.bytes;
	peer.script_len = script.len;
	peer.repeat_len = script.len - greeted;
	peer.repeat = _i == 2 || _i == 3 ? 0 : 100;
	peer.resets = _i == 2 ? 3 * HTTP2_RESETS_BURST_MAX : 0;
	/* Who has said all and closes with answers unread takes back what it said last. */
	peer.hang_up = _i != 2;
	server.stop_when_closed = true;
	raw_start(&peer);
	run();
	ck_assert_int_eq(server.closed, -EPROTO);
	ck_assert_msg(strstr(server.reason, "flood") || strstr(server.reason, "SETTINGS") ||
			      strstr(server.reason, "Flood"),
		      "%s", server.reason);
	ck_assert_int_le(server.pings, HTTP2_CONTROL_FRAMES_PER_S_MAX);
	raw_finish(&peer);
}
END_TEST

/* Calls that meet their deadlines, all at once after one side stood still: nobody's fault. */
START_TEST(many_resets_are_no_flood)
{
	struct script script = {0};
	struct raw_peer peer = {.resets = HTTP2_RESETS_BURST_MAX / 2};

	greet(&script);
	peer.script = script.bytes;
	peer.script_len = script.len;
	raw_start(&peer);
	raw_finish(&peer);
	ck_assert_msg(!server.closed, "%s", server.reason);
	ck_assert_str_eq(server.reason, "peer closed the connection (GOAWAY)");
}
END_TEST

/*
 * The answers pile up in the sockets, then in our queue; then streams stay open, and of those it
 * may have a hundred.
 */
START_TEST(peer_that_asks_but_does_not_read_is_ended)
{
	struct script script = {0};
	struct raw_peer peer = {.requests = 2000000, .hang_up = true, .small_window = true};

	greet(&script);
	peer.script = script.bytes;
	peer.script_len = script.len;
	server.stop_when_closed = true;
	raw_start(&peer);
	run();
	ck_assert_int_eq(server.closed, -EPROTO);
	ck_assert_msg(strstr(server.reason, "max concurrent streams exceeded"), "%s",
		      server.reason);
	raw_finish(&peer);
}
END_TEST

/*
 * A server or client that leaves after: nothing, TLS, half a preface or frame, SETTINGS, a whole
 * greeting.
 */
START_TEST(peer_that_leaves_at_each_stage)
{
	struct script script = {0};
	struct raw_peer peer = {.is_server = _i >= 5, .hang_up = true, .no_tls = _i % 5 == 0};
	struct end *ours = peer.is_server ? &client : &server;
	size_t head = 0;

	if (!peer.is_server) {
		greet(&script);
		head = PREFACE_BYTES;
	} else {
		frame(&script, SETTINGS, 0, 0, "", 0);
		frame(&script, SETTINGS, ACK, 0, "", 0);
	}
	peer.script = script.bytes;
	peer.script_len =
		(size_t[]){0, 0, head ? 10 : 5, head + FRAME_HEAD_BYTES, script.len}[_i % 5];
	ours->stop_when_closed = true;
	if (peer.is_server)
		connect_to(raw_start(&peer), "a", 0);
	else
		raw_start(&peer);
	run();
	raw_finish(&peer);
	ck_assert_int_ne(ours->closed, 1);
	ck_assert_msg(strstr(ours->reason, "closed") || strstr(ours->reason, "reset"), "%s",
		      ours->reason);
}
END_TEST

START_TEST(setting_up_times_out_and_names_the_phase)
{
	struct raw_peer peer = {.is_server = true, .no_tls = _i == 0};

	client.stop_when_closed = true;
	client.abort_when_closed = true;
	connect_to(raw_start(&peer), "a", 100);
	run();
	ck_assert_int_eq(client.closed, -ETIMEDOUT);
	ck_assert_str_eq(client.reason, _i ? "timed out: no HTTP/2 SETTINGS after 100 ms"
					   : "timed out: no TLS handshake after 100 ms");
	raw_finish(&peer);
}
END_TEST

/* ---- a thousand at once ---- */

struct crowd {
	struct http2 *clients[MANY], *servers[MANY];
	int started, accepted, ready, closed;
};

static struct crowd crowd;

static void crowd_ready(void *ctx, const char *peer_name);

static void crowd_close(void *ctx, int err, const char *reason)
{
	(void)ctx;
	ck_assert_msg(crowd.ready == 2 * MANY, "closed early: %d %s", err, reason);
	if (++crowd.closed == MANY)
		loop_stop(loop);
}

static const struct http2_callbacks crowd_events = {
	.on_ready = crowd_ready,
	.on_close = crowd_close,
};

static void crowd_start(void)
{
	struct sockaddr_in addr = loopback(listen_port(listener));
	int i = crowd.started++;

	ck_assert_int_eq(http2_client(loop, (struct sockaddr *)&addr, context_b, "a", NULL,
				      &crowd_events, &crowd, &crowd.clients[i]),
			 0);
}

/*
 * Each client that is ready makes room for the next: handshakes all at once would only queue for
 * the CPU.
 */
static void crowd_ready(void *ctx, const char *peer_name)
{
	(void)peer_name;
	if (ctx && crowd.started < MANY)
		crowd_start();
	if (++crowd.ready == 2 * MANY)
		loop_stop(loop);
}

static void crowd_accept(void *ctx, int fd)
{
	int i = crowd.accepted++;

	(void)ctx;
	ck_assert_int_eq(http2_server(loop, fd, context_a, &crowd_events, NULL, &crowd.servers[i]),
			 0);
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static long resident_kib(void)
{
	char line[128] = "", *second;
	FILE *statm = fopen("/proc/self/statm", "r");

	if (statm && !fgets(line, sizeof(line), statm))
		line[0] = 0;
	if (statm)
		fclose(statm);
	second = strchr(line, ' ');
	return second ? strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

/* Prints the figure; without sanitizers it also counts for the table of figures. */
static void figure(const char *line)
{
	const char *path = getenv("KNELL_FIGURES");
	FILE *figures;

	puts(line);
	fflush(stdout);
	figures = SANITIZED ? NULL : fopen(path ? path : "build/figures.jsonl", "a");
	if (!figures)
		return;
	fprintf(figures, "%s\n", line);
	fclose(figures);
}

START_TEST(a_thousand_are_let_go_at_once)
{
	struct rlimit files = {4096, 4096};
	struct sockaddr_in addr = loopback(0);
	static uint64_t each_ns[MANY];
	uint64_t began_ns, total_ns;
	char line[300];
	long before_kib;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	ck_assert_uint_gt(files.rlim_cur, 2 * MANY + 100);
	listen_close(listener);
	listener = NULL;
	crowd = (struct crowd){0};
	ck_assert_int_eq(listen_open(loop, (struct sockaddr *)&addr, 2 * MANY, crowd_accept, NULL,
				     &listener),
			 0);
	before_kib = resident_kib();
	for (int i = 0; i < AT_ONCE; i++)
		crowd_start();
	run();
	snprintf(line, sizeof(line),
		 "{\"figure\":\"http2_idle_kib\",\"case\":\"loopback, both "
		 "ends\",\"n\":%d,\"p50\":%.1f,"
		 "\"unit\":\"KiB\"}",
		 2 * MANY, (double)(resident_kib() - before_kib) / (2 * MANY));
	figure(line);
	began_ns = clock_ns();
	for (int i = 0; i < MANY; i++)
		http2_abort(crowd.clients[i]);
	total_ns = clock_ns() - began_ns;
	run();
	snprintf(line, sizeof(line),
		 "{\"figure\":\"http2_abort_1000_us\",\"case\":\"loopback\",\"n\":%d,\"max\":%.1f,"
		 "\"unit\":\"us\"}",
		 MANY, (double)total_ns / 1e3);
	figure(line);
	/* The peers' ends, one by one, for the cost of a single call. */
	for (int i = 0; i < MANY; i++) {
		began_ns = clock_ns();
		http2_abort(crowd.servers[i]);
		each_ns[i] = clock_ns() - began_ns;
	}
	qsort(each_ns, MANY, sizeof(each_ns[0]), compare);
	snprintf(line, sizeof(line),
		 "{\"figure\":\"http2_abort_ns\",\"case\":\"closed by peer\",\"n\":%d,\"p50\":%llu,"
		 "\"p99\":%llu,\"max\":%llu,\"unit\":\"ns\"}",
		 MANY, (unsigned long long)each_ns[MANY / 2],
		 (unsigned long long)each_ns[MANY * 99 / 100],
		 (unsigned long long)each_ns[MANY - 1]);
	figure(line);
	ck_assert_uint_lt(total_ns, 100 * NS_PER_MS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_http2");
	TCase *tcase = tcase_create("http2");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_unchecked_fixture(tcase, make_certs, remove_certs);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, ready_once_with_verified_names);
	tcase_add_loop_test(tcase, ping_round_trip_in_both_roles, 0, 2);
	tcase_add_loop_test(tcase, goaway_closes_in_order, 0, 2);
	tcase_add_loop_test(tcase, abort_in_every_callback, 0, 5);
	tcase_add_test(tcase, wrong_name_is_readable);
	tcase_add_loop_test(tcase, request_is_answered, 0, 2);
	tcase_add_test(tcase, who_asks_is_known_by_then);
	tcase_add_test(tcase, oversized_request_costs_its_stream_only);
	tcase_add_loop_test(tcase, violation_ends_with_goaway_and_reason, 0, VIOLATIONS);
	tcase_add_loop_test(tcase, flood_is_ended, 0, 6);
	tcase_add_test(tcase, many_resets_are_no_flood);
	tcase_add_test(tcase, peer_that_asks_but_does_not_read_is_ended);
	tcase_add_loop_test(tcase, peer_that_leaves_at_each_stage, 0, 10);
	tcase_add_loop_test(tcase, setting_up_times_out_and_names_the_phase, 0, 2);
	tcase_add_test(tcase, a_thousand_are_let_go_at_once);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
