// SPDX-License-Identifier: BSD-2-Clause
/*
 * tune.bpf.c - sock_ops: make watched connections tell more, and hear their round trips.
 *
 * Room: bpf. Keepalive on every watched connection, opened or accepted; the low minimum RTO on
 * heartbeat connections of both ends (the delayed-ACK limit follows its own rto_min); a short first
 * SYN timeout for probes and heartbeats, so that it is the kernel's own timer that repeats an
 * unanswered probe and nobody has to be believed about when it was sent; and the round-trip
 * callback, which is how "heard" reaches peer.bpf.h while data flows.
 *
 * That callback is what knell costs others: a few hundred ns per round trip and end, which is
 * nothing on a connection that waits for a disk and some percent on one that does nothing but
 * ping-pong on a fast link. So a dense connection goes deaf while its peer is heard on a heartbeat
 * anyway. It gets its ears back before it can accuse anybody: the kernel calls knell_tune for a
 * retransmission just before it fires the tracepoint that counts it. What a deaf connection heard
 * meanwhile is read by the sweep, and until one has looked nobody is called lost (verdict.h,
 * `unasked`). When the heartbeat ends while others go on, the deaf ones stay so until they repeat
 * something: there is no event on which to wake them, and the sweep serves as before. Without an
 * agent nobody sweeps; then a verdict waits until keepalive has asked the idle ones, some 20 s with
 * what the loader sets. So a connection goes deaf only with keepalive, at least as soon as that.
 *
 * Callbacks are asked for by flags that the kernel keeps once per socket, for all programs. Whoever
 * asked before us, or leaves any flag there that is not ours, keeps the socket's round trips: it
 * does not go deaf, and an instance that comes second leaves the flag for repetitions as its sign.
 * Whoever asks while it is deaf wakes it for good. The limits: a program behind us in the cgroups'
 * order that asks for round trips alone cannot be told from ourselves, and hears none of a
 * connection while that is deaf; and one that sets the flags without keeping those of others takes
 * our ears too, uncounted.
 */
#include "peer.bpf.h"

/* The kernel refuses a minimum RTO below two ticks (TCP_TIMEOUT_MIN). */
#define RTO_MIN_TICKS 2
#define SYN_MIN_TICKS 1

static __always_inline bool set_option(struct bpf_sock_ops *ctx, int level, int name, int value)
{
	if (!bpf_setsockopt(ctx, level, name, &value, sizeof(value)))
		return true;
	stat_add(KNELL_STAT_TUNE_FAILED);
	return false;
}

static __always_inline bool key_from_ops(struct knell_peer_key *key, struct bpf_sock_ops *ctx,
					 const struct knell_config *cfg)
{
	const volatile __u32 *remote;
	__u32 word[4];

	key->netns = bpf_get_netns_cookie(ctx);
	if (cfg->netns && key->netns != cfg->netns)
		return false;
	if (ctx->family == AF_INET) {
		peer_key_from_v4(key, ctx->remote_ip4);
		return ctx->remote_ip4 != ctx->local_ip4;
	}
	if (ctx->family != AF_INET6)
		return false;
	/* The context is read in words of four bytes only; the compiler must not merge two. */
	remote = ctx->remote_ip6;
	word[0] = remote[0];
	word[1] = remote[1];
	word[2] = remote[2];
	word[3] = remote[3];
	__builtin_memcpy(key->addr, word, sizeof(word));
	return true;
}

static __always_inline void make_quick(struct bpf_sock_ops *ctx, struct knell_sock *socket,
				       const struct knell_config *cfg)
{
	__u32 floor_us = RTO_MIN_TICKS * cfg->tick_ns / 1000;
	int rto_min_us = cfg->rto_min_us > floor_us ? cfg->rto_min_us : floor_us;

	socket->flags |= KNELL_SOCK_QUICK;
	set_option(ctx, SOL_TCP, TCP_BPF_RTO_MIN, rto_min_us);
}

static __always_inline void established(struct bpf_sock_ops *ctx, const struct knell_config *cfg)
{
	struct knell_peer_key key;
	struct knell_sock *socket;
	struct bpf_sock *sk = ctx->sk;
	__u32 flags = ctx->bpf_sock_ops_cb_flags;

	if (!sk || !key_from_ops(&key, ctx, cfg) || !peer_watched(&key))
		return;
	if (flags & BPF_SOCK_OPS_RTT_CB_FLAG)
		flags |= BPF_SOCK_OPS_RETRANS_CB_FLAG;
	bpf_sock_ops_cb_flags_set(ctx, flags | BPF_SOCK_OPS_RTT_CB_FLAG);
	if (cfg->keepalive_idle_s) {
		set_option(ctx, SOL_SOCKET, SO_KEEPALIVE, 1);
		set_option(ctx, SOL_TCP, TCP_KEEPIDLE, cfg->keepalive_idle_s);
		set_option(ctx, SOL_TCP, TCP_KEEPINTVL, cfg->keepalive_interval_s);
		set_option(ctx, SOL_TCP, TCP_KEEPCNT, cfg->keepalive_count);
	}
	socket = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket)
		return;
	if (flags & BPF_SOCK_OPS_RTT_CB_FLAG)
		socket->flags |= KNELL_SOCK_SHARED;
	if (role_of(sk) == KNELL_ROLE_HEARTBEAT)
		make_quick(ctx, socket, cfg);
}

static __always_inline bool beats(const struct knell_peer *peer, const struct knell_config *cfg,
				  __u64 now_ns)
{
	return now_ns < peer->beat_ns + KNELL_BEATS_ALIVE * 1000ULL * cfg->heartbeat_us;
}

/* Other programs have use for this socket's callbacks: see the limits above. */
static __always_inline bool is_shared(struct bpf_sock_ops *ctx, const struct knell_sock *socket)
{
	__u32 ours = BPF_SOCK_OPS_RTT_CB_FLAG;

	if (socket->flags & KNELL_SOCK_REPEATS)
		ours |= BPF_SOCK_OPS_RETRANS_CB_FLAG;
	return socket->flags & KNELL_SOCK_SHARED || ctx->bpf_sock_ops_cb_flags & ~ours;
}

/* Its own kernel asks the peer when it idles, whatever its program has set: it ends one day. */
static __always_inline bool is_kept_asking(struct bpf_sock_ops *ctx, const struct knell_config *cfg)
{
	int on = 0, idle_s = 0;

	return cfg->keepalive_idle_s &&
	       !bpf_getsockopt(ctx, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) && on &&
	       !bpf_getsockopt(ctx, SOL_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s)) &&
	       (__u32)idle_s <= cfg->keepalive_idle_s;
}

/* Only what is counted goes deaf, so that the count ends with it. */
static __always_inline void go_deaf(struct bpf_sock_ops *ctx, struct knell_sock *socket,
				    struct knell_peer *peer, const struct knell_config *cfg)
{
	__u32 flags = ctx->bpf_sock_ops_cb_flags;

	if (is_shared(ctx, socket) || !peer_counts(peer, socket) || !is_kept_asking(ctx, cfg) ||
	    bpf_sock_ops_cb_flags_set(ctx, (flags & ~BPF_SOCK_OPS_RTT_CB_FLAG) |
						   BPF_SOCK_OPS_RETRANS_CB_FLAG))
		return;
	socket->flags |= KNELL_SOCK_DEAF | KNELL_SOCK_REPEATS;
	__sync_fetch_and_add(&peer->deaf, 1);
	stat_add(KNELL_STAT_DEAFENED);
}

/* It hears again. The peer's count ends last: the verdict need not wait for this one any more. */
static __always_inline void count_hearing(struct knell_sock *socket, struct knell_peer *peer)
{
	socket->flags &= ~KNELL_SOCK_DEAF;
	if (peer && peer_counts(peer, socket))
		__sync_fetch_and_add(&peer->deaf, -1);
}

/*
 * About to repeat something, which may accuse the peer: from here on it hears again. What it heard
 * while it was deaf is told here, since the tracepoint does not come, or comes with an error, when
 * the repetition fails on this host.
 */
static __always_inline void hear_again(struct bpf_sock_ops *ctx, const struct knell_config *cfg)
{
	struct peer_cause cause = {.reason = VERDICT_REASON_SWEEP};
	struct bpf_sock *sk = ctx->sk;
	struct knell_sock *socket;
	struct knell_peer_key key;
	struct knell_peer *peer;
	struct tcp_sock *tp;
	__u64 now_ns;

	socket = sk ? bpf_sk_storage_get(&socks, sk, 0, 0) : NULL;
	if (!socket || !(socket->flags & KNELL_SOCK_DEAF) || !key_from_ops(&key, ctx, cfg))
		return;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
	peer = bpf_map_lookup_elem(&peers, &key);
	tp = bpf_skc_to_tcp_sock(sk);
	if (peer && tp) {
		now_ns = bpf_ktime_get_ns();
		cause.cookie = bpf_get_socket_cookie(ctx);
		/* The kernel has counted the one that it is about to send. */
		peer_refuted(peer, &key, cfg, peer_heard_at(tp, 1, cfg, now_ns), now_ns, &cause);
	}
	count_hearing(socket, peer);
}

/*
 * Counts the round trips of a jiffy. True for the first in each, which is as fine as the kernel's
 * own stamps are; *@dense: the jiffy before it was full of them.
 */
static __always_inline bool first_in_tick(struct knell_sock *socket, const struct knell_config *cfg,
					  bool *dense)
{
	__u32 tick = (__u32)bpf_jiffies64();

	if (socket->tick == tick) {
		socket->trips++;
		return false;
	}
	*dense = (__u64)socket->trips * KNELL_DENSE_TRIP_NS > cfg->tick_ns;
	socket->tick = tick;
	socket->trips = 1;
	return true;
}

/* Once per round trip of every watched connection: cheap first, the peer's entry last. */
static __always_inline void round_trip(struct bpf_sock_ops *ctx, const struct knell_config *cfg)
{
	struct peer_cause cause = {.reason = VERDICT_REASON_ACK};
	struct bpf_sock *sk = ctx->sk;
	struct knell_node *self = node_get();
	struct knell_sock *socket;
	struct knell_peer_key key;
	struct knell_peer *peer;
	bool dense = false;
	__u64 now_ns;

	if (!sk || !self)
		return;
	socket = bpf_sk_storage_get(&socks, sk, 0, 0);
	if (!socket)
		return;
	if (!first_in_tick(socket, cfg, &dense) && !self->view.silent)
		return;
	if (!key_from_ops(&key, ctx, cfg))
		return;
	now_ns = bpf_ktime_get_ns();
	socket->silence.sends = 0;
	socket->flags &= ~KNELL_SOCK_STALLED;
	if (!(socket->flags & KNELL_SOCK_QUICK) && role_of(sk) == KNELL_ROLE_HEARTBEAT)
		make_quick(ctx, socket, cfg);
	peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer || peer->flags & KNELL_PEER_FORGOTTEN)
		return;
	peer->srtt_us = ctx->srtt_us >> 3;
	/* Not by our flag. */
	if (socket->flags & KNELL_SOCK_DEAF) {
		socket->flags |= KNELL_SOCK_SHARED;
		count_hearing(socket, peer);
	}
	if (socket->flags & KNELL_SOCK_QUICK)
		peer->beat_ns = now_ns;
	else if (dense && beats(peer, cfg, now_ns) && !peer->verdict.silence.sends)
		go_deaf(ctx, socket, peer, cfg);
	peer_heard(peer, &key, cfg, now_ns, now_ns, &cause);
}

static __always_inline void first_syn_timeout(struct bpf_sock_ops *ctx,
					      const struct knell_config *cfg)
{
	struct bpf_sock *sk = ctx->sk;
	__u64 ticks;

	/* Another instance's sockets have no storage here, so the role also tells whose it is. */
	if (!sk || !cfg->tick_ns || role_of(sk) == KNELL_ROLE_NONE)
		return;
	ticks = ((__u64)cfg->probe_us * 1000 + cfg->tick_ns - 1) / cfg->tick_ns;
	ctx->reply = ticks > SYN_MIN_TICKS ? ticks : SYN_MIN_TICKS;
}

SEC("sockops")
int knell_tune(struct bpf_sock_ops *ctx)
{
	struct knell_config *cfg = config_get();

	if (!cfg)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TIMEOUT_INIT:
		first_syn_timeout(ctx, cfg);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		established(ctx, cfg);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		round_trip(ctx, cfg);
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		hear_again(ctx, cfg);
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") __weak = "Dual BSD/GPL";
