// SPDX-License-Identifier: BSD-2-Clause
/*
 * control_upload.c - the uploads under way, as `knell upload show` gets them. See control_upload.h.
 *
 * Room: agent.
 */
#include "control_upload.h"
#include "store/dir.h"

#define NS_PER_MS 1000000ULL
#define MS_PER_S  1000ULL

struct listing {
	json_t *list;
	uint64_t now_ns;
};

static json_t *list_replicas(const struct dir_upload *upload)
{
	const struct quorum_replica *replica = upload->replicas;
	json_t *list = json_array();

	for (; replica < upload->replicas + upload->replica_count; replica++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "node", replica->node,
						      "state", replica->state, "bytes",
						      (json_int_t)replica->taken_bytes));
	return list;
}

static void list_one(void *ctx, const struct dir_upload *upload)
{
	const struct listing *listing = ctx;
	uint64_t age_ms = (listing->now_ns - upload->began_ns) / NS_PER_MS;
	json_t *entry = json_pack("{s:I,s:s,s:s,s:I,s:I,s:s,s:o}", "id", (json_int_t)upload->id,
				  "bucket", upload->bucket, "key", upload->key, "bytes",
				  (json_int_t)upload->bytes, "age_ms", (json_int_t)age_ms, "state",
				  upload->committing ? "committing" : "receiving", "replicas",
				  list_replicas(upload));

	if (upload->part)
		json_object_set_new(entry, "part", json_integer(upload->part));
	if (upload->expected_bytes)
		json_object_set_new(entry, "expected_bytes",
				    json_integer((json_int_t)upload->expected_bytes));
	if (age_ms)
		json_object_set_new(entry, "rate_bytes_per_s",
				    json_integer((json_int_t)(upload->bytes * MS_PER_S / age_ms)));
	json_array_append_new(listing->list, entry);
}

json_t *control_upload_list(struct store *store, uint64_t now_ns)
{
	struct listing listing = {json_array(), now_ns};

	dir_upload_each(store, list_one, &listing);
	return listing.list;
}
