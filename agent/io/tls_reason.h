/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. TLS errors and certificates put into words.
 * May call: OpenSSL. Called by: tls.
 */
#ifndef KNELL_IO_TLS_REASON_H
#define KNELL_IO_TLS_REASON_H

#include <openssl/x509.h>
#include <stddef.h>

/*
 * Puts the oldest error on this thread's OpenSSL queue (the cause) into words[0..size). An alert
 * is the peer's doing.
 */
void tls_reason(char *words, size_t size);

/*
 * The certificate's name: the first DNS name in its SAN, else its CN, else "" (also when it does
 * not fit).
 */
void tls_reason_name(const X509 *cert, char *name, size_t size);

#endif
