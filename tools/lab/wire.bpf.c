// SPDX-License-Identifier: BSD-2-Clause
/*
 * The cable of a lab host: decides the fate of each packet at the bridge-side end of the host's
 * veth pair. tc clsact calls it in direct-action mode; it calls nobody. tools/lab/wire.c loads it
 * and writes its settings.
 *
 * Order of faults: block, tuple, burst, loss; the first that hits is the one that is counted.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "wire.h"

#define LN2_Q16		45426ULL /* ln 2 in 1/65536 */
#define FRAG_OFFSET	0x1fff
#define CHAIN_STEPS_MAX 32
#define CHAIN_BAD	1ULL

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wire_port);
} wire_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WIRE_DIRS);
	__type(key, __u32);
	__type(value, struct wire_count);
} wire_count SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * WIRE_TUPLES_MAX);
	__type(key, struct wire_tuple);
	__type(value, __u8);
} wire_tuples SEC(".maps");

/* True with the chance share / WIRE_SHARE_ONE. */
static __always_inline bool die_hits(__u64 share)
{
	return share && bpf_get_prandom_u32() < share;
}

/*
 * One exponential sojourn: -ln(u) * mean, u uniform in (0, 1). BPF has no logarithm, so take it
 * to base 2: the integer part is the position of the top bit, the fraction falls out of squaring
 * a mantissa in [1, 2) sixteen times. A global function, so that the verifier walks it once.
 */
__noinline __u64 wire_sojourn_ns(__u64 mean_ns)
{
	__u32 u = bpf_get_prandom_u32() | 1;
	__u64 mantissa = u, minus_log2_q16 = 0;
	__u32 log2_q16 = 0;

	for (int i = 0; i < 31; i++) {
		if (mantissa >> 31)
			break;
		mantissa <<= 1;
		minus_log2_q16 += 1ULL << 16;
	}
	for (int bit = 15; bit >= 0; bit--) {
		mantissa = (mantissa * mantissa) >> 31;
		if (mantissa >> 32) {
			mantissa >>= 1;
			log2_q16 |= 1U << bit;
		}
	}
	minus_log2_q16 += (1ULL << 16) - log2_q16;
	return (mean_ns * ((minus_log2_q16 * LN2_Q16) >> 16)) >> 16;
}

/* Moves the chain from `old` to its next sojourn, unless another CPU did so meanwhile. */
static __always_inline void chain_enter(struct wire_port *port, __u64 old, __u64 since_ns, bool bad)
{
	__u64 length_ns = wire_sojourn_ns(bad ? port->mean_bad_ns : port->mean_good_ns);
	__u64 next = ((since_ns + length_ns) & ~CHAIN_BAD) | (bad ? CHAIN_BAD : 0);

	if (__sync_val_compare_and_swap(&port->chain, old, next) != old || !bad)
		return;
	__sync_fetch_and_add(&port->spells, 1);
	__sync_fetch_and_add(&port->spell_ns, length_ns);
}

/*
 * Gilbert-Elliott in wall time, advanced only when a packet asks. After a long idle time the walk
 * is cut short: sojourns are memoryless, so a fresh draw from the stationary distribution is the
 * same process.
 */
static __always_inline bool chain_is_bad(struct wire_port *port)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 chain;

	for (int i = 0; i < CHAIN_STEPS_MAX; i++) {
		chain = *(volatile __u64 *)&port->chain;
		if (now_ns < (chain & ~CHAIN_BAD))
			return chain & CHAIN_BAD;
		if (i < CHAIN_STEPS_MAX - 1)
			chain_enter(port, chain, chain & ~CHAIN_BAD, !(chain & CHAIN_BAD));
		else
			chain_enter(port, chain, now_ns, die_hits(port->bad_share));
	}
	return *(volatile __u64 *)&port->chain & CHAIN_BAD;
}

/* IPv6 extension headers and fragments are left alone: TCP in the lab uses neither. */
static __always_inline bool tuple_read(struct __sk_buff *skb, struct wire_tuple *tuple)
{
	__u32 ports_at;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0 ||
		    ip.protocol != IPPROTO_TCP || (ip.frag_off & bpf_htons(FRAG_OFFSET)))
			return false;
		tuple->saddr[10] = tuple->saddr[11] = 0xff;
		tuple->daddr[10] = tuple->daddr[11] = 0xff;
		__builtin_memcpy(tuple->saddr + 12, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(tuple->daddr + 12, &ip.daddr, sizeof(ip.daddr));
		ports_at = ETH_HLEN + ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip6;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)) < 0 ||
		    ip6.nexthdr != IPPROTO_TCP)
			return false;
		__builtin_memcpy(tuple->saddr, &ip6.saddr, sizeof(tuple->saddr));
		__builtin_memcpy(tuple->daddr, &ip6.daddr, sizeof(tuple->daddr));
		ports_at = ETH_HLEN + sizeof(ip6);
	} else {
		return false;
	}
	return bpf_skb_load_bytes(skb, ports_at, &tuple->sport, 2 * sizeof(tuple->sport)) == 0;
}

static __always_inline bool tuple_is_cut(struct __sk_buff *skb)
{
	struct wire_tuple tuple = {};

	return tuple_read(skb, &tuple) && bpf_map_lookup_elem(&wire_tuples, &tuple);
}

static __always_inline enum wire_fate fate_of(struct __sk_buff *skb, enum wire_dir dir)
{
	__u32 zero = 0;
	struct wire_port *port = bpf_map_lookup_elem(&wire_port, &zero);

	if (!port)
		return WIRE_PASSED;
	if (port->block[dir])
		return WIRE_BLOCK;
	if (port->tuples && tuple_is_cut(skb))
		return WIRE_TUPLE;
	if (port->burst[dir] && chain_is_bad(port) && die_hits(port->burst_loss_share))
		return WIRE_BURST;
	if (die_hits(port->loss_share[dir]))
		return WIRE_LOSS;
	return WIRE_PASSED;
}

static __always_inline int carry(struct __sk_buff *skb, enum wire_dir dir)
{
	__u32 key = dir;
	struct wire_count *count = bpf_map_lookup_elem(&wire_count, &key);
	enum wire_fate fate = fate_of(skb, dir);

	if (count)
		__sync_fetch_and_add(&count->fate[fate], 1);
	return fate == WIRE_PASSED ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* Ingress of the bridge port: what the host sends. */
SEC("tc")
int wire_out(struct __sk_buff *skb)
{
	return carry(skb, WIRE_OUT);
}

/* Egress of the bridge port: what the host receives. */
SEC("tc")
int wire_in(struct __sk_buff *skb)
{
	return carry(skb, WIRE_IN);
}
