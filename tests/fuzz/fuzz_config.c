// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_config.c - agent/config.c reads any file: it takes it or says why not, and keeps its bounds.
 *
 * Room: tests/fuzz. Calls config. The input is the file.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "config.h"
#include "fuzz.h"

#define UNTOUCHED 0x5a

static void check_taken(const struct config *config)
{
	FUZZ_HOLDS(config->name[0] && strlen(config->name) <= CONFIG_NAME_MAX);
	FUZZ_HOLDS(config->listen.ss_family);
	FUZZ_HOLDS(config->cert[0] == '/' && config->key[0] == '/' && config->ca[0] == '/');
	FUZZ_HOLDS(config->pin_dir[0] == '/' && config->socket[0] == '/');
	FUZZ_HOLDS(config->profile < KNELL_PROFILES);
	FUZZ_HOLDS(config->cache.per_peer >= 1 && config->cache.per_peer <= CONFIG_PER_PEER_MAX);
	FUZZ_HOLDS(config->cache.waiting >= 1 && config->cache.waiting <= CONFIG_WAITING_MAX);
	FUZZ_HOLDS(config->timeouts.connect_ns && config->timeouts.call_ns);
	FUZZ_HOLDS(config->timeouts.tcp_keepalive_ns % 1000000000 == 0);
	FUZZ_HOLDS(config->client_count <= CONFIG_CLIENTS_MAX);
	FUZZ_HOLDS(config->drive_count <= CONFIG_DRIVES_MAX);
	for (size_t i = 0; i < config->drive_count; i++)
		FUZZ_HOLDS(config->drives[i][0] == '/');
	FUZZ_HOLDS(config->peer_count <= CONFIG_PEERS_MAX);
	FUZZ_HOLDS(config->watch_count <= CONFIG_WATCH_MAX);
	for (size_t i = 0; i < config->peer_count; i++) {
		FUZZ_HOLDS(config->peers[i].name[0] && config->peers[i].addr.ss_family);
		FUZZ_HOLDS(strcmp(config->peers[i].name, config->name) != 0);
		for (size_t j = 0; j < i; j++)
			FUZZ_HOLDS(strcmp(config->peers[i].name, config->peers[j].name) != 0);
	}
	for (size_t i = 0; i < config->watch_count; i++)
		FUZZ_HOLDS(config->watch[i].key.prefix_bits <= KNELL_ADDR_BYTES * 8);
}

static bool is_untouched(const void *object, size_t size)
{
	const uint8_t *bytes = object;

	while (size && bytes[size - 1] == UNTOUCHED)
		size--;
	return !size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct config config;
	char path[32], why[256];

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_HOLDS(fd >= 0 && !ftruncate(fd, 0));
	FUZZ_HOLDS(pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(&config, UNTOUCHED, sizeof(config));
	if (config_read(&config, path, why, sizeof(why))) {
		FUZZ_HOLDS(!strncmp(why, path, strlen(path)));
		FUZZ_HOLDS(is_untouched(&config, sizeof(config)));
		return 0;
	}
	check_taken(&config);
	config_free(&config);
	return 0;
}
