// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. TLS 1.3 with certificates on both sides, over tcp.
 * May call: tcp, tls_context, tls_bio, tls_reason, reason, OpenSSL. Called by: http1, http2.
 *
 * Happy path: tcp is up, the handshake runs as its bytes come in, then records become plaintext
 * and back.
 *
 * In the clear (a server without a context) the same path is walked without OpenSSL: bytes pass as
 * they are.
 *
 * Failure modes:
 * - We refuse the peer's certificate: the reason is noted where the chain is checked, since only
 *   there the certificate at fault is at hand; OpenSSL queues the alert, tcp_close() delivers it.
 * - The peer refuses ours: as a client of TLS 1.3 we have finished our handshake by then, and the
 *   alert comes as the first thing that we read. It is told as the peer's refusal, not as a read
 *   error.
 * - The peer goes away: in order (close_notify) or not; the latter is an error, since it may be a
 *   truncation.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reason.h"
#include "tls_bio.h"
#include "tls_reason.h"

enum { RECORD_BYTES_MAX = 16384, TCP_SLACK_BYTES = 64 << 10 };

struct tls {
	struct loop *loop;
	struct tcp *tcp;	     /* NULL once given up */
	struct tls_context *context; /* NULL: in the clear, and so is ssl */
	SSL *ssl;
	struct tls_bio io;
	const struct tls_callbacks *callbacks;
	void *ctx;
	struct loop_task ready_task; /* in the clear: nothing comes in that would tell */
	struct loop_task free_task;
	char *peer_name;
	size_t send_limit;
	struct reason reason;
	bool client;
	bool connected;
	bool ready;
	bool over;     /* on_close has been told */
	bool detached; /* the owner has let go */
};

static int on_verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);
	int err = X509_STORE_CTX_get_error(store);

	if (good)
		return 1;
	if (err == X509_V_ERR_HOSTNAME_MISMATCH) {
		char name[TLS_NAME_BYTES];

		tls_reason_name(X509_STORE_CTX_get0_cert(store), name, sizeof(name));
		reason_set(&tls->reason, "name mismatch: expected %s, got %s", tls->peer_name,
			   name[0] ? name : "no name");
	} else {
		reason_set(&tls->reason, "%s", X509_verify_cert_error_string(err));
	}
	return 0;
}

/* Puts what OpenSSL complains about into words, unless on_verify() has already. */
static void note_ssl_error(struct tls *tls)
{
	char words[REASON_BYTES];

	tls_reason(words, sizeof(words));
	reason_set(&tls->reason, "%s", words);
	ERR_clear_error();
}

/* The session is over: lets the last words (an alert) go out, and tells the owner. */
static void tell_close(struct tls *tls, int err)
{
	tls->over = true;
	tcp_close(tls->tcp);
	tls->tcp = NULL;
	tls->callbacks->on_close(tls->ctx, err, tls->reason.words);
}

static void fail(struct tls *tls)
{
	note_ssl_error(tls);
	tell_close(tls, -EPROTO);
}

static bool speaks_h2(const SSL *ssl)
{
	const unsigned char *protocol;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &protocol, &len);
	return len == 2 && memcmp(protocol, "h2", 2) == 0;
}

/* Goes on with the handshake; false when there is nothing to read (yet, or for ever). */
static bool shake_hands(struct tls *tls)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(tls->ssl);
	if (result != 1) {
		if (SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ)
			fail(tls);
		return false;
	}
	if (!tls_context_is_public(tls->context) && !speaks_h2(tls->ssl)) {
		reason_set(&tls->reason, "peer did not agree to h2 (ALPN)");
		tell_close(tls, -EPROTO);
		return false;
	}
	if (!tls->client) {
		char name[TLS_NAME_BYTES] = "";

		if (!tls_context_is_public(tls->context))
			tls_reason_name(SSL_get0_peer_certificate(tls->ssl), name, sizeof(name));
		tls->peer_name = strdup(name);
		if (!tls->peer_name) {
			reason_set(&tls->reason, "out of memory");
			tell_close(tls, -ENOMEM);
			return false;
		}
	}
	tls->ready = true;
	tls->callbacks->on_ready(tls->ctx);
	return !tls->detached;
}

static void read_records(struct tls *tls)
{
	uint8_t plain[RECORD_BYTES_MAX];

	while (!tls->detached) {
		size_t len;
		int result;

		ERR_clear_error();
		result = SSL_read_ex(tls->ssl, plain, sizeof(plain), &len);
		if (result == 1) {
			tls->callbacks->on_data(tls->ctx, plain, len);
			continue;
		}
		switch (SSL_get_error(tls->ssl, result)) {
		case SSL_ERROR_WANT_READ:
			return;
		case SSL_ERROR_ZERO_RETURN:
			reason_set(&tls->reason, "peer closed the connection");
			tell_close(tls, 0);
			return;
		default:
			fail(tls);
			return;
		}
	}
}

static void begin_in_the_clear(struct tls *tls)
{
	if (tls->detached || tls->over || tls->ready)
		return;
	tls->ready = true;
	tls->callbacks->on_ready(tls->ctx);
}

static void run_ready(struct loop_task *task)
{
	begin_in_the_clear(LOOP_OWNER(task, struct tls, ready_task));
}

/* The first bytes may be there before the task has run. */
static void pass_on(struct tls *tls, const uint8_t *data, size_t len)
{
	begin_in_the_clear(tls);
	if (!tls->detached)
		tls->callbacks->on_data(tls->ctx, data, len);
}

static void on_tcp_connect(void *ctx, int err)
{
	struct tls *tls = ctx;

	if (err) {
		reason_set(&tls->reason, "cannot connect: %s", strerror(-err));
		tell_close(tls, err);
		return;
	}
	tls->connected = true;
	shake_hands(tls);
}

static void on_tcp_data(void *ctx, const uint8_t *data, size_t len)
{
	struct tls *tls = ctx;

	if (!len) {
		reason_set(&tls->reason,
			   tls->ready ? "peer closed the connection without notice"
				      : "peer closed the connection during the TLS handshake");
		tell_close(tls, -ECONNRESET);
		return;
	}
	if (!tls->ssl) {
		pass_on(tls, data, len);
		return;
	}
	tls->io.in = data;
	tls->io.in_len = len;
	if (tls->ready || shake_hands(tls))
		read_records(tls);
}

static void on_tcp_writable(void *ctx)
{
	struct tls *tls = ctx;

	if (tls->ready && tls->callbacks->on_writable)
		tls->callbacks->on_writable(tls->ctx);
}

static void on_tcp_close(void *ctx, int err)
{
	struct tls *tls = ctx;

	reason_set(&tls->reason, "%s",
		   err ? strerror(-err) : "peer closed the connection without notice");
	tell_close(tls, err ? err : -ECONNRESET);
}

static const struct tcp_callbacks tcp_events = {
	.on_connect = on_tcp_connect,
	.on_data = on_tcp_data,
	.on_writable = on_tcp_writable,
	.on_close = on_tcp_close,
};

static int write_out(void *ctx, const void *data, size_t len)
{
	struct tls *tls = ctx;

	return tls->tcp ? tcp_send(tls->tcp, data, len) : -EPIPE;
}

static void free_tls(struct loop_task *task)
{
	struct tls *tls = LOOP_OWNER(task, struct tls, free_task);

	if (tls->ready_task.queued) {
		loop_reap(tls->loop, &tls->free_task);
		return;
	}
	SSL_free(tls->ssl);
	tls_context_close(tls->context);
	free(tls->peer_name);
	free(tls);
}

/* Gives the session its SSL; NULL `expected_name`: the server's side. */
static bool make_ssl(struct tls *tls, const char *expected_name)
{
	X509_VERIFY_PARAM *param;
	BIO *bio;

	tls->ssl = SSL_new(tls_context_ssl(tls->context));
	bio = tls_bio_new(tls_context_bio(tls->context), &tls->io);
	if (!tls->ssl || !bio) {
		BIO_free(bio);
		return false;
	}
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	if (tls_context_is_public(tls->context))
		SSL_set_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
	else
		SSL_set_verify(tls->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			       on_verify);
	if (!expected_name) {
		SSL_set_accept_state(tls->ssl);
		return true;
	}
	SSL_set_connect_state(tls->ssl);
	param = SSL_get0_param(tls->ssl);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	tls->peer_name = strdup(expected_name);
	return tls->peer_name && X509_VERIFY_PARAM_set1_host(param, expected_name, 0) == 1 &&
	       SSL_set_tlsext_host_name(tls->ssl, expected_name) == 1;
}

static struct tls *make(struct loop *loop, const struct tcp_opts *opts, struct tls_context *context,
			const char *expected_name, const struct tls_callbacks *callbacks, void *ctx)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return NULL;
	*tls = (struct tls){
		.loop = loop,
		.context = context ? tls_context_hold(context) : NULL,
		.io = {.write = write_out, .ctx = tls},
		.callbacks = callbacks,
		.ctx = ctx,
		.ready_task.run = run_ready,
		.free_task.run = free_tls,
		.send_limit = opts && opts->send_limit_bytes ? opts->send_limit_bytes
							     : TCP_SEND_LIMIT_BYTES,
		.client = expected_name,
	};
	if (context ? make_ssl(tls, expected_name) : (tls->peer_name = strdup("")) != NULL)
		return tls;
	ERR_clear_error();
	free_tls(&tls->free_task);
	return NULL;
}

/* What tls_send() accepted must fit below, framed: a record half sent could not be taken back. */
static struct tcp_opts with_slack(const struct tcp_opts *opts, size_t send_limit)
{
	struct tcp_opts widened = opts ? *opts : (struct tcp_opts){0};

	widened.send_limit_bytes = send_limit + send_limit / 64 + TCP_SLACK_BYTES;
	if (!widened.low_water_bytes)
		widened.low_water_bytes = send_limit / 4;
	return widened;
}

int tls_connect(struct loop *loop, const struct sockaddr *addr, const struct tcp_opts *opts,
		struct tls_context *context, const char *expected_name,
		const struct tls_callbacks *callbacks, void *ctx, struct tls **tls)
{
	struct tls *fresh = make(loop, opts, context, expected_name, callbacks, ctx);
	struct tcp_opts widened;
	int err;

	if (!fresh)
		return -ENOMEM;
	widened = with_slack(opts, fresh->send_limit);
	err = tcp_connect(loop, addr, &widened, &tcp_events, fresh, &fresh->tcp);
	if (err) {
		free_tls(&fresh->free_task);
		return err;
	}
	*tls = fresh;
	return 0;
}

int tls_accept(struct loop *loop, int fd, const struct tcp_opts *opts, struct tls_context *context,
	       const struct tls_callbacks *callbacks, void *ctx, struct tls **tls)
{
	struct tls *fresh = make(loop, opts, context, NULL, callbacks, ctx);
	struct tcp_opts widened;
	int err;

	if (!fresh)
		return -ENOMEM;
	widened = with_slack(opts, fresh->send_limit);
	err = tcp_adopt(loop, fd, &widened, &tcp_events, fresh, &fresh->tcp);
	if (err) {
		free_tls(&fresh->free_task);
		return err;
	}
	fresh->connected = true;
	if (!context)
		loop_defer(loop, &fresh->ready_task);
	*tls = fresh;
	return 0;
}

int tls_send(struct tls *tls, const void *data, size_t len)
{
	size_t written;

	if (tls->over || tls->detached)
		return -EPIPE;
	if (!tls->ready)
		return -ENOTCONN;
	if (len > tls->send_limit || tcp_queued(tls->tcp) > tls->send_limit - len)
		return -ENOBUFS;
	if (!len)
		return 0;
	if (!tls->ssl)
		return tcp_send(tls->tcp, data, len);
	ERR_clear_error();
	return SSL_write_ex(tls->ssl, data, len, &written) == 1 ? 0 : -EPIPE;
}

size_t tls_queued(const struct tls *tls)
{
	return tls->tcp ? tcp_queued(tls->tcp) : 0;
}

void tls_pause(struct tls *tls)
{
	if (tls->tcp)
		tcp_pause(tls->tcp);
}

void tls_resume(struct tls *tls)
{
	if (tls->tcp)
		tcp_resume(tls->tcp);
}

const char *tls_peer_name(const struct tls *tls)
{
	return tls->peer_name;
}

bool tls_connected(const struct tls *tls)
{
	return tls->connected;
}

int tls_fd(const struct tls *tls)
{
	return tls->tcp ? tcp_fd(tls->tcp) : -1;
}

static void detach(struct tls *tls)
{
	tls->detached = true;
	tls->tcp = NULL;
	loop_reap(tls->loop, &tls->free_task);
}

void tls_close(struct tls *tls)
{
	if (!tls || tls->detached)
		return;
	if (tls->ready && !tls->over && tls->ssl) {
		ERR_clear_error();
		SSL_shutdown(tls->ssl);
	}
	tcp_close(tls->tcp);
	detach(tls);
}

void tls_abort(struct tls *tls)
{
	if (!tls || tls->detached)
		return;
	tcp_abort(tls->tcp);
	detach(tls);
}
