/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abi.h - what the kernel side and the user side tell each other: map keys, map values, ring
 * record.
 *
 * Room: shared by bpf/ and everything in user space. Fixed widths, no implicit padding, every size
 * asserted. Addresses are in network byte order, all other numbers in host order; times are
 * CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns). Whoever changes a layout raises KNELL_ABI, and
 * the loader refuses pins of another number.
 *
 * Example: IPv4 peer 10.77.0.2 seen from the namespace with cookie 4097 has the key
 *   { .netns = 4097, .addr = 00..00 ff ff 0a 4d 00 02 }
 */
#ifndef KNELL_ABI_H
#define KNELL_ABI_H

#include <linux/types.h>
#include <linux/bpf.h>
#include "verdict.h"

#define KNELL_ABI	 4
#define KNELL_PEERS_MAX	 4096
#define KNELL_WATCH_MAX	 1024
#define KNELL_RING_BYTES (256 * 1024)
/* Length of an IPv4 prefix inside the v4-mapped space ::ffff:0:0/96. */
#define KNELL_V4_PREFIX_BITS 96
#define KNELL_ADDR_BYTES     16

/* Names below the pin directory: one per map, program link and for the ABI's number. */
#define KNELL_PIN_DEFAULT "/sys/fs/bpf/knell"

struct knell_peer_key {
	__u64 netns; /* network-namespace cookie */
	__u8 addr[KNELL_ADDR_BYTES];
};

/* Key of the `watch` LPM trie. prefix_bits counts from the first bit of the 128-bit address. */
struct knell_watch_key {
	__u32 prefix_bits;
	__u8 addr[KNELL_ADDR_BYTES];
};

enum knell_watch_flags {
	KNELL_WATCH_SHARED = 1U << 0,	  /* NAT or load balancer: RST and ICMP prove nothing */
	KNELL_WATCH_CONFIGURED = 1U << 1, /* put there by the agent for a configured peer */
};

struct knell_watch {
	__u32 flags; /* enum knell_watch_flags */
};

/* Value of the `peers` map, the truth. Read it with BPF_F_LOCK. */
struct knell_peer {
	struct bpf_spin_lock lock;
	__u32 flags; /* enum knell_peer_flags */
	struct verdict_peer verdict;
	__u64 retransmissions; /* all below: since the entry was made */
	__u64 unanswered;
	__u64 resets;
	__u64 keepalive_timeouts;
	__u64 first_seen_ns;
	__u32 connections; /* established TCP sockets that knell has seen open */
	__u32 stalls;
	__u32 srtt_us;
	__u16 answer_port; /* last port there that answered a SYN of ours, 0: none yet */
	__u16 pad;
	__u64 beat_ns; /* last round trip heard on one of its heartbeat connections */
	__u32 deaf;    /* sockets with KNELL_SOCK_DEAF */
	__u32 pad2;
};

enum knell_peer_flags {
	KNELL_PEER_FORGOTTEN = 1U << 0, /* no longer watched: user space may delete the entry */
};

enum knell_record_kind {
	KNELL_RECORD_VERDICT = 1, /* the peer went from one state to another */
	KNELL_RECORD_STALLED = 2, /* one connection is silent, its peer is not */
};

/*
 * One transition with its evidence, as the ring carries it. For KNELL_RECORD_STALLED the tally is
 * the socket's own, seq and epoch are the peer's and unchanged, and cookie names the socket.
 */
struct knell_record {
	__u32 kind; /* enum knell_record_kind */
	__u32 seq;
	__u64 ts_ns;
	struct knell_peer_key key;
	__u32 epoch;
	__u16 from; /* enum verdict_state */
	__u16 to;
	__u32 reason; /* enum verdict_reason */
	__u32 phi_md;
	__u32 sends;
	__u32 tuples; /* five-tuples that agree */
	__u32 loss_ppm;
	__u32 flaps;
	__u64 heard_ns; /* last segment heard, 0: never */
	__u64 began_ns; /* first unanswered transmission of this silence, 0: none */
	__u64 tau_ns;
	__u64 hold_until_ns;
	__u64 cookie;	  /* socket that tipped the scale, 0: none */
	__u16 local_port; /* host order, of that socket */
	__u16 remote_port;
	__u16 noted;	   /* enum verdict_reason */
	__u16 answer_port; /* of the peer: where a SYN is answered, 0: unknown */
};

/* Value of the one-element `config` map. */
struct knell_config {
	__u32 abi;
	__u32 profile; /* enum knell_profile, for people */
	__u64 netns;   /* cookie of the watched namespace, 0: all */
	struct verdict_rule rule;
	__u32 rto_min_us;	/* on heartbeat connections */
	__u32 probe_us;		/* first retransmission of a probe's SYN */
	__u32 heartbeat_us;	/* for the agent */
	__u32 tick_ns;		/* length of a jiffy */
	__u32 keepalive_idle_s; /* 0: leave keepalive alone */
	__u32 keepalive_interval_s;
	__u32 keepalive_count;
	__u32 pad;
	__u64 link_down_ns; /* when the agent saw its own link go down, 0: it is up */
};

enum knell_profile {
	KNELL_PROFILE_LAN = 0,
	KNELL_PROFILE_RACK = 1,
	KNELL_PROFILE_FAST = 2,
	KNELL_PROFILE_SAFE = 3,
	KNELL_PROFILE_WAN = 4,
	KNELL_PROFILES
};

/* Value of the one-element `node` map: what is known over all peers. */
struct knell_node {
	struct verdict_view view;
	__u64 loaded_ns;
	__u64 sweep_session;  /* the reading whose end is stamped, 0: none under way */
	__u64 sweep_began_ns; /* of that reading, or of the last one */
	__u64 swept_ns;	      /* when the last finished sweep began */
};

/* Value of the `notes` map (key: struct knell_peer_key), written by the agent, read on review. */
struct knell_note {
	__u32 reason; /* enum verdict_reason */
};

/*
 * Value of the `roles` socket storage: what a socket is for. The agent writes it before connect, or
 * on the first PING that it gets; the kernel side only reads it.
 */
enum knell_role {
	KNELL_ROLE_NONE = 0,
	KNELL_ROLE_HEARTBEAT = 1, /* gets the low minimum RTO and the short first SYN timeout */
	KNELL_ROLE_PROBE = 2,	  /* gets the short first SYN timeout */
};

enum knell_sock_flags {
	KNELL_SOCK_COUNTED = 1U << 0, /* in its peer's `connections` */
	KNELL_SOCK_QUICK = 1U << 1,   /* has the low minimum RTO */
	KNELL_SOCK_STALLED = 1U << 2, /* reported as stalled */
	KNELL_SOCK_DEAF = 1U << 3,    /* tells of no round trips until it has to repeat something */
	KNELL_SOCK_SHARED = 1U << 4,  /* somebody else's program wants its round trips too */
	KNELL_SOCK_REPEATS = 1U << 5, /* was deaf: tells of its repetitions */
};

/* Value of the `socks` socket storage, the kernel side's own. */
struct knell_sock {
	__u32 flags; /* enum knell_sock_flags */
	__u32 tick;  /* jiffy of its last round trip */
	__u32 trips; /* round trips in that jiffy */
	__u32 pad;
	__u64 counted_in_ns; /* first_seen_ns of the peer entry that counts it */
	struct verdict_tally silence;
};

/* A heartbeat that was heard within so many of its intervals is alive. */
#define KNELL_BEATS_ALIVE 4
/* Round trips shorter than this are too many to be listened to for nothing. */
#define KNELL_DENSE_TRIP_NS 200000

/* A link that is down carries nothing: who is heard this long after it went down proves it up. */
#define KNELL_LINK_DOUBT_NS 100000000ULL

/* Indices of the `stats` per-CPU array of __u64. */
enum knell_stat {
	KNELL_STAT_RETRANSMIT = 0,   /* tcp_retransmit_skb of watched peers */
	KNELL_STAT_LOCAL_FAULT = 1,  /* ... that never left this host */
	KNELL_STAT_HEARD_RECENT = 2, /* ... right after the peer was heard: no evidence */
	KNELL_STAT_UNANSWERED = 3,   /* ... counted as evidence */
	KNELL_STAT_HEARD = 4,	     /* heard, after the 1 ms grain */
	KNELL_STAT_RESET = 5,
	KNELL_STAT_RESET_SHARED = 6, /* resets ignored: shared address */
	KNELL_STAT_KEEPALIVE = 7,
	KNELL_STAT_SWEPT = 8,	   /* sockets looked at by sweeps */
	KNELL_STAT_REFUTED = 9,	   /* suspicions ended by a sweep */
	KNELL_STAT_RECORDS = 10,   /* records put into the ring */
	KNELL_STAT_RING_LOST = 11, /* records that did not fit */
	KNELL_STAT_PEERS_FULL = 12,
	KNELL_STAT_TUNE_FAILED = 13,
	KNELL_STAT_SYN_UNPROVEN =
		14,		  /* unanswered SYNs to ports that may be filtered: no evidence */
	KNELL_STAT_DEAFENED = 15, /* sockets that went deaf, each time */
	KNELL_STATS
};

_Static_assert(sizeof(struct knell_peer_key) == 24, "ABI");
_Static_assert(sizeof(struct knell_watch_key) == 20, "ABI");
_Static_assert(sizeof(struct verdict_peer) == 144, "ABI");
_Static_assert(sizeof(struct knell_peer) == 224, "ABI");
_Static_assert(sizeof(struct knell_record) == 120, "ABI");
_Static_assert(sizeof(struct knell_config) == 80, "ABI");
_Static_assert(sizeof(struct knell_node) == 56, "ABI");
_Static_assert(sizeof(struct knell_sock) == 48, "ABI");

#endif
