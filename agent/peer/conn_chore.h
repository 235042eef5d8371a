/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_chore.h - what is due from time to time on a pooled connection that was dialled: a PING,
 * that it has idled for too long, that it is old.
 *
 * Room: peer. Calls conn_ping, conn_age and, for what follows from them, conn_line. Called by
 * conn_line.c only.
 */
#ifndef KNELL_PEER_CONN_CHORE_H
#define KNELL_PEER_CONN_CHORE_H

#include <stdbool.h>
#include <stdint.h>
#include "peer/conn_entry.h"

/** conn_chore_begin - the pooled @conn is ready. Its timer ends with it, see conn_entry_end(). */
void conn_chore_begin(struct conn *conn);

/**
 * conn_chore_pong - a PONG with @opaque came on @conn, of whatever role and state.
 *
 * True when it looks like one for our own PINGs, which is not for others then. Peers say such
 * things unasked too, also where chores were never begun: that is ignored.
 */
bool conn_chore_pong(struct conn *conn, const uint8_t opaque[HTTP2_OPAQUE_BYTES]);

/** conn_chore_returned - the last lease of @conn was given back. */
void conn_chore_returned(struct conn *conn);

#endif
