/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_cause.h - why connections have ended, in words: one text for all that end together, and kept
 * until the last who may ask has gone.
 *
 * Room: peer. Calls libc only. Called by the conn_*.c.
 */
#ifndef KNELL_PEER_CONN_CAUSE_H
#define KNELL_PEER_CONN_CAUSE_H

struct conn_cause;

/** conn_cause_new - a copy of @words, held once; NULL when memory is out. */
struct conn_cause *conn_cause_new(const char *words);

/** conn_cause_hold / conn_cause_put - one holder more, one less; NULL is allowed. */
struct conn_cause *conn_cause_hold(struct conn_cause *cause);
void conn_cause_put(struct conn_cause *cause);

/** conn_cause_words - for NULL: that it has ended is all that is known. */
const char *conn_cause_words(const struct conn_cause *cause);

#endif
