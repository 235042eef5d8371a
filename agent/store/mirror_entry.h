/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror_entry.h - entries of the index as messages, and back.
 *
 * Room: store. Pure but for memory. Called by the mirror's parts and by service_mirror.c. What
 * comes from a peer is looked at as if it came from anybody.
 */
#ifndef KNELL_STORE_MIRROR_ENTRY_H
#define KNELL_STORE_MIRROR_ENTRY_H

#include "knell/v1/mirror.pb-c.h"
#include "store/index_entry.h"

/** mirror_entry_name - the name alone; @message borrows from @name. */
void mirror_entry_name(Knell__V1__Entry *message, const struct index_name *name);

/** mirror_entry_fill - all of it; @message borrows from @entry. */
void mirror_entry_fill(Knell__V1__Entry *message, const struct index_entry *entry);

/** mirror_entry_read_name - 0, or -EINVAL: no such name can be. @message may be NULL: -EINVAL. */
int mirror_entry_read_name(struct index_name *name, const Knell__V1__Entry *message);

/** mirror_entry_read - @entry is to be freed by index_entry_free(). 0, -EINVAL or -ENOMEM. */
int mirror_entry_read(struct index_entry *entry, const Knell__V1__Entry *message);

#endif
