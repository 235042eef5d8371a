/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * field.h - one field of what the agent answered, on its way to the output.
 *
 * Room: tools/knell. May call agent, output, text/words. Called by cluster, conn and upload. What
 * the agent does not know is no zero: null in JSON, "-" in text.
 */
#ifndef KNELL_FIELD_H
#define KNELL_FIELD_H

#include <jansson.h>
#include <stdint.h>

#include "output.h"

/** field_number / field_text / field_flag - as it stands in @object under @key. */
void field_number(struct output *out, const char *label, const char *key, const json_t *object);
void field_text(struct output *out, const char *label, const char *key, const json_t *object);
void field_flag(struct output *out, const char *label, const char *key, const json_t *object);

/** field_time - a length of time that is counted in units of @unit_ns. */
void field_time(struct output *out, const char *label, const char *key, const json_t *object,
		uint64_t unit_ns);

/** field_size - bytes. */
void field_size(struct output *out, const char *label, const char *key, const json_t *object);

#endif
