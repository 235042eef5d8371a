/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.h - what a node says of itself, as peers carry it to each other.
 *
 * Room: peer. Calls message and the generated knell/v1/peer.pb-c. Filled by the agent for this node
 * (self.c), read from the peers' answers by console/info.
 */
#ifndef KNELL_PEER_SERVER_H
#define KNELL_PEER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/drive.h"

enum {
	SERVER_TEXT_BYTES = 64,
	SERVER_STATE_BYTES = 16,
	SERVER_NETWORK_MAX = 1024,
	SERVER_DRIVES_MAX = 256,
	SERVER_PATH_BYTES_MAX = 4096,
	SERVER_MESSAGE_BYTES_MAX = 2 << 20, /* of an answer that is read */
};

enum server_state {
	SERVER_ONLINE,
	SERVER_DEGRADED, /* its host lives; its program is late or silent, or a drive has a fault */
	SERVER_UNKNOWN,	 /* lost, or this node is cut off itself */
	SERVER_OFFLINE,
	SERVER_INITIALIZING, /* does not know its drives yet, or was never heard */
	SERVER_STATES
};

/* How much of a server is told. */
enum server_scope {
	SERVER_SCOPE_ALL,    /* ServerInfo */
	SERVER_SCOPE_DRIVES, /* StorageInfo: who it is, and its drives */
};

/* Of one of its peers: alive, degraded, suspect, lost, dead, isolated, new. */
struct server_view {
	char name[SERVER_TEXT_BYTES];
	char state[SERVER_STATE_BYTES];
};

/* Zero-initialised is empty. All texts are valid UTF-8 without control characters. */
struct server {
	char name[SERVER_TEXT_BYTES];
	char endpoint[SERVER_TEXT_BYTES];
	char version[SERVER_TEXT_BYTES];
	bool initializing;
	uint64_t uptime_s;
	uint64_t started_s; /* Unix time */
	uint32_t connections;
	uint32_t pid;
	uint32_t cpus;
	uint64_t memory_bytes;
	struct server_view *network; /* owned */
	size_t network_count;
	struct drive *drives; /* owned, with their paths */
	size_t drive_count;
};

/** server_state_name - "online"; "unknown" for a number out of range. Static. */
const char *server_state_name(unsigned int state);

/** server_free - leaves it empty. */
void server_free(struct server *server);

/** server_add_view / server_add_drive - copy in. 0, -ENOMEM, or -E2BIG when there are too many. */
int server_add_view(struct server *server, const char *name, const char *state);
int server_add_drive(struct server *server, const struct drive *drive);

/**
 * server_pack_info / server_pack_storage - as a ServerInfoReply or StorageInfoReply; *@bytes is to
 * be freed. 0 or -ENOMEM.
 */
int server_pack_info(const struct server *server, uint8_t **bytes, size_t *count);
int server_pack_storage(const struct server *server, uint8_t **bytes, size_t *count);

/**
 * server_read_info / server_read_storage - the reverse: all of @server is replaced, or what the
 * message tells. 0, or -EINVAL, -E2BIG or -ENOMEM with @server unchanged.
 */
int server_read_info(struct server *server, const uint8_t *bytes, size_t count);
int server_read_storage(struct server *server, const uint8_t *bytes, size_t count);

#endif
