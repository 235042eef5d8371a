/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * info_json.h - the cluster as a whole, as JSON.
 *
 * Room: console. Calls jansson. Called by whoever carries an answer of info.h outside.
 */
#ifndef KNELL_CONSOLE_INFO_JSON_H
#define KNELL_CONSOLE_INFO_JSON_H

#include <jansson.h>
#include "console/info.h"

/** info_json - an object to be given back by json_decref(); NULL: memory is out. */
json_t *info_json(enum info_kind kind, const struct info_answer *answer);

#endif
