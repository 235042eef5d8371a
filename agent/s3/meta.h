/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * meta.h - what is kept with an object: the fields that come with it and go with it again.
 *
 * Room: s3. Pure. Called by the operations that write and read objects.
 */
#ifndef KNELL_S3_META_H
#define KNELL_S3_META_H

#include "io/text.h"
#include "s3/request.h"
#include "store/store.h"

enum { S3_USER_META_BYTES_MAX = 2 << 10 };

/**
 * s3_meta_collect - append the fields to keep, as store.h wants them.
 *
 * S3_OK, S3_METADATA_TOO_LARGE, S3_NOT_IMPLEMENTED (what must not be passed over in silence: the
 * encryption, locks and tags that we have not), S3_SLOW_DOWN.
 */
enum s3_error s3_meta_collect(struct text *pairs, const struct s3_request *request);

/** s3_meta_next - the pairs one after the other; @at begins as NULL. False: no more. */
bool s3_meta_next(const struct store_meta *meta, const char **at, const char **name,
		  const char **value);

/** s3_condition_refused - would silence break a promise that a write asks for? */
enum s3_error s3_meta_check_write(const struct s3_request *request);

#endif
