/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_upload.h - the uploads under way, as `knell upload show` gets them.
 *
 * Room: agent. Calls store/dir and jansson. Called by control.c.
 */
#ifndef KNELL_CONTROL_UPLOAD_H
#define KNELL_CONTROL_UPLOAD_H

#include <jansson.h>
#include <stdint.h>
#include "store/store.h"

/**
 * control_upload_list - one JSON object per upload of @store, with where its copies are.
 *
 * What is not known has no member: "part" of an object that is written as a whole,
 * "expected_bytes" of one whose client did not say, "rate_bytes_per_s" of one just begun. NULL when
 * memory is out.
 */
json_t *control_upload_list(struct store *store, uint64_t now_ns);

#endif
