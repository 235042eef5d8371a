// SPDX-License-Identifier: BSD-2-Clause
/*
 * keyring.c - signing keys that were made lately. See keyring.h.
 *
 * Room: s3. Pure; calls sigv4, OpenSSL. Called by auth.
 *
 * A key is found by the very secret and scope that it is made of, so that one whose secret was
 * changed is never found. Each has one place where it may be; who comes later takes it.
 */
#include <openssl/crypto.h>
#include <string.h>
#include "s3/keyring.h"

static struct keyring_key *place_of(struct keyring *ring, const char *secret, const char *scope)
{
	unsigned int hash = 5381;

	for (; *secret; secret++)
		hash = hash * 33 + (unsigned char)*secret;
	for (; *scope; scope++)
		hash = hash * 33 + (unsigned char)*scope;
	return &ring->keys[hash % KEYRING_KEYS];
}

void keyring_key(struct keyring *ring, uint8_t key[SIGV4_HASH_BYTES], const char *secret,
		 const struct sigv4_claim *claim)
{
	size_t len = strlen(secret);
	char scope[SIGV4_SCOPE_BYTES];
	struct keyring_key *place;

	if (!ring || !len || len >= KEYRING_SECRET_BYTES) {
		sigv4_key(key, secret, claim);
		return;
	}
	sigv4_scope(scope, claim);
	place = place_of(ring, secret, scope);
	if (strcmp(place->secret, secret) || strcmp(place->scope, scope)) {
		sigv4_key(place->key, secret, claim);
		memcpy(place->secret, secret, len + 1);
		memcpy(place->scope, scope, sizeof(place->scope));
	}
	memcpy(key, place->key, SIGV4_HASH_BYTES);
}

void keyring_forget(struct keyring *ring)
{
	OPENSSL_cleanse(ring, sizeof(*ring));
}
