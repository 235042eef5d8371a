// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_entry.c - entries of the index as messages, and back. See mirror_entry.h.
 *
 * Room: store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/mirror_entry.h"

/* The end of the year 9999: what comes later cannot be written down. */
#define MODIFIED_MS_MAX UINT64_C(253402300799999)

static ProtobufCBinaryData bytes_of(const char *text, size_t bytes)
{
	return (ProtobufCBinaryData){.len = bytes, .data = (uint8_t *)(uintptr_t)text};
}

void mirror_entry_name(Knell__V1__Entry *message, const struct index_name *name)
{
	knell__v1__entry__init(message);
	message->kind = (Knell__V1__Kind)name->kind;
	message->bucket = bytes_of(name->bucket, strlen(name->bucket));
	message->key = bytes_of(name->key, strlen(name->key));
	message->upload = name->upload;
	message->number = name->number;
}

void mirror_entry_fill(Knell__V1__Entry *message, const struct index_entry *entry)
{
	mirror_entry_name(message, &entry->name);
	message->version = entry->version;
	message->gone = entry->gone;
	message->away = entry->away;
	message->size_bytes = entry->size_bytes;
	message->modified_ms = entry->modified_ms;
	message->etag = (char *)(uintptr_t)entry->etag;
	message->meta = bytes_of(entry->meta, entry->meta_bytes);
	message->lsn = entry->lsn;
}

static int read_text(char *to, size_t size, const ProtobufCBinaryData *from)
{
	if (from->len >= size || (from->len && memchr(from->data, 0, from->len)))
		return -EINVAL;
	if (from->len)
		memcpy(to, from->data, from->len);
	to[from->len] = '\0';
	return 0;
}

int mirror_entry_read_name(struct index_name *name, const Knell__V1__Entry *message)
{
	memset(name, 0, sizeof(*name));
	if (!message || message->kind < KNELL__V1__KIND__BUCKET ||
	    message->kind > KNELL__V1__KIND__PART || message->number > STORE_PARTS_MAX)
		return -EINVAL;
	name->kind = (enum index_kind)message->kind;
	name->upload = message->upload;
	name->number = message->number;
	if (read_text(name->bucket, sizeof(name->bucket), &message->bucket) ||
	    read_text(name->key, sizeof(name->key), &message->key))
		return -EINVAL;
	return name->bucket[0] && (name->key[0] || name->kind == INDEX_BUCKET) ? 0 : -EINVAL;
}

/* Of MD5s: it goes into heads and XML as it is. */
static bool is_etag(const char *etag)
{
	return strlen(etag) < STORE_ETAG_BYTES && !etag[strspn(etag, "0123456789abcdef-")];
}

/* Names and values, each with its end: whoever reads them goes from end to end. */
static bool is_meta(const ProtobufCBinaryData *meta)
{
	size_t i, ends = 0;

	if (!meta->len)
		return true;
	for (i = 0; i < meta->len; i++)
		ends += !meta->data[i];
	return meta->len <= STORE_META_BYTES_MAX && !meta->data[meta->len - 1] && ends % 2 == 0;
}

int mirror_entry_read(struct index_entry *entry, const Knell__V1__Entry *message)
{
	int err;

	memset(entry, 0, sizeof(*entry));
	err = mirror_entry_read_name(&entry->name, message);
	if (err)
		return err;
	if (!message->version || message->version > INT64_MAX ||
	    message->size_bytes > STORE_OBJECT_BYTES_MAX ||
	    message->modified_ms > MODIFIED_MS_MAX || !is_etag(message->etag) ||
	    !is_meta(&message->meta))
		return -EINVAL;
	entry->version = message->version;
	entry->gone = message->gone;
	entry->away = message->away;
	entry->size_bytes = message->size_bytes;
	entry->modified_ms = message->modified_ms;
	entry->lsn = message->lsn;
	snprintf(entry->etag, sizeof(entry->etag), "%s", message->etag);
	if (!message->meta.len)
		return 0;
	entry->meta = malloc(message->meta.len);
	if (!entry->meta)
		return -ENOMEM;
	memcpy(entry->meta, message->meta.data, message->meta.len);
	entry->meta_bytes = message->meta.len;
	return 0;
}
