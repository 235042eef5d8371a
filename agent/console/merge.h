/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * merge.h - one picture of the cluster out of verdicts and answers: what each server is, what its
 * drives are, and how many there are of each.
 *
 * Room: console. Pure; calls nobody. Called by info.c and its tests.
 */
#ifndef KNELL_CONSOLE_MERGE_H
#define KNELL_CONSOLE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "knell/verdict.h"
#include "peer/server.h"
#include "store/drive.h"

/* What came of asking a server. */
enum merge_answer {
	MERGE_UNASKED,
	MERGE_ANSWERED,
	MERGE_FAILED, /* an error, nonsense, or nothing in time */
};

/* online + offline + unknown is the total, whatever happens. */
struct merge_count {
	size_t total;
	size_t online;
	size_t degraded; /* of the online ones */
	size_t offline;
	size_t unknown;
	size_t initializing; /* of the unknown ones */
};

struct merge_space {
	size_t drives;
	size_t state_count[DRIVE_STATES];
	/* Of drives that are ok. */
	uint64_t total_bytes;
	uint64_t used_bytes;
	uint64_t available_bytes;
};

/** merge_asks - is a peer in that state (enum verdict_state) worth a question? Else it tells all.
 */
bool merge_asks(unsigned int verdict);

/** merge_state - what a server is; the verdict of this moment comes before what was answered. */
enum server_state merge_state(unsigned int verdict, enum merge_answer answer, bool initializing);

/** merge_fault - the first of its drives that is not as it should be; NULL: none. */
const struct drive *merge_fault(const struct server *server);

/** merge_drive - what a drive is that was last known as @said, on such a server. */
enum drive_state merge_drive(enum server_state server, enum merge_answer answer,
			     enum drive_state said);

void merge_count(struct merge_count *count, enum server_state state);
void merge_space(struct merge_space *space, const struct drive *drive, enum drive_state state);

#endif
