// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_catch.c - does this node know all that was acknowledged anywhere? See quorum.h.
 *
 * Room: store.
 *
 * Happy path: the journals of all peers that are up are read, from a moment after the question; as
 * soon as enough of them have been, the answer is there: what was acknowledged is on a majority,
 * and so on one of those. Failure modes:
 * - Too few peers are up, or answer in time: -EAGAIN.
 * - Forgotten meanwhile: the journals are read all the same, and nobody is told.
 */
#include <errno.h>
#include <stdlib.h>
#include "store/mirror_inner.h"

struct mirror_catch {
	LIST_ENTRY(mirror_catch) entry;
	struct mirror *mirror;
	struct quorum_wait *wait;
	struct mirror_ticket tickets[MIRROR_PEERS_MAX];
	size_t count;
	unsigned int open, well;
};

static void free_catch(struct mirror_catch *catching)
{
	struct mirror_ticket *ticket;
	size_t i;

	for (i = 0; i < catching->count; i++) {
		ticket = &catching->tickets[i];
		if (ticket->queue)
			TAILQ_REMOVE(ticket->queue, ticket, entry);
	}
	LIST_REMOVE(catching, entry);
	free(catching);
}

static void forget(void *own)
{
	free_catch(own);
}

static void finish(struct mirror_catch *catching, int err)
{
	struct quorum_wait *wait = catching->wait;

	wait->own = NULL;
	free_catch(catching);
	wait->done(wait, err);
}

void mirror_catch_ticket(struct mirror_ticket *ticket, int err)
{
	struct mirror_catch *catching = ticket->catching;

	catching->open--;
	catching->well += !err;
	if (catching->well >= catching->mirror->needed)
		finish(catching, 0);
	else if (catching->well + catching->open < catching->mirror->needed)
		finish(catching, -EAGAIN);
}

int mirror_catch_up(struct quorum *quorum, struct quorum_wait *wait)
{
	struct mirror *mirror = LOOP_OWNER(quorum, struct mirror, quorum);
	struct mirror_catch *catching = calloc(1, sizeof(*catching));
	struct mirror_ticket *ticket;
	size_t i;

	if (!catching)
		return -ENOMEM;
	catching->mirror = mirror;
	catching->wait = wait;
	LIST_INSERT_HEAD(&mirror->catches, catching, entry);
	for (i = 0; i < mirror->member_count; i++) {
		ticket = &catching->tickets[catching->count];
		ticket->catching = catching;
		if (mirror_is_up(&mirror->members[i]) &&
		    !mirror_journal_ask(&mirror->members[i], ticket))
			catching->count++;
	}
	catching->open = (unsigned int)catching->count;
	if (catching->open < mirror->needed) {
		free_catch(catching);
		return -EAGAIN;
	}
	wait->own = catching;
	wait->forget = forget;
	return 0;
}

void mirror_catch_close(struct mirror *mirror)
{
	struct mirror_catch *catching, *next;

	for (catching = LIST_FIRST(&mirror->catches); catching; catching = next) {
		next = LIST_NEXT(catching, entry);
		catching->wait->own = NULL;
		free_catch(catching);
	}
}
