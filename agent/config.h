/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - the configuration file of knelld, read once at start.
 *
 * Room: agent. Calls inih. Called by main.c only; everyone else gets the fields they need.
 */
#ifndef KNELL_CONFIG_H
#define KNELL_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "knell/abi.h"

#define CONFIG_NAME_MAX	      63 /* a DNS label, since names stand in certificates */
#define CONFIG_PEERS_MAX      1024
#define CONFIG_WATCH_MAX      256
#define CONFIG_PORT_DEFAULT   7400
#define CONFIG_SOCKET_DEFAULT "/run/knell/knelld.sock"
#define CONFIG_PIN_DIR_MAX    160
#define CONFIG_PER_PEER_MAX   4096
#define CONFIG_WAITING_MAX    65536
#define CONFIG_CLIENTS_MAX    64
#define CONFIG_DRIVES_MAX     64
#define CONFIG_DOMAIN_MAX     189 /* with a bucket and a dot before it a DNS name still */
#define CONFIG_ACCESS_KEY_MIN 3
#define CONFIG_ACCESS_KEY_MAX 128
#define CONFIG_SECRET_KEY_MIN 8
#define CONFIG_SECRET_KEY_MAX 128

struct config_peer {
	char name[CONFIG_NAME_MAX + 1];
	struct sockaddr_storage addr; /* port included */
};

struct config_watch {
	struct knell_watch_key key;
	uint32_t flags; /* enum knell_watch_flags */
};

/* [cache] */
struct config_cache {
	unsigned int per_peer; /* connections kept to each peer, the heartbeat's included */
	unsigned int waiting;  /* calls that wait for a connection to one peer */
	uint64_t idle_ns;      /* 0: never */
	uint64_t lifetime_ns;  /* 0: never */
};

/* [timeouts] */
struct config_timeouts {
	uint64_t connect_ns;
	uint64_t tcp_keepalive_ns; /* whole seconds; 0: none */
	uint64_t ping_interval_ns; /* 0: none */
	uint64_t ping_timeout_ns;
	bool ping_while_idle;
	uint64_t call_ns;
	uint64_t per_peer_ns; /* for each peer's part of an answer that all give */
};

/* [s3] */
struct config_s3 {
	struct sockaddr_storage listen; /* family 0: no S3 */
	bool tls;
	char cert[PATH_MAX]; /* "": the node's own */
	char key[PATH_MAX];
	char region[CONFIG_NAME_MAX + 1];
	char domain[CONFIG_DOMAIN_MAX + 1]; /* "": buckets in the path only */
	char access_key[CONFIG_ACCESS_KEY_MAX + 1];
	char secret_key[CONFIG_SECRET_KEY_MAX + 1];
};

/* A name that certificates have. */
struct config_client {
	char name[CONFIG_NAME_MAX + 1];
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
	unsigned int ring_bytes; /* 0: the default */
	struct config_cache cache;
	struct config_timeouts timeouts;
	/* Where this host's programs ask in the clear: AF_UNIX or a loopback; family 0: nowhere. */
	struct sockaddr_storage grpc_local;
	struct config_s3 s3;
	struct config_client *clients; /* who may ask without being a peer */
	size_t client_count;
	char *drives[CONFIG_DRIVES_MAX];
	size_t drive_count;
	bool mirror; /* objects are kept by the peers, too */
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
