// SPDX-License-Identifier: BSD-2-Clause
/*
 * pins.c - the pinned state of one loaded instance, opened by name.
 *
 * Room: detect. Calls libbpf only. See pins.h for who calls it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/file.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "detect/pins.h"

#define NS_PER_S 1000000000ULL

struct map_shape {
	const char *name;
	__u32 key_bytes;
	__u32 value_bytes;
};

static const struct map_shape map_shapes[PINS_MAPS] = {
	[PINS_PEERS] = {"peers", sizeof(struct knell_peer_key), sizeof(struct knell_peer)},
	[PINS_WATCH] = {"watch", sizeof(struct knell_watch_key), sizeof(struct knell_watch)},
	[PINS_CONFIG] = {"config", sizeof(__u32), sizeof(struct knell_config)},
	[PINS_NODE] = {"node", sizeof(__u32), sizeof(struct knell_node)},
	[PINS_NOTES] = {"notes", sizeof(struct knell_peer_key), sizeof(struct knell_note)},
	[PINS_STATS] = {"stats", sizeof(__u32), sizeof(__u64)},
	[PINS_SOCKS] = {"socks", sizeof(int), sizeof(struct knell_sock)},
	[PINS_ROLES] = {"roles", sizeof(int), sizeof(__u32)},
	[PINS_RING] = {"ring", 0, 0},
};

const char *pins_map_name(enum pins_map map)
{
	return map_shapes[map].name;
}

static int open_pin(const char *dir, const char *name)
{
	char path[256];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static int open_map(const char *dir, enum pins_map map)
{
	const struct map_shape *shape = &map_shapes[map];
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd = open_pin(dir, shape->name);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.key_size != shape->key_bytes ||
	    info.value_size != shape->value_bytes) {
		close(fd);
		return -EPROTO;
	}
	return fd;
}

/* The first word of the config value is the ABI number in every version there will ever be. */
static int check_abi(const char *dir, unsigned int *found)
{
	__u8 value[4096] = {};
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0, abi = 0;
	int fd = open_pin(dir, map_shapes[PINS_CONFIG].name);

	if (fd < 0)
		return fd;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.value_size <= sizeof(value) &&
	    !bpf_map_lookup_elem(fd, &zero, value))
		memcpy(&abi, value, sizeof(abi));
	close(fd);
	*found = abi;
	return abi == KNELL_ABI ? 0 : -EPROTO;
}

int pins_open(struct pins *pins, const char *dir, unsigned int *abi_found)
{
	struct pins fresh = PINS_CLOSED;
	unsigned int abi = 0;
	int err, map;

	if (snprintf(fresh.dir, sizeof(fresh.dir), "%s", dir) >= (int)sizeof(fresh.dir))
		return -ENAMETOOLONG;
	/* First of all: another version may have other maps altogether. */
	err = check_abi(dir, &abi);
	for (map = 0; map < PINS_MAPS && !err; map++) {
		fresh.map[map] = open_map(dir, map);
		if (fresh.map[map] < 0)
			err = fresh.map[map];
	}
	if (!err && (fresh.sweep = open_pin(dir, "link_knell_sweep")) < 0)
		err = fresh.sweep;
	if (!err && (fresh.review = open_pin(dir, "link_knell_review")) < 0)
		err = fresh.review;
	if (err) {
		if (abi_found)
			*abi_found = abi;
		pins_close(&fresh);
		return err;
	}
	*pins = fresh;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void pins_close(struct pins *pins)
{
	int map;

	for (map = 0; map < PINS_MAPS; map++)
		close_fd(&pins->map[map]);
	close_fd(&pins->sweep);
	close_fd(&pins->review);
	close_fd(&pins->claim);
}

int pins_claim(struct pins *pins)
{
	int fd = open(pins->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return err;
	}
	pins->claim = fd;
	return 0;
}

int pins_peer(const struct pins *pins, const struct knell_peer_key *key, struct knell_peer *peer)
{
	if (bpf_map_lookup_elem_flags(pins->map[PINS_PEERS], key, peer, BPF_F_LOCK))
		return -errno;
	return peer->flags & KNELL_PEER_FORGOTTEN ? -ENOENT : 0;
}

int pins_each_peer(const struct pins *pins,
		   int (*visit)(void *ctx, const struct knell_peer_key *key,
				const struct knell_peer *peer),
		   void *ctx)
{
	struct knell_peer_key key, *previous = NULL;
	struct knell_peer peer;
	int err;

	while (!bpf_map_get_next_key(pins->map[PINS_PEERS], previous, &key)) {
		previous = &key;
		if (pins_peer(pins, &key, &peer))
			continue;
		err = visit(ctx, &key, &peer);
		if (err)
			return err;
	}
	return errno == ENOENT ? 0 : -errno;
}

static int read_single(int fd, void *value)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(fd, &zero, value) ? -errno : 0;
}

int pins_config(const struct pins *pins, struct knell_config *config)
{
	return read_single(pins->map[PINS_CONFIG], config);
}

int pins_set_config(const struct pins *pins, const struct knell_config *config)
{
	__u32 zero = 0;

	return bpf_map_update_elem(pins->map[PINS_CONFIG], &zero, config, BPF_ANY) ? -errno : 0;
}

int pins_node(const struct pins *pins, struct knell_node *node)
{
	return read_single(pins->map[PINS_NODE], node);
}

int pins_stats(const struct pins *pins, __u64 *sums)
{
	int cpus = libbpf_num_possible_cpus(), cpu, err = 0;
	__u64 *values;
	__u32 stat;

	if (cpus < 0)
		return cpus;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (stat = 0; stat < KNELL_STATS && !err; stat++) {
		if (bpf_map_lookup_elem(pins->map[PINS_STATS], &stat, values)) {
			err = -errno;
			break;
		}
		sums[stat] = 0;
		for (cpu = 0; cpu < cpus; cpu++)
			sums[stat] += values[cpu];
	}
	free(values);
	return err;
}

int pins_watch_add(const struct pins *pins, const struct knell_watch_key *key, __u32 flags)
{
	struct knell_watch value = {.flags = flags};

	if (bpf_map_update_elem(pins->map[PINS_WATCH], key, &value, BPF_ANY))
		return errno == ENOSPC ? -E2BIG : -errno;
	return 0;
}

/* The kernel has marked them; collect first, since deleting while walking may skip entries. */
static int delete_forgotten(const struct pins *pins)
{
	struct knell_peer_key key, doomed[64], *previous;
	struct knell_peer peer;
	int count, i;

	do {
		count = 0;
		previous = NULL;
		while (count < 64 && !bpf_map_get_next_key(pins->map[PINS_PEERS], previous, &key)) {
			previous = &key;
			if (!bpf_map_lookup_elem_flags(pins->map[PINS_PEERS], &key, &peer,
						       BPF_F_LOCK) &&
			    peer.flags & KNELL_PEER_FORGOTTEN)
				doomed[count++] = key;
		}
		for (i = 0; i < count; i++) {
			bpf_map_delete_elem(pins->map[PINS_PEERS], &doomed[i]);
			bpf_map_delete_elem(pins->map[PINS_NOTES], &doomed[i]);
		}
	} while (count == 64);
	return 0;
}

int pins_watch_del(const struct pins *pins, const struct knell_watch_key *key)
{
	int err;

	if (bpf_map_delete_elem(pins->map[PINS_WATCH], key))
		return -errno;
	err = pins_review(pins);
	return err ? err : delete_forgotten(pins);
}

int pins_each_watch(const struct pins *pins,
		    int (*visit)(void *ctx, const struct knell_watch_key *key,
				 const struct knell_watch *watch),
		    void *ctx)
{
	struct knell_watch_key key, *previous = NULL;
	struct knell_watch value;
	int err;

	while (!bpf_map_get_next_key(pins->map[PINS_WATCH], previous, &key)) {
		previous = &key;
		if (bpf_map_lookup_elem(pins->map[PINS_WATCH], &key, &value))
			continue;
		err = visit(ctx, &key, &value);
		if (err)
			return err;
	}
	return errno == ENOENT ? 0 : -errno;
}

int pins_review(const struct pins *pins)
{
	int fd = bpf_iter_create(pins->review);
	char nothing[64];
	ssize_t got;

	if (fd < 0)
		return -errno;
	do {
		got = read(fd, nothing, sizeof(nothing));
	} while (got > 0 || (got < 0 && errno == EAGAIN));
	close(fd);
	return got < 0 ? -errno : 0;
}

int pins_note(const struct pins *pins, const struct knell_peer_key *key, __u32 reason)
{
	struct knell_note note = {.reason = reason}, before = {};

	if (bpf_map_lookup_elem(pins->map[PINS_NOTES], key, &before) && errno != ENOENT)
		return -errno;
	if (before.reason == reason)
		return 0;
	if (bpf_map_update_elem(pins->map[PINS_NOTES], key, &note, BPF_ANY))
		return -errno;
	return pins_review(pins);
}

int pins_link(const struct pins *pins, bool down)
{
	struct knell_config config;
	struct timespec now;
	int err = pins_config(pins, &config);

	if (err || !config.link_down_ns == !down)
		return err;
	clock_gettime(CLOCK_MONOTONIC, &now);
	config.link_down_ns = down ? now.tv_sec * NS_PER_S + now.tv_nsec : 0;
	err = pins_set_config(pins, &config);
	return err ? err : pins_review(pins);
}

int pins_role(const struct pins *pins, int socket, __u32 role)
{
	return bpf_map_update_elem(pins->map[PINS_ROLES], &socket, &role, BPF_ANY) ? -errno : 0;
}

__u32 pins_watch_flags(const struct pins *pins, const __u8 addr[KNELL_ADDR_BYTES])
{
	struct knell_watch_key key = {.prefix_bits = 8 * KNELL_ADDR_BYTES};
	struct knell_watch value;

	memcpy(key.addr, addr, sizeof(key.addr));
	return bpf_map_lookup_elem(pins->map[PINS_WATCH], &key, &value) ? 0 : value.flags;
}
