// SPDX-License-Identifier: BSD-2-Clause
/*
 * info_json.c - the cluster as a whole, as JSON. See info_json.h.
 *
 * Room: console. Pure but for jansson. What a server that does not answer said last is listed, but
 * for what is true of the moment only. Who sees whom grows with the square of the cluster: where
 * that is more than VIEWS_MAX it is left out, so that the rest still fits in a line, and the loop
 * is not kept busy with it.
 */
#include "console/info_json.h"
#include "text/words.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)

/* Of all servers together: 362 of them. With the longest names that makes 11 MB. */
#define VIEWS_MAX ((size_t)128 << 10)

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)(value < INT64_MAX ? value : INT64_MAX));
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

/* Takes both over; NULL as soon as memory is out. */
static json_t *append(json_t *array, json_t *value)
{
	if (!array || !value || json_array_append_new(array, value)) {
		/* json_array_append_new() lets go of the value when it fails. */
		if (!array)
			json_decref(value);
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *drive_json(const struct info_server *server, const struct drive *drive)
{
	enum drive_state state = merge_drive(server->state, server->answer, drive->state);

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "path", drive->path,
			 "state", drive_state_name(state), "reason",
			 text_or_null(state == drive->state ? drive->reason : server->reason),
			 "uuid", text_or_null(drive->uuid), "total_bytes",
			 number(drive->total_bytes), "used_bytes", number(drive->used_bytes),
			 "available_bytes", number(drive->available_bytes), "inodes",
			 number(drive->inodes), "inodes_used", number(drive->inodes_used),
			 "read_only", drive->read_only);
}

static json_t *drives_json(const struct info_server *server)
{
	json_t *drives = json_array();
	size_t i;

	for (i = 0; server->known && i < server->known->drive_count; i++)
		drives = append(drives, drive_json(server, &server->known->drives[i]));
	return drives;
}

static json_t *network_json(const struct server *known)
{
	json_t *network = json_object();
	size_t i;

	for (i = 0; i < known->network_count; i++)
		if (json_object_set_new(network, known->network[i].name,
					json_string(known->network[i].state))) {
			json_decref(network);
			return NULL;
		}
	return network;
}

static json_t *server_json(const struct info_server *server)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:b, s:s, s:o, s:b, s:o, s:o}", "name", server->name,
			 "state", server_state_name(server->state), "reason",
			 text_or_null(server->reason), "endpoint", server->endpoint, "self",
			 server->self, "verdict", words_state(server->verdict), "since_age_ms",
			 number(server->since_age_ns / NS_PER_MS), "answered",
			 server->answer == MERGE_ANSWERED, "known_age_ms",
			 server->known ? number(server->known_age_ns / NS_PER_MS) : json_null(),
			 "drives", drives_json(server));
}

/* What only ServerInfo tells; null where the server never told, or it is true no more. */
static int add_details(json_t *object, const struct info_server *server, bool with_network)
{
	static const struct server unknown;
	const struct server *known = server->known ? server->known : &unknown;
	json_t *details =
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "version", text_or_null(known->version),
			  "started", known->started_s ? number(known->started_s) : json_null(),
			  "pid", known->pid ? number(known->pid) : json_null(), "cpus",
			  known->cpus ? number(known->cpus) : json_null(), "memory_bytes",
			  known->memory_bytes ? number(known->memory_bytes) : json_null(),
			  "network", with_network ? network_json(known) : json_null());
	int failed = !details || json_object_update(object, details);

	json_decref(details);
	if (server->answer != MERGE_ANSWERED || server->state == SERVER_OFFLINE)
		known = NULL;
	failed |= json_object_set_new(object, "uptime_s",
				      known ? number(known->uptime_s) : json_null());
	failed |= json_object_set_new(object, "connections",
				      known ? number(known->connections) : json_null());
	return failed;
}

static bool has_few_views(const struct info_answer *answer)
{
	size_t views = 0, i;

	for (i = 0; i < answer->count; i++)
		if (answer->servers[i].known)
			views += answer->servers[i].known->network_count;
	return views <= VIEWS_MAX;
}

static json_t *servers_json(enum info_kind kind, const struct info_answer *answer)
{
	bool with_network = has_few_views(answer);
	json_t *servers = json_array(), *object;
	size_t i;

	for (i = 0; i < answer->count && servers; i++) {
		object = server_json(&answer->servers[i]);
		if (object && kind == INFO_SERVERS &&
		    add_details(object, &answer->servers[i], with_network)) {
			json_decref(object);
			object = NULL;
		}
		servers = append(servers, object);
	}
	return servers;
}

static json_t *space_json(const struct merge_space *space)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "total", number(space->drives),
			 "ok", number(space->state_count[DRIVE_OK]), "offline",
			 number(space->state_count[DRIVE_OFFLINE]), "faulty",
			 number(space->state_count[DRIVE_FAULTY]), "unknown",
			 number(space->state_count[DRIVE_UNKNOWN]), "total_bytes",
			 number(space->total_bytes), "used_bytes", number(space->used_bytes),
			 "available_bytes", number(space->available_bytes));
}

json_t *info_json(enum info_kind kind, const struct info_answer *answer)
{
	const struct merge_count *counts = &answer->counts;

	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "node",
			 answer->node, "isolated", answer->isolated, "total", number(counts->total),
			 "online", number(counts->online), "offline", number(counts->offline),
			 "unknown", number(counts->unknown), "degraded", number(counts->degraded),
			 "initializing", number(counts->initializing), "took_us",
			 number(answer->took_ns / NS_PER_US), "drives", space_json(&answer->space),
			 "servers", servers_json(kind, answer));
}
