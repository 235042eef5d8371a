/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cable program (wire.bpf.c) and its command (wire.c) share: map names, values and
 * sizes. Compiled for BPF and for the host, so fixed widths only. Nobody else includes it.
 *
 * Directions are the host's own view: "in" is what the host receives, "out" is what it sends.
 */
#ifndef KNELL_LAB_WIRE_H
#define KNELL_LAB_WIRE_H

#include <linux/types.h>

/* A chance of one, in the units of a u32 die: roll < share hits. */
#define WIRE_SHARE_ONE (1ULL << 32)

#define WIRE_TUPLES_MAX 64

enum wire_dir {
	WIRE_IN,
	WIRE_OUT,
	WIRE_DIRS,
};

/* What became of a packet; the index into struct wire_count. */
enum wire_fate {
	WIRE_PASSED,
	WIRE_BLOCK,
	WIRE_TUPLE,
	WIRE_BURST,
	WIRE_LOSS,
	WIRE_FATES,
};

/*
 * Settings of one port, and the burst chain that lives by them (array map, one entry).
 * The command rewrites the whole entry; the program changes only the last three fields.
 */
struct wire_port {
	__u64 loss_share[WIRE_DIRS];
	__u64 burst_loss_share; /* loss while the chain is in its bad state */
	__u64 bad_share;	/* of time: mean_bad / (mean_bad + mean_good) */
	__u64 mean_bad_ns;
	__u64 mean_good_ns;
	__u8 block[WIRE_DIRS];
	__u8 burst[WIRE_DIRS];
	__u32 tuples;	/* entries the user added; 0 spares the parsing */
	__u64 chain;	/* bit 0: bad now; the rest: CLOCK_MONOTONIC ns at which that ends */
	__u64 spells;	/* bad sojourns drawn since `burst` was set */
	__u64 spell_ns; /* their summed length */
};

/* Packets per direction (array map, indexed by wire_dir), by fate. */
struct wire_count {
	__u64 fate[WIRE_FATES];
};

/*
 * Key of the tuple map: IPv4 as v4-mapped IPv6, ports in network order. A tuple is entered twice,
 * once per direction of flow; the value (u8) is 1 for the way the user wrote it.
 */
struct wire_tuple {
	__u8 saddr[16];
	__u8 daddr[16];
	__u16 sport;
	__u16 dport;
};

_Static_assert(sizeof(struct wire_port) == 80, "shared with BPF");
_Static_assert(sizeof(struct wire_count) == 40, "shared with BPF");
_Static_assert(sizeof(struct wire_tuple) == 36, "no padding: it is a hash key");

#endif
