/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maps.bpf.h - all the state there is.
 *
 * Room: bpf. The maps are weak so that each program file can be compiled alone and bpftool's linker
 * folds them into one. Names are the pin names (agent/detect/pins.c).
 */
#ifndef KNELL_MAPS_BPF_H
#define KNELL_MAPS_BPF_H

#include "kernel.h"
#include "knell/abi.h"

/* The truth: one entry per peer. Full means new peers are not followed, and is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KNELL_PEERS_MAX);
	__type(key, struct knell_peer_key);
	__type(value, struct knell_peer);
} peers __weak SEC(".maps");

/* Only addresses inside these prefixes become peers. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, KNELL_WATCH_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct knell_watch_key);
	__type(value, struct knell_watch);
} watch __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct knell_config);
} config __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct knell_node);
} node __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KNELL_PEERS_MAX);
	__type(key, struct knell_peer_key);
	__type(value, struct knell_note);
} notes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KNELL_STATS);
	__type(key, __u32);
	__type(value, __u64);
} stats __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct knell_sock);
} socks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32); /* enum knell_role */
} roles __weak SEC(".maps");

/* The hint: one record per transition. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, KNELL_RING_BYTES);
} ring __weak SEC(".maps");

static __always_inline void stat_add(__u32 stat)
{
	__u64 *count = bpf_map_lookup_elem(&stats, &stat);

	if (count)
		(*count)++;
}

/* @sk: struct sock or struct bpf_sock, not NULL. */
static __always_inline __u32 role_of(void *sk)
{
	__u32 *role = bpf_sk_storage_get(&roles, sk, 0, 0);

	return role ? *role : (__u32)KNELL_ROLE_NONE;
}

static __always_inline struct knell_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline struct knell_node *node_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&node, &zero);
}

#endif
