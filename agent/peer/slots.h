/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slots.h - many small objects of one size, side by side in memory.
 *
 * Room: peer. Calls libc only. Called by conn.c: whoever walks over a thousand connections that lie
 * apart pays for it with a cache and a TLB miss each, and an eviction is such a walk.
 */
#ifndef KNELL_PEER_SLOTS_H
#define KNELL_PEER_SLOTS_H

#include <stddef.h>

struct slots;

/** slots_open - for objects of @size bytes. 0 or -ENOMEM. */
int slots_open(struct slots **slots, size_t size);

/** slots_close - free all, those not given back too. NULL is allowed. */
void slots_close(struct slots *slots);

/** slots_take - one zeroed object, the one given back longest ago; NULL when memory is out. */
void *slots_take(struct slots *slots);

/** slots_give - give @object back; memory is kept for the next one. */
void slots_give(struct slots *slots, void *object);

#endif
