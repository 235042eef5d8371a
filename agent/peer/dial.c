// SPDX-License-Identifier: BSD-2-Clause
/*
 * dial.c - when to dial a peer. See dial.h.
 *
 * Room: peer. Calls io/loop and jitter; called by conn.c.
 *
 * Happy path: allowed -> attempt -> begun -> done -> next, until the owner lacks nothing.
 * Failure modes: an attempt fails: backoff with jitter, doubled to BACKOFF_MAX_NS. The owner holds
 * it down: attempted when that is over. Not allowed: no timer runs, nothing is attempted.
 */
#include "peer/dial.h"
#include "peer/jitter.h"

#define BACKOFF_MIN_NS 50000000ULL
#define BACKOFF_MAX_NS 1000000000ULL

/* Between half and all of the backoff, so that peers which lost us together return apart. */
static uint64_t jittered(uint64_t backoff_ns)
{
	return backoff_ns - jitter_ns(backoff_ns / 2);
}

static void dial_in(struct dial *dial, uint64_t delay_ns)
{
	uint64_t when_ns = loop_now_ns(dial->loop) + jittered(delay_ns);

	if (!dial->allowed || (dial->again.armed && dial->again.deadline_ns <= when_ns))
		return;
	loop_arm(dial->loop, &dial->again, when_ns);
}

static void on_again(struct timer *timer)
{
	dial_next(LOOP_OWNER(timer, struct dial, again));
}

void dial_open(struct dial *dial, struct loop *loop, void (*attempt)(struct dial *dial))
{
	*dial = (struct dial){
		.loop = loop,
		.attempt = attempt,
		.again.fire = on_again,
		.backoff_ns = BACKOFF_MIN_NS,
	};
}

void dial_close(struct dial *dial)
{
	dial_allow(dial, false);
}

bool dial_allow(struct dial *dial, bool allowed)
{
	if (allowed == dial->allowed)
		return false;
	dial->allowed = allowed;
	loop_disarm(dial->loop, &dial->again);
	dial->backoff_ns = BACKOFF_MIN_NS;
	return true;
}

void dial_next(struct dial *dial)
{
	if (dial->allowed && !dial->in_flight && !dial->again.armed)
		dial->attempt(dial);
}

void dial_begin(struct dial *dial, void *what)
{
	dial->in_flight = what;
}

void dial_done(struct dial *dial, const void *what)
{
	if (dial->in_flight == what)
		dial->in_flight = NULL;
}

void dial_hold(struct dial *dial, uint64_t until_ns)
{
	loop_arm(dial->loop, &dial->again, until_ns);
}

void dial_soon(struct dial *dial)
{
	dial_in(dial, BACKOFF_MIN_NS);
}

void dial_later(struct dial *dial)
{
	dial_in(dial, dial->backoff_ns);
	dial->backoff_ns *= 2;
	if (dial->backoff_ns > BACKOFF_MAX_NS)
		dial->backoff_ns = BACKOFF_MAX_NS;
}

void dial_proven(struct dial *dial)
{
	dial->backoff_ns = BACKOFF_MIN_NS;
}
