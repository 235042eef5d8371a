// SPDX-License-Identifier: BSD-2-Clause
/*
 * drive.c - what is known of one drive. See drive.h.
 *
 * Room: store. Pure.
 */
#include <string.h>
#include "store/drive.h"

static const char *const names[DRIVE_STATES] = {
	[DRIVE_UNKNOWN] = "unknown",
	[DRIVE_OK] = "ok",
	[DRIVE_OFFLINE] = "offline",
	[DRIVE_FAULTY] = "faulty",
};

const char *drive_state_name(unsigned int state)
{
	return names[state < DRIVE_STATES ? state : DRIVE_UNKNOWN];
}

enum drive_state drive_state_parse(const char *name)
{
	unsigned int i;

	for (i = 0; i < DRIVE_STATES; i++)
		if (!strcmp(names[i], name))
			return (enum drive_state)i;
	return DRIVE_UNKNOWN;
}
