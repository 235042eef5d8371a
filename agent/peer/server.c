// SPDX-License-Identifier: BSD-2-Clause
/*
 * server.c - what a node says of itself, as peers carry it to each other. See server.h.
 *
 * Room: peer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/peer.pb-c.h"
#include "peer/message.h"
#include "peer/server.h"

static const char *const state_names[SERVER_STATES] = {
	[SERVER_ONLINE] = "online",
	[SERVER_DEGRADED] = "degraded",
	[SERVER_UNKNOWN] = "unknown",
	[SERVER_OFFLINE] = "offline",
	[SERVER_INITIALIZING] = "initializing",
};

const char *server_state_name(unsigned int state)
{
	return state_names[state < SERVER_STATES ? state : SERVER_UNKNOWN];
}

/* A node that says anything is the one or the other. */
static char *own_state(const struct server *server)
{
	return (char *)server_state_name(server->initializing ? SERVER_INITIALIZING
							      : SERVER_ONLINE);
}

static bool is_initializing(const char *state)
{
	return !strcmp(state, server_state_name(SERVER_INITIALIZING));
}

static void free_drives(struct drive *drives, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(drives[i].path);
	free(drives);
}

void server_free(struct server *server)
{
	free_drives(server->drives, server->drive_count);
	free(server->network);
	*server = (struct server){0};
}

int server_add_view(struct server *server, const char *name, const char *state)
{
	struct server_view *grown;

	if (server->network_count == SERVER_NETWORK_MAX)
		return -E2BIG;
	grown = realloc(server->network, (server->network_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	server->network = grown;
	grown += server->network_count++;
	message_text(grown->name, sizeof(grown->name), name);
	message_text(grown->state, sizeof(grown->state), state);
	return 0;
}

int server_add_drive(struct server *server, const struct drive *drive)
{
	struct drive *grown;
	char *path;

	if (server->drive_count == SERVER_DRIVES_MAX)
		return -E2BIG;
	path = message_text_dup(drive->path, SERVER_PATH_BYTES_MAX);
	grown = path ? realloc(server->drives, (server->drive_count + 1) * sizeof(*grown)) : NULL;
	if (!grown) {
		free(path);
		return -ENOMEM;
	}
	server->drives = grown;
	grown += server->drive_count++;
	*grown = *drive;
	grown->path = path;
	message_text(grown->reason, sizeof(grown->reason), drive->reason);
	message_text(grown->uuid, sizeof(grown->uuid), drive->uuid);
	return 0;
}

/* A message's drives: pointers to what one allocation holds, to be freed as a whole. */
struct drive_list {
	Knell__V1__Drive **pointers;
	Knell__V1__Drive messages[];
};

static struct drive_list *drive_messages(const struct server *server)
{
	size_t count = server->drive_count, i;
	struct drive_list *list =
		malloc(sizeof(*list) + count * (sizeof(list->messages[0]) + sizeof(void *)));

	if (!list)
		return NULL;
	list->pointers = (Knell__V1__Drive **)&list->messages[count];
	for (i = 0; i < count; i++) {
		struct drive *drive = &server->drives[i];
		Knell__V1__Drive *message = &list->messages[i];

		*message = (Knell__V1__Drive)KNELL__V1__DRIVE__INIT;
		message->path = drive->path;
		message->state = (char *)drive_state_name(drive->state);
		message->reason = drive->reason;
		message->uuid = drive->uuid;
		message->total_bytes = drive->total_bytes;
		message->used_bytes = drive->used_bytes;
		message->available_bytes = drive->available_bytes;
		message->inodes = drive->inodes;
		message->inodes_used = drive->inodes_used;
		message->read_only = drive->read_only;
		list->pointers[i] = message;
	}
	return list;
}

struct view_list {
	Knell__V1__ServerInfoReply__NetworkEntry **pointers;
	Knell__V1__ServerInfoReply__NetworkEntry messages[];
};

static struct view_list *view_messages(const struct server *server)
{
	size_t count = server->network_count, i;
	struct view_list *list =
		malloc(sizeof(*list) + count * (sizeof(list->messages[0]) + sizeof(void *)));

	if (!list)
		return NULL;
	list->pointers = (Knell__V1__ServerInfoReply__NetworkEntry **)&list->messages[count];
	for (i = 0; i < count; i++) {
		list->messages[i] = (Knell__V1__ServerInfoReply__NetworkEntry)
			KNELL__V1__SERVER_INFO_REPLY__NETWORK_ENTRY__INIT;
		list->messages[i].key = server->network[i].name;
		list->messages[i].value = server->network[i].state;
		list->pointers[i] = &list->messages[i];
	}
	return list;
}

int server_pack_info(const struct server *server, uint8_t **bytes, size_t *count)
{
	Knell__V1__ServerInfoReply reply = KNELL__V1__SERVER_INFO_REPLY__INIT;
	struct drive_list *drives = drive_messages(server);
	struct view_list *views = view_messages(server);
	int err = -ENOMEM;

	if (drives && views) {
		reply.name = (char *)server->name;
		reply.state = own_state(server);
		reply.endpoint = (char *)server->endpoint;
		reply.version = (char *)server->version;
		reply.uptime_s = server->uptime_s;
		reply.started = server->started_s;
		reply.connections = server->connections;
		reply.pid = server->pid;
		reply.cpus = server->cpus;
		reply.memory_bytes = server->memory_bytes;
		reply.n_network = server->network_count;
		reply.network = views->pointers;
		reply.n_drives = server->drive_count;
		reply.drives = drives->pointers;
		err = message_pack(&reply.base, bytes, count);
	}
	free(drives);
	free(views);
	return err;
}

int server_pack_storage(const struct server *server, uint8_t **bytes, size_t *count)
{
	Knell__V1__StorageInfoReply reply = KNELL__V1__STORAGE_INFO_REPLY__INIT;
	struct drive_list *drives = drive_messages(server);
	int err;

	if (!drives)
		return -ENOMEM;
	reply.name = (char *)server->name;
	reply.state = own_state(server);
	reply.endpoint = (char *)server->endpoint;
	reply.n_drives = server->drive_count;
	reply.drives = drives->pointers;
	err = message_pack(&reply.base, bytes, count);
	free(drives);
	return err;
}

static int read_drives(struct server *server, Knell__V1__Drive *const *messages, size_t count)
{
	struct drive drive;
	int err = 0;
	size_t i;

	for (i = 0; i < count && !err; i++) {
		const Knell__V1__Drive *message = messages[i];

		drive = (struct drive){
			.path = message->path,
			.state = drive_state_parse(message->state),
			.total_bytes = message->total_bytes,
			.used_bytes = message->used_bytes,
			.available_bytes = message->available_bytes,
			.inodes = message->inodes,
			.inodes_used = message->inodes_used,
			.read_only = message->read_only,
		};
		message_text(drive.reason, sizeof(drive.reason), message->reason);
		message_text(drive.uuid, sizeof(drive.uuid), message->uuid);
		err = server_add_drive(server, &drive);
	}
	return err;
}

static int read_views(struct server *server,
		      Knell__V1__ServerInfoReply__NetworkEntry *const *messages, size_t count)
{
	int err = 0;
	size_t i;

	for (i = 0; i < count && !err; i++)
		err = server_add_view(server, messages[i]->key, messages[i]->value);
	return err;
}

static void *read_reply(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t count)
{
	return count <= SERVER_MESSAGE_BYTES_MAX ? message_read(type, bytes, count) : NULL;
}

int server_read_info(struct server *server, const uint8_t *bytes, size_t count)
{
	Knell__V1__ServerInfoReply *reply =
		read_reply(&knell__v1__server_info_reply__descriptor, bytes, count);
	struct server fresh = {0};
	int err;

	if (!reply)
		return -EINVAL;
	message_text(fresh.name, sizeof(fresh.name), reply->name);
	message_text(fresh.endpoint, sizeof(fresh.endpoint), reply->endpoint);
	message_text(fresh.version, sizeof(fresh.version), reply->version);
	fresh.initializing = is_initializing(reply->state);
	fresh.uptime_s = reply->uptime_s;
	fresh.started_s = reply->started;
	fresh.connections = reply->connections;
	fresh.pid = reply->pid;
	fresh.cpus = reply->cpus;
	fresh.memory_bytes = reply->memory_bytes;
	err = read_views(&fresh, reply->network, reply->n_network);
	if (!err)
		err = read_drives(&fresh, reply->drives, reply->n_drives);
	message_free(reply);
	if (err) {
		server_free(&fresh);
		return err;
	}
	server_free(server);
	*server = fresh;
	return 0;
}

int server_read_storage(struct server *server, const uint8_t *bytes, size_t count)
{
	Knell__V1__StorageInfoReply *reply =
		read_reply(&knell__v1__storage_info_reply__descriptor, bytes, count);
	struct server fresh = {0};
	int err;

	if (!reply)
		return -EINVAL;
	err = read_drives(&fresh, reply->drives, reply->n_drives);
	if (err) {
		message_free(reply);
		server_free(&fresh);
		return err;
	}
	message_text(server->name, sizeof(server->name), reply->name);
	message_text(server->endpoint, sizeof(server->endpoint), reply->endpoint);
	server->initializing = is_initializing(reply->state);
	message_free(reply);
	free_drives(server->drives, server->drive_count);
	server->drives = fresh.drives;
	server->drive_count = fresh.drive_count;
	return 0;
}
