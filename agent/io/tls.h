/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. TLS with certificates on both sides (a public context: the server's only), over
 * tcp.
 * May call: tcp, OpenSSL. Called by: http1, http2; tls_context.h makes the context.
 */
#ifndef KNELL_IO_TLS_H
#define KNELL_IO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop.h"
#include "tcp.h"
#include "tls_context.h"

struct tls;

enum { TLS_NAME_BYTES = 256 };

/*
 * What the owner hears. No callback runs from inside a tls_*() call, and none after tls_close() or
 * tls_abort(), both of which are allowed in every callback.
 */
struct tls_callbacks {
	/*
	 * Once: our side of the handshake is done, the peer's certificate is good. For a client
	 * that is before the server has judged ours: a refusal comes as on_close.
	 */
	void (*on_ready)(void *ctx);
	/* Plaintext, valid during the call. */
	void (*on_data)(void *ctx, const uint8_t *data, size_t len);
	/* May be NULL. See tcp. */
	void (*on_writable)(void *ctx);
	/*
	 * Once, last: 0 when the peer closed in order, or -errno (-EPROTO: TLS failed), with a
	 * readable reason, valid during the call. The owner still has to call tls_close().
	 */
	void (*on_close)(void *ctx, int err, const char *reason);
};

/*
 * Connects to `addr` and shakes hands; the server must prove to be `expected_name` (a DNS name in
 * its SAN, no wildcard). `opts` as for tcp_connect(). 0 and *tls, or -errno.
 */
int tls_connect(struct loop *loop, const struct sockaddr *addr, const struct tcp_opts *opts,
		struct tls_context *context, const char *expected_name,
		const struct tls_callbacks *callbacks, void *ctx, struct tls **tls);

/*
 * Shakes hands as the server on the accepted socket `fd`. 0 and *tls; or -errno and `fd` is still
 * the caller's. `context` NULL: no TLS at all, for programs on this very host; on_ready comes by
 * itself, and the peer's name is "".
 */
int tls_accept(struct loop *loop, int fd, const struct tcp_opts *opts, struct tls_context *context,
	       const struct tls_callbacks *callbacks, void *ctx, struct tls **tls);

/* Encrypts and queues, all or nothing. As tcp_send(); -ENOTCONN before on_ready. */
int tls_send(struct tls *tls, const void *data, size_t len);

/* Ciphertext bytes that the kernel has not taken yet. */
size_t tls_queued(const struct tls *tls);

/*
 * Stop and restart on_data, as tcp_pause(); what has been received goes on to be told after a
 * pause, TLS_AFTER_PAUSE_BYTES at most.
 */
void tls_pause(struct tls *tls);
void tls_resume(struct tls *tls);

/* One receive buffer, and the part of a record that came before it. */
enum { TLS_AFTER_PAUSE_BYTES = 32 << 10 };

/*
 * After on_ready: the peer's verified name, valid as long as `tls`. For a client that is
 * `expected_name`; for a server the first DNS name in the certificate's SAN, else its CN, else ""
 * (always in public).
 */
const char *tls_peer_name(const struct tls *tls);

/* Whether the TCP connection below has come up. */
bool tls_connected(const struct tls *tls);

/* The socket, for getsockopt(). */
int tls_fd(const struct tls *tls);

/* Gives `tls` up gracefully: close_notify, then tcp_close(). NULL is allowed. */
void tls_close(struct tls *tls);

/*
 * Gives `tls` up at once: tcp_abort(); the session is freed when the loop has time. NULL is
 * allowed.
 */
void tls_abort(struct tls *tls);

#endif
