/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uri.h - percent-encoding, as S3 signs it and as clients send it.
 *
 * Room: s3. Pure; calls io/text. Called by request, sigv4, the operations.
 */
#ifndef KNELL_S3_URI_H
#define KNELL_S3_URI_H

#include <stdbool.h>
#include <stddef.h>
#include "io/text.h"

/**
 * uri_decode - decode text[0..len) into @out, which has room for len + 1 bytes; a NUL is added.
 *
 * @plus: a '+' is a space, as in queries. Returns the length, or -EINVAL: an incomplete or wrong
 * percent sequence, or a NUL.
 */
long uri_decode(char *out, const char *text, size_t len, bool plus);

/** uri_encode - append; unreserved characters stay, and '/' where @slash says so. */
void uri_encode(struct text *text, const char *bytes, size_t len, bool slash);

/** uri_is_utf8 - well-formed, shortest forms only, no surrogates. */
bool uri_is_utf8(const char *bytes, size_t len);

#endif
