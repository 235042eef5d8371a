/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - the few kernel fields that knell reads, and no others.
 *
 * Room: bpf. Included by the programs only. Every struct is a CO-RE view: libbpf finds the true
 * offsets in the running kernel's BTF when the object is loaded, so the build needs no BTF at all
 * and a field that moves costs nothing. A field that is gone fails the load with its name.
 */
#ifndef KNELL_BPF_KERNEL_H
#define KNELL_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define KERNEL_VIEW __attribute__((preserve_access_index))

/* <sys/socket.h>, <asm/errno.h> and <netinet/tcp.h> do not build for the bpf target. */
#define AF_INET	      2
#define AF_INET6      10
#define ETIMEDOUT     110
#define SOL_SOCKET    1
#define SO_KEEPALIVE  9
#define SOL_TCP	      6
#define TCP_KEEPIDLE  4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT   6

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
} KERNEL_VIEW;

struct net {
	__u64 net_cookie;
} KERNEL_VIEW;

typedef struct {
	struct net *net;
} KERNEL_VIEW possible_net_t;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} KERNEL_VIEW;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
} KERNEL_VIEW;

struct inet_connection_sock {
	__u32 icsk_rto; /* jiffies */
	__u8 icsk_retransmits;
	__u8 icsk_probes_out;
	struct {
		__u32 lrcvtime; /* jiffies: last data segment heard */
	} icsk_ack;
} KERNEL_VIEW;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 rcv_tstamp; /* jiffies: last acknowledgement heard */
	__u32 snd_wnd;	  /* bytes that the peer is willing to take */
	__u32 srtt_us;	  /* smoothed round trip, in eighths of a microsecond */
} KERNEL_VIEW;

struct bpf_iter_meta {
	__u64 session_id; /* of one open file, never 0 */
	__u64 seq_num;
} KERNEL_VIEW;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} KERNEL_VIEW;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} KERNEL_VIEW;

#endif
