// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_age.c - when a pooled connection has been idle for too long, and when it is old. See
 * conn_age.h.
 *
 * Room: peer. Pure but for jitter; called by conn_chore.c.
 */
#include "peer/conn_age.h"
#include "peer/jitter.h"

/* Connections made within a second are replaced over this part of their lifetime. */
#define JITTER_DIVISOR 10

void conn_age_begin(struct conn_age *age, const struct conn_limits *limits, uint64_t now_ns)
{
	uint64_t lifetime_ns = limits->lifetime_ns;

	*age = (struct conn_age){.unused_ns = now_ns, .old_ns = UINT64_MAX};
	if (lifetime_ns)
		age->old_ns = now_ns + lifetime_ns - jitter_ns(lifetime_ns / JITTER_DIVISOR);
}

void conn_age_unused(struct conn_age *age, uint64_t now_ns)
{
	age->unused_ns = now_ns;
}

bool conn_age_is_idle(const struct conn_age *age, const struct conn_limits *limits, uint64_t now_ns)
{
	return limits->idle_ns && now_ns - age->unused_ns >= limits->idle_ns;
}

bool conn_age_becomes_old(struct conn_age *age, uint64_t now_ns)
{
	if (age->told || now_ns < age->old_ns)
		return false;
	age->told = true;
	return true;
}

uint64_t conn_age_next_ns(const struct conn_age *age, const struct conn_limits *limits, bool leased,
			  uint64_t now_ns)
{
	uint64_t idle_ns = UINT64_MAX, old_ns = age->told ? UINT64_MAX : age->old_ns;

	/* A lease may be given back in this moment. */
	if (limits->idle_ns)
		idle_ns = (leased ? now_ns : age->unused_ns) + limits->idle_ns;
	return idle_ns < old_ns ? idle_ns : old_ns;
}
