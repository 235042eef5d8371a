/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drive.h - what is known of one drive.
 *
 * Room: store. Pure; calls nobody. Filled by drives.c, carried between nodes by peer/server.c.
 */
#ifndef KNELL_STORE_DRIVE_H
#define KNELL_STORE_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#define DRIVE_UUID_BYTES   40
#define DRIVE_REASON_BYTES 96

enum drive_state {
	DRIVE_UNKNOWN, /* not read yet, or nobody is there to ask */
	DRIVE_OK,
	DRIVE_OFFLINE, /* nothing is there */
	DRIVE_FAULTY,  /* errors, no answer in time, or nothing can be written: full, read-only */
	DRIVE_STATES
};

struct drive {
	char *path; /* owned */
	enum drive_state state;
	char reason[DRIVE_REASON_BYTES]; /* why it is not ok, "" when it is */
	char uuid[DRIVE_UUID_BYTES];	 /* of its file system; "": has none */
	/* As of the last time that it answered. */
	uint64_t total_bytes;
	uint64_t used_bytes;
	uint64_t available_bytes; /* to an unprivileged program */
	uint64_t inodes;
	uint64_t inodes_used;
	bool read_only;
};

/** drive_state_name - "ok"; "unknown" for a number out of range. Static. */
const char *drive_state_name(unsigned int state);

/** drive_state_parse - the reverse; what is no such name is DRIVE_UNKNOWN. */
enum drive_state drive_state_parse(const char *name);

#endif
