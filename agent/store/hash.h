/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hash.h - MD5 on threads beside the loop: at 64 KiB per 100 us it would be most of an upload's
 * cost, and whatever else the loop has to do would wait for it.
 *
 * Room: store. Calls io/worker, OpenSSL. Called by dir_file.
 */
#ifndef KNELL_STORE_HASH_H
#define KNELL_STORE_HASH_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include "io/loop.h"

struct hash_pool;

enum { HASH_THREADS = 2 };

/*
 * Some bytes of a digest, embedded in their owner; what is pointed to must live until `done`, which
 * comes once, on the loop. Those of one lane are taken in order.
 */
struct hash_job {
	void (*done)(struct hash_job *job);
	EVP_MD_CTX *digest;
	const void *data;
	size_t len;
	bool failed; /* when `done`: they are not in the digest */
	STAILQ_ENTRY(hash_job) entry;
};

int hash_open(struct hash_pool **pool, struct loop *loop);

/** hash_submit - @lane: the same for all bytes of one digest; any number will do. */
void hash_submit(struct hash_pool *pool, unsigned int lane, struct hash_job *job);

/** hash_close - every job is done after this, those not begun as failed. NULL is allowed. */
void hash_close(struct hash_pool *pool);

#endif
