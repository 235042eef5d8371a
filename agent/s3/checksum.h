/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum.h - the checksums that clients send along: x-amz-checksum-*, Content-MD5.
 *
 * Room: s3. Pure; calls OpenSSL. Called by body.
 */
#ifndef KNELL_S3_CHECKSUM_H
#define KNELL_S3_CHECKSUM_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum checksum_kind {
	CHECKSUM_NONE,
	CHECKSUM_CRC32,
	CHECKSUM_CRC32C,
	CHECKSUM_CRC64NVME,
	CHECKSUM_SHA1,
	CHECKSUM_SHA256,
	CHECKSUM_MD5,
	CHECKSUM_KINDS,
};

enum {
	CHECKSUM_TEXT_BYTES = 45, /* base64 of 32 bytes, with a NUL */
	CHECKSUM_CRCS = 3,
	CHECKSUM_LANES = 8, /* bytes taken at once */
};

/* 48 KiB, computed once. */
struct checksum_tables {
	uint64_t crc[CHECKSUM_CRCS][CHECKSUM_LANES][256];
};

struct checksum {
	enum checksum_kind kind;
	const struct checksum_tables *tables;
	uint64_t crc;
	EVP_MD_CTX *digest;
};

void checksum_tables_make(struct checksum_tables *tables);

/** checksum_of_field - the kind that a field "x-amz-checksum-..." names, or CHECKSUM_NONE. */
enum checksum_kind checksum_of_field(const char *field);

/** checksum_field - "x-amz-checksum-crc32" ...; "content-md5". */
const char *checksum_field(enum checksum_kind kind);

/** checksum_is_text - could the base64 text be a checksum of that kind? */
bool checksum_is_text(enum checksum_kind kind, const char *text);

/** checksum_begin - 0 or -ENOMEM; checksum_free() in both cases, and for a zeroed one. */
int checksum_begin(struct checksum *checksum, enum checksum_kind kind,
		   const struct checksum_tables *tables);
void checksum_add(struct checksum *checksum, const uint8_t *data, size_t len);

/** checksum_end - its value as base64. Once, after the last checksum_add(). */
const char *checksum_end(struct checksum *checksum, char text[CHECKSUM_TEXT_BYTES]);
void checksum_free(struct checksum *checksum);

#endif
