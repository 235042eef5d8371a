// SPDX-License-Identifier: BSD-2-Clause
/*
 * index_upload.c - decisions about uploads in parts. See index_upload.h.
 *
 * Room: store. A part's file is held by the part until the object takes it over.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_object.h"
#include "store/index_row.h"
#include "store/index_upload.h"

enum { MD5_BYTES = 16, MD5_HEX = 2 * MD5_BYTES };

int index_upload_live(struct index_db *db, const struct index_name *name)
{
	struct index_name upload = *name;
	struct index_entry ours;
	int err;

	upload.kind = INDEX_UPLOAD;
	upload.number = 0;
	err = index_row_peek(db, &upload, &ours);
	return !err && ours.gone ? -ENOENT : err;
}

/* 0 unless what is named by @change is not older. */
static int look(struct index_db *db, const struct index_change *change)
{
	struct index_entry ours;
	int err = index_row_peek(db, &change->entry.name, &ours);

	if (err)
		return err == -ENOENT ? 0 : err;
	return ours.version < change->entry.version ? 0 : -ESTALE;
}

int index_upload_begin(struct index_db *db, struct index_change *change)
{
	int err = index_bucket_live(db, change->entry.name.bucket);
	enum index_applied how;
	bool garbage;

	if (!err)
		err = look(db, change);
	return err ? err : index_entry_apply(db, &change->entry, NULL, &how, &garbage);
}

int index_part_put(struct index_db *db, struct index_change *change, const struct index_file *file,
		   bool *garbage)
{
	int err = index_upload_live(db, &change->entry.name);
	enum index_applied how;

	if (!err)
		err = look(db, change);
	return err ? err : index_entry_apply(db, &change->entry, file, &how, garbage);
}

int index_upload_abort(struct index_db *db, struct index_change *change, bool *garbage)
{
	int err = index_upload_live(db, &change->entry.name);
	enum index_applied how;

	if (!err)
		err = look(db, change);
	change->entry.gone = true;
	return err ? err : index_entry_apply(db, &change->entry, NULL, &how, garbage);
}

static int from_hex(const char *hex, unsigned char md5[MD5_BYTES])
{
	unsigned int byte;
	size_t i;

	if (strlen(hex) != MD5_HEX || strspn(hex, "0123456789abcdefABCDEF") != MD5_HEX)
		return -EINVAL;
	for (i = 0; i < MD5_BYTES; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1) /* NOLINT(cert-err34-c): two digits */
			return -EINVAL;
		md5[i] = (unsigned char)byte;
	}
	return 0;
}

/* The part with that name and @etag, as *ref. */
static int check_part(struct index_db *db, const struct index_name *name, const char *etag,
		      struct index_part_ref *ref)
{
	struct index_entry part;
	int err = index_row_peek(db, name, &part);

	if (err == -ENOENT || (!err && strcmp(part.etag, etag) != 0))
		return -EINVAL;
	if (err)
		return err;
	*ref = (struct index_part_ref){
		.number = name->number,
		.version = part.version,
		.size_bytes = part.size_bytes,
	};
	return 0;
}

static int check_parts(struct index_db *db, struct index_change *change,
		       const struct store_part *parts)
{
	struct index_name name = change->entry.name;
	size_t i;
	int err;

	name.kind = INDEX_PART;
	name.upload = change->upload;
	name.number = 0;
	change->entry.size_bytes = 0;
	for (i = 0; i < change->part_count; i++) {
		if (parts[i].number <= name.number)
			return -EINVAL;
		name.number = parts[i].number;
		err = check_part(db, &name, parts[i].etag, &change->parts[i]);
		if (err)
			return err;
		change->entry.size_bytes += change->parts[i].size_bytes;
	}
	return 0;
}

static int digest_parts(const struct store_part *parts, size_t part_count, EVP_MD_CTX *md5)
{
	unsigned char digest[MD5_BYTES];
	size_t i;
	int err;

	if (!md5 || !EVP_DigestInit_ex(md5, EVP_md5(), NULL))
		return -ENOMEM;
	for (i = 0; i < part_count; i++) {
		err = from_hex(parts[i].etag, digest);
		if (err)
			return err;
		if (!EVP_DigestUpdate(md5, digest, sizeof(digest)))
			return -ENOMEM;
	}
	return 0;
}

/* As S3 has it: the MD5 of the parts' MD5s, and how many they are. */
static int add_up(char etag[STORE_ETAG_BYTES], const struct store_part *parts, size_t part_count)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	int err = digest_parts(parts, part_count, md5);
	size_t i;

	if (!err && !EVP_DigestFinal_ex(md5, digest, NULL))
		err = -ENOMEM;
	EVP_MD_CTX_free(md5);
	if (err)
		return err;
	for (i = 0; i < MD5_BYTES; i++)
		snprintf(etag + 2 * i, 3, "%02x", digest[i]);
	snprintf(etag + MD5_HEX, STORE_ETAG_BYTES - MD5_HEX, "-%zu", part_count);
	return 0;
}

/* What the upload was begun with is the object's. */
static int take_meta(struct index_db *db, struct index_change *change)
{
	struct index_name name = change->entry.name;
	struct index_entry upload;
	int err;

	name.kind = INDEX_UPLOAD;
	name.upload = change->upload;
	err = index_entry_find(db, &name, &upload);
	if (err)
		return err;
	if (upload.gone)
		return -ENOENT;
	change->entry.meta = upload.meta;
	change->entry.meta_bytes = upload.meta_bytes;
	return 0;
}

/* There is no such upload. Has it become this object? */
static int complete_again(struct index_db *db, struct index_change *change,
			  const struct store_part *parts, size_t part_count)
{
	char etag[STORE_ETAG_BYTES];
	struct index_entry object;
	int err;

	if (add_up(etag, parts, part_count))
		return -ENOENT;
	err = index_entry_find(db, &change->entry.name, &object);
	if (err)
		return err;
	if (object.gone || strcmp(object.etag, etag) != 0 || object.version <= change->upload) {
		index_entry_free(&object);
		return -ENOENT;
	}
	change->entry = object;
	return 0;
}

int index_upload_complete(struct index_db *db, struct index_change *change,
			  const struct store_part *parts, size_t part_count, bool *garbage)
{
	enum index_applied how;
	bool here;
	int err = take_meta(db, change);

	if (err == -ENOENT)
		return complete_again(db, change, parts, part_count);
	if (!err)
		err = look(db, change);
	if (err)
		return err;
	change->parts = calloc(part_count + 1, sizeof(*change->parts));
	if (!change->parts)
		return -ENOMEM;
	change->part_count = part_count;
	err = check_parts(db, change, parts);
	if (!err)
		err = add_up(change->entry.etag, parts, part_count);
	if (!err)
		err = index_entry_join(db, &change->entry, change->upload, change->parts,
				       part_count, &how, &here, garbage);
	if (!err)
		change->entry.away = !here;
	return err;
}
