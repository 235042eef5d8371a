/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_age.h - when a pooled connection has been idle for too long, and when it is old.
 *
 * Room: peer. Pure but for jitter. Called by conn_chore.c, which does what follows from it.
 */
#ifndef KNELL_PEER_CONN_AGE_H
#define KNELL_PEER_CONN_AGE_H

#include <stdbool.h>
#include <stdint.h>
#include "peer/conn.h"

struct conn_age {
	uint64_t unused_ns; /* since then nobody has leased it */
	uint64_t old_ns;    /* from then on it is old */
	bool told;	    /* that it is old */
};

/** conn_age_begin - it is ready. */
void conn_age_begin(struct conn_age *age, const struct conn_limits *limits, uint64_t now_ns);

/** conn_age_unused - the last lease was given back. */
void conn_age_unused(struct conn_age *age, uint64_t now_ns);

/** conn_age_is_idle - one that is not leased has been so for too long. */
bool conn_age_is_idle(const struct conn_age *age, const struct conn_limits *limits,
		      uint64_t now_ns);

/** conn_age_becomes_old - true once. */
bool conn_age_becomes_old(struct conn_age *age, uint64_t now_ns);

/** conn_age_next_ns - when one of these may become true; UINT64_MAX: never. */
uint64_t conn_age_next_ns(const struct conn_age *age, const struct conn_limits *limits, bool leased,
			  uint64_t now_ns);

#endif
