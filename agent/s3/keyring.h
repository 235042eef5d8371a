/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keyring.h - signing keys that were made lately. One is good for a day, and to make it takes four
 * HMACs, more than all the rest of a small request's signature.
 *
 * Room: s3. Pure; calls sigv4. Called by auth; server.c has the one that there is.
 */
#ifndef KNELL_S3_KEYRING_H
#define KNELL_S3_KEYRING_H

#include "s3/sigv4.h"

enum { KEYRING_KEYS = 64, KEYRING_SECRET_BYTES = 128 };

struct keyring {
	struct keyring_key {
		char secret[KEYRING_SECRET_BYTES]; /* "": nothing is kept here */
		char scope[SIGV4_SCOPE_BYTES];
		uint8_t key[SIGV4_HASH_BYTES];
	} keys[KEYRING_KEYS];
};

/** keyring_key - as sigv4_key(), out of @ring where it is there. NULL: it is made each time. */
void keyring_key(struct keyring *ring, uint8_t key[SIGV4_HASH_BYTES], const char *secret,
		 const struct sigv4_claim *claim);

/** keyring_forget - all of them, and no trace of the secrets is left. */
void keyring_forget(struct keyring *ring);

#endif
