/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_conn.h - the connections as `knell conn show` gets them.
 *
 * Room: agent. Calls peer/conn, words and jansson, and asks the kernel for TCP_INFO. Called by
 * control.c.
 */
#ifndef KNELL_CONTROL_CONN_H
#define KNELL_CONTROL_CONN_H

#include <jansson.h>
#include <stdint.h>
#include "peer/conn.h"

/** control_conn_list - one JSON object per connection, oldest first; NULL when memory is out. */
json_t *control_conn_list(const struct conn_cache *conns, uint64_t now_ns);

#endif
