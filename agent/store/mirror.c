// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror.c - opened, closed, and its table of functions. See mirror.h; how each goes is told in
 * mirror_*.c.
 *
 * Room: store.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/mirror_inner.h"

bool mirror_is_up(const struct mirror_member *member)
{
	switch (member->peer->state) {
	case VERDICT_LOST:
	case VERDICT_DEAD:
	case VERDICT_ISOLATED:
		return false;
	default:
		return true;
	}
}

size_t mirror_pick(const struct mirror *mirror, const struct roster_peer *peers[MIRROR_PEERS_MAX])
{
	const struct mirror_member *member;
	size_t count = 0, i;

	for (i = 0; i < mirror->member_count; i++) {
		member = &mirror->members[i];
		if (mirror_is_up(member) && member->peer->state != VERDICT_DEGRADED)
			peers[count++] = member->peer;
	}
	for (i = 0; count < mirror->needed && i < mirror->member_count; i++) {
		member = &mirror->members[i];
		if (member->peer->state == VERDICT_DEGRADED)
			peers[count++] = member->peer;
	}
	return count;
}

static uint64_t known_lsn(const struct quorum *quorum)
{
	const struct mirror *mirror = LOOP_OWNER(quorum, struct mirror, quorum);
	uint64_t least = UINT64_MAX;
	size_t i;

	for (i = 0; i < mirror->member_count; i++)
		if (mirror->members[i].their_lsn < least)
			least = mirror->members[i].their_lsn;
	return least;
}

static const struct quorum_ops ops = {
	.catch_up = mirror_catch_up,
	.tell = mirror_tell,
	.copy = mirror_copy,
	.copy_write = mirror_copy_write,
	.copy_keep = mirror_copy_keep,
	.copy_commit = mirror_copy_commit,
	.copy_drop = mirror_copy_drop,
	.copy_replicas = mirror_copy_replicas,
	.fetch = mirror_fetch,
	.known_lsn = known_lsn,
};

struct mirror_member *mirror_member_of(struct mirror *mirror, const struct roster_peer *peer)
{
	return peer && peer->index < mirror->member_count ? &mirror->members[peer->index] : NULL;
}

/* Its place among the names: the same in everybody's eyes. */
static unsigned int number_of(const struct mirror_options *options)
{
	unsigned int number = 0;
	size_t i;

	for (i = 0; i < options->roster->count; i++)
		number += strcmp(options->roster->peers[i].name, options->name) < 0;
	return number;
}

int mirror_open(struct mirror **mirror, const struct mirror_options *options)
{
	size_t count = options->roster->count;
	struct mirror *fresh = calloc(1, sizeof(*fresh));
	size_t i;
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->members = calloc(count + 1, sizeof(*fresh->members));
	if (!fresh->members) {
		free(fresh);
		return -ENOMEM;
	}
	fresh->quorum.ops = &ops;
	fresh->loop = options->loop;
	fresh->dir = dir_of(options->store);
	fresh->calls = options->calls;
	fresh->member_count = count;
	fresh->needed = (unsigned int)(count + 1) / 2;
	LIST_INIT(&fresh->copies);
	LIST_INIT(&fresh->catches);
	LIST_INIT(&fresh->tells);
	LIST_INIT(&fresh->fetches);
	for (i = 0; i < count; i++) {
		fresh->members[i].mirror = fresh;
		fresh->members[i].peer = &options->roster->peers[i];
		mirror_journal_open(&fresh->members[i]);
	}
	err = mirror_repair_open(fresh);
	if (err) {
		mirror_close(fresh);
		return err;
	}
	dir_join(fresh->dir, &fresh->quorum, number_of(options));
	*mirror = fresh;
	return 0;
}

void mirror_close(struct mirror *mirror)
{
	size_t i;

	if (!mirror)
		return;
	mirror->closing = true;
	dir_part(mirror->dir);
	mirror_copy_close(mirror);
	mirror_catch_close(mirror);
	mirror_tell_close(mirror);
	mirror_fetch_close(mirror);
	for (i = 0; i < mirror->member_count; i++)
		mirror_journal_close(&mirror->members[i]);
	mirror_repair_close(mirror);
	free(mirror->members);
	free(mirror);
}

void mirror_turn_away(struct mirror *mirror, const struct roster_peer *peer)
{
	mirror_copy_turn_away(mirror, peer);
}

void mirror_greet(struct mirror *mirror, const struct roster_peer *peer)
{
	struct mirror_member *member = mirror_member_of(mirror, peer);

	if (member && member->timer.armed)
		loop_arm(mirror->loop, &member->timer, loop_now_ns(mirror->loop));
}

void mirror_progress(const struct mirror *mirror, struct mirror_progress *progress)
{
	const struct mirror_repair *repair = &mirror->repair;

	*progress = (struct mirror_progress){
		.away_count = repair->away_count,
		.away_bytes = repair->away_bytes,
		.mended_count = repair->mended_count,
		.mended_bytes = repair->mended_bytes,
		.failed_count = repair->failed_count,
	};
}

void mirror_each(const struct mirror *mirror, void (*visit)(void *ctx, const struct mirror_view *),
		 void *ctx)
{
	const struct mirror_member *member;
	struct mirror_view view;
	size_t i;

	for (i = 0; i < mirror->member_count; i++) {
		member = &mirror->members[i];
		view = (struct mirror_view){
			.peer = member->peer->name,
			.met = member->met,
		};
		if (member->last_lsn > member->seen_lsn)
			view.unread_theirs = member->last_lsn - member->seen_lsn;
		if (mirror->own_lsn > member->their_lsn)
			view.unread_ours = mirror->own_lsn - member->their_lsn;
		visit(ctx, &view);
	}
}
