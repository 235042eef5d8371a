/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - the configuration file of knelld, read once at start.
 *
 * Room: agent. Calls inih. Called by main.c only; everyone else gets the fields they need.
 */
#ifndef KNELL_CONFIG_H
#define KNELL_CONFIG_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "knell/abi.h"

#define CONFIG_NAME_MAX		63 /* a DNS label, since names stand in certificates */
#define CONFIG_PEERS_MAX	1024
#define CONFIG_WATCH_MAX	256
#define CONFIG_PORT_DEFAULT	7400
#define CONFIG_SOCKET_DEFAULT	"/run/knell/knelld.sock"
#define CONFIG_PER_PEER_DEFAULT 1
#define CONFIG_PIN_DIR_MAX	160
#define CONFIG_PER_PEER_MAX	4096

struct config_peer {
	char name[CONFIG_NAME_MAX + 1];
	struct sockaddr_storage addr; /* port included */
};

struct config_watch {
	struct knell_watch_key key;
	uint32_t flags; /* enum knell_watch_flags */
};

struct config {
	char name[CONFIG_NAME_MAX + 1];
	struct sockaddr_storage listen;
	enum knell_profile profile;
	char pin_dir[CONFIG_PIN_DIR_MAX];
	char socket[108];
	char link[16]; /* interface whose carrier is this node's link; "": found by address */
	char cert[PATH_MAX];
	char key[PATH_MAX];
	char ca[PATH_MAX];
	unsigned int per_peer;	 /* connections kept to each peer, the heartbeat's included */
	unsigned int ring_bytes; /* 0: the default */
	struct config_peer *peers;
	size_t peer_count;
	struct config_watch *watch;
	size_t watch_count;
};

/**
 * config_read - read @path into @config.
 *
 * Returns 0, or a negative errno with one line in @why that names the file, the line and the way
 * out; @config then holds nothing. config_free() gives back what it holds.
 */
int config_read(struct config *config, const char *path, char *why, size_t why_size);
void config_free(struct config *config);

#endif
