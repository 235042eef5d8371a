/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drives.h - the drives of this node, looked at every few seconds, answered from memory.
 *
 * Room: store. Calls io/worker. Asked by the agent when it says what this node is.
 *
 * Whoever asks gets what is known now: a drive that hangs is never waited for.
 */
#ifndef KNELL_STORE_DRIVES_H
#define KNELL_STORE_DRIVES_H

#include <stdbool.h>
#include <stddef.h>
#include "io/loop.h"
#include "store/drive.h"

struct drives;

#define DRIVES_PERIOD_NS  UINT64_C(5000000000) /* between two looks at a drive */
#define DRIVES_TIMEOUT_NS UINT64_C(2000000000) /* a look that takes longer: faulty */
/* A trial that takes longer: faulty. A disk that has much to write may take seconds for a flush. */
#define DRIVES_TRIAL_NS	  UINT64_C(10000000000)
#define DRIVES_ROOM_BYTES (UINT64_C(1) << 20) /* with less to be had it is full */

/**
 * drives_open - look at the directories @paths, now and from now on.
 *
 * A look asks the file system what it has; then a trial writes a page to it, into a file without a
 * name, and flushes it: only that tells of a drive that is read-only, full, frozen or broken.
 *
 * 0 or a negative errno.
 */
int drives_open(struct drives **drives, struct loop *loop, char *const *paths, size_t count);

/** drives_close - forget them; one that hangs is left behind. NULL is allowed. */
void drives_close(struct drives *drives);

/** drives_count - 0 for NULL. */
size_t drives_count(const struct drives *drives);

/** drives_get - what is known of one; valid until the loop goes on. */
const struct drive *drives_get(const struct drives *drives, size_t index);

/** drives_known - each has answered, or has been found not to. */
bool drives_known(const struct drives *drives);

#endif
