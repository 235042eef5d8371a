// SPDX-License-Identifier: BSD-2-Clause
/*
 * merge.c - one picture of the cluster out of verdicts and answers. See merge.h.
 *
 * Room: console. Pure.
 */
#include "console/merge.h"

bool merge_asks(unsigned int verdict)
{
	return verdict == VERDICT_ALIVE || verdict == VERDICT_DEGRADED ||
	       verdict == VERDICT_SUSPECT;
}

enum server_state merge_state(unsigned int verdict, enum merge_answer answer, bool initializing)
{
	switch (verdict) {
	case VERDICT_DEAD:
		return SERVER_OFFLINE;
	case VERDICT_ALIVE:
	case VERDICT_DEGRADED:
	case VERDICT_SUSPECT:
		if (answer != MERGE_ANSWERED)
			return SERVER_DEGRADED;
		if (initializing)
			return SERVER_INITIALIZING;
		return verdict == VERDICT_DEGRADED ? SERVER_DEGRADED : SERVER_ONLINE;
	case VERDICT_NEW:
		return SERVER_INITIALIZING;
	default:
		return SERVER_UNKNOWN;
	}
}

const struct drive *merge_fault(const struct server *server)
{
	const struct drive *drive = server->drives;

	for (; drive < server->drives + server->drive_count; drive++)
		if (drive->state == DRIVE_OFFLINE || drive->state == DRIVE_FAULTY)
			return drive;
	return NULL;
}

enum drive_state merge_drive(enum server_state server, enum merge_answer answer,
			     enum drive_state said)
{
	if (server == SERVER_OFFLINE)
		return DRIVE_OFFLINE;
	if (server == SERVER_UNKNOWN || answer != MERGE_ANSWERED)
		return DRIVE_UNKNOWN;
	return said;
}

void merge_count(struct merge_count *count, enum server_state state)
{
	count->total++;
	switch (state) {
	case SERVER_DEGRADED:
		count->degraded++;
		count->online++;
		break;
	case SERVER_ONLINE:
		count->online++;
		break;
	case SERVER_OFFLINE:
		count->offline++;
		break;
	case SERVER_INITIALIZING:
		count->initializing++;
		count->unknown++;
		break;
	default:
		count->unknown++;
	}
}

void merge_space(struct merge_space *space, const struct drive *drive, enum drive_state state)
{
	space->drives++;
	space->state_count[state]++;
	if (state != DRIVE_OK)
		return;
	space->total_bytes += drive->total_bytes;
	space->used_bytes += drive->used_bytes;
	space->available_bytes += drive->available_bytes;
}
