/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates for the tests of agent/io, made afresh in a directory of their own.
 * Called by: test_io_tls, test_io_http2.
 */
#ifndef KNELL_TESTS_IO_CERTS_H
#define KNELL_TESTS_IO_CERTS_H

enum { IO_CERTS_PATH_BYTES = 128 };

/*
 * Makes `dir` (a mkdtemp template) and in it: ca.crt, other-ca.crt; and as NAME.crt with NAME.key:
 * a and b (DNS a, b), cn (no SAN, CN cn), expired (DNS a, until yesterday), future (DNS a, from
 * tomorrow), self (DNS a, self-signed), stranger (DNS a, by the other CA), wild (DNS *.example, CN
 * x.example). Aborts the test on failure.
 */
void io_certs_make(char *dir);

/* Removes the directory and everything in it. */
void io_certs_remove(const char *dir);

/* "DIR/FILE" in `path`, which is also returned. */
const char *io_certs_path(char path[IO_CERTS_PATH_BYTES], const char *dir, const char *file);

#endif
