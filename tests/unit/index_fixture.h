/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index_fixture.h - an index of its own in /tmp, entries for it, and what stands in it.
 */
#ifndef KNELL_TESTS_INDEX_FIXTURE_H
#define KNELL_TESTS_INDEX_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/index_entry.h"

#define INDEX_FIXTURE_PATH_BYTES 64

struct index_fixture {
	struct index_db db;
	char path[INDEX_FIXTURE_PATH_BYTES]; /* of the directory */
	uint64_t last_file;
	bool garbage; /* as the last call left it */
};

/* index_fixture_open - empty. index_fixture_close - and remove it. */
void index_fixture_open(struct index_fixture *fixture);
void index_fixture_close(struct index_fixture *fixture);

/* Entries that are made of nothing but names and versions. */
struct index_entry bucket_entry(const char *bucket, uint64_t version);
struct index_entry object_entry(const char *bucket, const char *key, uint64_t version,
				uint64_t size_bytes);
struct index_entry upload_entry(const char *bucket, const char *key, uint64_t id);
struct index_entry part_entry(const char *bucket, const char *key, uint64_t upload,
			      unsigned int number, uint64_t version, uint64_t size_bytes);
/* gone_entry - a tombstone of what stands under that name. */
struct index_entry gone_entry(struct index_entry entry, uint64_t version);

/* index_fixture_file - a new file with the bytes of @entry. */
struct index_file index_fixture_file(struct index_fixture *fixture,
				     const struct index_entry *entry);

/* index_fixture_apply - must be taken without an error. With @brings a new file comes with it. */
enum index_applied index_fixture_apply(struct index_fixture *fixture,
				       const struct index_entry *entry, bool brings);
/* index_fixture_refused - the error; nothing stays of what was tried. */
int index_fixture_refused(struct index_fixture *fixture, const struct index_entry *entry);

/* index_fixture_find - what stands there; its version is 0 when nothing does. No metadata. */
struct index_entry index_fixture_find(struct index_fixture *fixture,
				      const struct index_entry *named);

/* index_fixture_number - the number that @sql selects. */
uint64_t index_fixture_number(struct index_fixture *fixture, const char *sql);
/* index_fixture_needs - a file that an entry needs; index_fixture_is_garbage - that none needs. */
bool index_fixture_needs(struct index_fixture *fixture, uint64_t file);
bool index_fixture_is_garbage(struct index_fixture *fixture, uint64_t file);

/* index_fixture_text - all entries but for what is local to the drive, sorted by name. To be freed.
 */
char *index_fixture_text(struct index_fixture *fixture);

/* index_fixture_check - every file that was brought is needed or garbage, and none is missing. */
void index_fixture_check(struct index_fixture *fixture);

#endif
