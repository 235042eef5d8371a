// SPDX-License-Identifier: BSD-2-Clause
/*
 * checksum.c - the checksums that clients send along. See checksum.h.
 *
 * Room: s3. Pure; calls OpenSSL. Called by body.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "s3/checksum.h"

static const struct kind {
	const char *field;
	size_t bytes;
	uint64_t polynomial; /* reflected; 0: a digest */
	const EVP_MD *(*digest)(void);
} kinds[CHECKSUM_KINDS] = {
	[CHECKSUM_NONE] = {"", 0, 0, NULL},
	[CHECKSUM_CRC32] = {"x-amz-checksum-crc32", 4, UINT64_C(0xedb88320), NULL},
	[CHECKSUM_CRC32C] = {"x-amz-checksum-crc32c", 4, UINT64_C(0x82f63b78), NULL},
	[CHECKSUM_CRC64NVME] = {"x-amz-checksum-crc64nvme", 8, UINT64_C(0x9a6c9329ac4bc9b5), NULL},
	[CHECKSUM_SHA1] = {"x-amz-checksum-sha1", 20, 0, EVP_sha1},
	[CHECKSUM_SHA256] = {"x-amz-checksum-sha256", 32, 0, EVP_sha256},
	[CHECKSUM_MD5] = {"content-md5", 16, 0, EVP_md5},
};

/* Table 0 takes one byte on; table n does so, and then n zero bytes. */
void checksum_tables_make(struct checksum_tables *tables)
{
	unsigned int kind, byte, lane, bit;

	for (kind = CHECKSUM_CRC32; kind <= CHECKSUM_CRC64NVME; kind++) {
		uint64_t(*table)[256] = tables->crc[kind - CHECKSUM_CRC32];

		for (byte = 0; byte < 256; byte++) {
			uint64_t crc = byte;

			for (bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (crc & 1 ? kinds[kind].polynomial : 0);
			table[0][byte] = crc;
		}
		for (lane = 1; lane < CHECKSUM_LANES; lane++)
			for (byte = 0; byte < 256; byte++)
				table[lane][byte] = table[lane - 1][byte] >> 8 ^
						    table[0][table[lane - 1][byte] & 0xff];
	}
}

enum checksum_kind checksum_of_field(const char *field)
{
	unsigned int kind;

	for (kind = CHECKSUM_CRC32; kind <= CHECKSUM_SHA256; kind++)
		if (!strcmp(kinds[kind].field, field))
			return (enum checksum_kind)kind;
	return CHECKSUM_NONE;
}

const char *checksum_field(enum checksum_kind kind)
{
	return kinds[kind].field;
}

bool checksum_is_text(enum checksum_kind kind, const char *text)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t bytes = kinds[kind].bytes, padding = (3 - bytes % 3) % 3;
	size_t len = (bytes + 2) / 3 * 4;

	return strlen(text) == len && strspn(text, alphabet) == len - padding &&
	       strspn(text + len - padding, "=") == padding;
}

int checksum_begin(struct checksum *checksum, enum checksum_kind kind,
		   const struct checksum_tables *tables)
{
	*checksum = (struct checksum){.kind = kind, .tables = tables, .crc = UINT64_MAX};
	if (kinds[kind].bytes == 4)
		checksum->crc = UINT32_MAX;
	if (!kinds[kind].digest)
		return 0;
	checksum->digest = EVP_MD_CTX_new();
	if (!checksum->digest ||
	    EVP_DigestInit_ex(checksum->digest, kinds[kind].digest(), NULL) != 1)
		return -ENOMEM;
	return 0;
}

static uint64_t crc_add(const uint64_t (*table)[256], uint64_t crc, const uint8_t *data, size_t len)
{
	uint64_t word;
	int lane;

	for (; len >= CHECKSUM_LANES; data += CHECKSUM_LANES, len -= CHECKSUM_LANES) {
		memcpy(&word, data, sizeof(word));
		word = le64toh(word) ^ crc;
		crc = 0;
		for (lane = CHECKSUM_LANES - 1; lane >= 0; lane--, word >>= 8)
			crc ^= table[lane][word & 0xff];
	}
	for (; len; data++, len--)
		crc = crc >> 8 ^ table[0][(crc ^ *data) & 0xff];
	return crc;
}

void checksum_add(struct checksum *checksum, const uint8_t *data, size_t len)
{
	if (checksum->digest)
		EVP_DigestUpdate(checksum->digest, data, len);
	else if (checksum->kind)
		checksum->crc = crc_add(checksum->tables->crc[checksum->kind - CHECKSUM_CRC32],
					checksum->crc, data, len);
}

const char *checksum_end(struct checksum *checksum, char text[CHECKSUM_TEXT_BYTES])
{
	size_t bytes = kinds[checksum->kind].bytes;
	uint8_t value[EVP_MAX_MD_SIZE] = {0};
	uint64_t crc;

	if (checksum->digest) {
		EVP_DigestFinal_ex(checksum->digest, value, NULL);
	} else {
		crc = htobe64(~checksum->crc);
		memcpy(value, (uint8_t *)&crc + sizeof(crc) - bytes, bytes);
	}
	EVP_EncodeBlock((unsigned char *)text, value, (int)bytes);
	return text;
}

void checksum_free(struct checksum *checksum)
{
	EVP_MD_CTX_free(checksum->digest);
	checksum->digest = NULL;
}
