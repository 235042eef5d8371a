// SPDX-License-Identifier: BSD-2-Clause
/*
 * evidence.bpf.c - what the kernel's own tracepoints tell about a peer.
 *
 * Room: bpf. The tracepoints are machine-wide, so each program first drops what is of another
 * network namespace or not watched, then hands the observation to peer.bpf.h.
 *
 *   tcp_retransmit_skb     unanswered, unless the peer was heard since the last try
 *   inet_sk_error_report   keepalive gave up: its probes were unanswered
 *   tcp_receive_reset      heard: the kernel has checked the sequence number (RFC 5961)
 *   inet_sock_set_state    heard: handshake, FIN; and the count of connections
 */
#include "peer.bpf.h"

/* enum tcp state of <net/tcp_states.h> */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_CLOSING = 11,
};

/* Keepalive reports at most this many unanswered probes at once, whatever the socket's count. */
#define KEEPALIVE_SENDS_MAX 8

/* The longest that a TCP delays an acknowledgement: TCP_DELACK_MAX of <net/tcp.h>, HZ / 5. */
#define DELACK_MAX_NS 200000000ULL

/* Since Linux 6.17 (ad892e912b84) the tracepoint also fires for sends that failed here. */
const volatile bool retransmit_has_err = false;

struct observed {
	struct knell_config *cfg;
	struct knell_peer *peer;
	struct knell_peer_key key;
	struct peer_cause cause;
	__u64 now_ns;
};

static __always_inline bool observe(struct observed *seen, struct sock *sk, __u32 reason)
{
	const struct sock_common *common = &sk->__sk_common;

	seen->cfg = config_get();
	if (!seen->cfg || !peer_key_from_sock(&seen->key, common, seen->cfg))
		return false;
	seen->now_ns = bpf_ktime_get_ns();
	seen->peer = peer_get(&seen->key, seen->now_ns);
	if (!seen->peer)
		return false;
	seen->cause.cookie = bpf_get_socket_cookie(sk);
	seen->cause.local_port = common->skc_num;
	seen->cause.remote_port = bpf_ntohs(common->skc_dport);
	seen->cause.reason = reason;
	return true;
}

/* One connection silent while its peer talks elsewhere: say so once. */
static __always_inline void socket_unanswered(struct observed *seen, struct sock *sk,
					      struct knell_sock *socket)
{
	struct verdict_peer *verdict = &seen->peer->verdict;
	struct knell_record record = {.kind = KNELL_RECORD_STALLED};
	const struct verdict_rule *rule = &seen->cfg->rule;

	verdict_count(&socket->silence, verdict_tau_ns(rule, verdict),
		      verdict_loss_md(verdict->loss_ppm), seen->now_ns, 1);
	if (socket->flags & KNELL_SOCK_STALLED || role_of(sk) == KNELL_ROLE_PROBE ||
	    !verdict_stalled(&socket->silence, rule, verdict->heard_ns))
		return;
	peer_record(&record, seen->peer, seen->cfg, verdict->state, seen->now_ns);
	record.phi_md = socket->silence.phi_md;
	record.sends = socket->silence.sends;
	record.began_ns = socket->silence.began_ns;
	record.tuples = 1;
	/* The map holds no stall to repair from: not told is not done, the next one tries again. */
	if (!peer_publish(&record, &seen->key, &seen->cause))
		return;
	socket->flags |= KNELL_SOCK_STALLED;
	__sync_fetch_and_add(&seen->peer->stalls, 1);
}

/*
 * Was this socket's own peer heard since the transmission that is now repeated? Jiffies are the
 * stamps' grain, hence the benefit of the doubt of one tick. A retransmission that an arriving
 * acknowledgement triggers (fast retransmit, recovery) has an age of nothing and ends here too.
 */
static __always_inline bool heard_since_last_try(const struct tcp_sock *tp, __u32 age_ticks,
						 bool quick, const struct knell_config *cfg)
{
	__u64 wait_ns = (__u64)(tp->srtt_us >> 3) * 1000;

	if (tp->inet_conn.icsk_retransmits)
		return age_ticks < tp->inet_conn.icsk_rto / 2;
	/*
	 * A tail loss probe (RFC 8985) is sent two round trips after the last transmission, sooner
	 * than a peer need acknowledge small segments. On heartbeats that delay follows the low
	 * RTO.
	 */
	wait_ns += quick ? cfg->tick_ns : DELACK_MAX_NS;
	return age_ticks < 2 || (__u64)age_ticks * cfg->tick_ns < wait_ns;
}

static __always_inline void retransmitted(struct observed *seen, struct sock *sk,
					  const struct tcp_sock *tp)
{
	/* The kernel has counted the one that is just being sent. */
	__u32 age_ticks = (__u32)bpf_jiffies64() - peer_last_heard(tp, 1);
	struct knell_sock *socket = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	__u64 heard_ns, sent_ns, tick_ns = seen->cfg->tick_ns;
	bool quick;

	heard_ns = seen->now_ns - age_ticks * tick_ns;
	peer_refuted(seen->peer, &seen->key, seen->cfg, heard_ns, seen->now_ns, &seen->cause);
	if (socket && socket->silence.sends && heard_ns > socket->silence.began_ns + tick_ns) {
		socket->silence.sends = 0;
		socket->flags &= ~KNELL_SOCK_STALLED;
	}
	quick = socket && socket->flags & KNELL_SOCK_QUICK;
	if (heard_since_last_try(tp, age_ticks, quick, seen->cfg)) {
		stat_add(KNELL_STAT_HEARD_RECENT);
		return;
	}
	/*
	 * A connection deep in its backoff that is repeated after the peer was heard elsewhere
	 * tells of itself alone: the peer's silence has not lasted since the last try.
	 */
	sent_ns = seen->now_ns - (__u64)tp->inet_conn.icsk_rto * tick_ns;
	if (quick || seen->peer->verdict.heard_ns <= sent_ns)
		peer_unanswered(seen->peer, &seen->key, seen->cfg, seen->now_ns, 1, &seen->cause);
	else
		stat_add(KNELL_STAT_HEARD_RECENT);
	if (socket)
		socket_unanswered(seen, sk, socket);
}

/*
 * An unanswered SYN proves nothing when the peer was heard since it was last sent, nor when it
 * knocks where a firewall may drop it: a program's SYN counts only at a port that has answered us
 * before, or while the peer has never been heard at all. Probes and heartbeats go to such ports
 * anyway.
 */
static __always_inline bool syn_counts(const struct observed *seen, struct sock *sk,
				       const struct tcp_sock *tp)
{
	const struct knell_peer *peer = seen->peer;
	__u64 sent_ns = seen->now_ns - (__u64)tp->inet_conn.icsk_rto * seen->cfg->tick_ns;

	if (peer->verdict.heard_ns > sent_ns) {
		stat_add(KNELL_STAT_HEARD_RECENT);
		return false;
	}
	if (role_of(sk) == KNELL_ROLE_NONE && peer->verdict.heard_ns &&
	    peer->answer_port != seen->cause.remote_port) {
		stat_add(KNELL_STAT_SYN_UNPROVEN);
		return false;
	}
	return true;
}

SEC("tp_btf/tcp_retransmit_skb")
int knell_retransmit(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct observed seen = {};
	struct tcp_sock *tp;

	if (!observe(&seen, sk, VERDICT_REASON_RETRANSMIT))
		return 0;
	stat_add(KNELL_STAT_RETRANSMIT);
	if (retransmit_has_err && (int)ctx[2]) {
		stat_add(KNELL_STAT_LOCAL_FAULT);
		return 0;
	}
	__sync_fetch_and_add(&seen.peer->retransmissions, 1);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (sk->__sk_common.skc_state != TCP_SYN_SENT) {
		retransmitted(&seen, sk, tp);
		return 0;
	}
	seen.cause.reason = VERDICT_REASON_SYN;
	if (syn_counts(&seen, sk, tp))
		peer_unanswered(seen.peer, &seen.key, seen.cfg, seen.now_ns, 1, &seen.cause);
	return 0;
}

SEC("tp_btf/inet_sk_error_report")
int knell_error(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct observed seen = {};
	struct tcp_sock *tp;
	__u32 probes;

	if (sk->sk_err != ETIMEDOUT)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	/* Without keepalive probes it was the retransmissions that ran out, and those are counted.
	 */
	if (!tp || !tp->inet_conn.icsk_probes_out || tp->inet_conn.icsk_retransmits)
		return 0;
	if (!observe(&seen, sk, VERDICT_REASON_KEEPALIVE))
		return 0;
	probes = tp->inet_conn.icsk_probes_out;
	if (probes > KEEPALIVE_SENDS_MAX)
		probes = KEEPALIVE_SENDS_MAX;
	stat_add(KNELL_STAT_KEEPALIVE);
	__sync_fetch_and_add(&seen.peer->keepalive_timeouts, 1);
	peer_unanswered(seen.peer, &seen.key, seen.cfg, seen.now_ns, probes, &seen.cause);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int knell_reset(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct observed seen = {};
	struct knell_watch *prefix;

	if (!observe(&seen, sk, VERDICT_REASON_RESET))
		return 0;
	__sync_fetch_and_add(&seen.peer->resets, 1);
	prefix = peer_watched(&seen.key);
	if (prefix && prefix->flags & KNELL_WATCH_SHARED) {
		stat_add(KNELL_STAT_RESET_SHARED);
		return 0;
	}
	stat_add(KNELL_STAT_RESET);
	/* A closed port that says so is as good as an open one: no firewall drops what goes there.
	 */
	if (sk->__sk_common.skc_state == TCP_SYN_SENT)
		seen.peer->answer_port = seen.cause.remote_port;
	peer_heard(seen.peer, &seen.key, seen.cfg, seen.now_ns, seen.now_ns, &seen.cause);
	return 0;
}

static __always_inline void connection_begins(struct observed *seen, struct sock *sk)
{
	struct knell_sock *socket = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!socket || socket->flags & KNELL_SOCK_COUNTED)
		return;
	socket->flags |= KNELL_SOCK_COUNTED;
	socket->counted_in_ns = seen->peer->first_seen_ns;
	__sync_fetch_and_add(&seen->peer->connections, 1);
}

/* A deaf socket takes what it has heard with it: ask it before it is counted no more. */
static __always_inline void last_will(struct observed *seen, const struct tcp_sock *tp)
{
	peer_refuted(seen->peer, &seen->key, seen->cfg,
		     peer_heard_at(tp, 0, seen->cfg, seen->now_ns), seen->now_ns, &seen->cause);
}

static __always_inline void connection_ends(struct observed *seen, struct sock *sk,
					    const struct tcp_sock *tp)
{
	struct knell_sock *socket = bpf_sk_storage_get(&socks, sk, 0, 0);

	if (!socket)
		return;
	if (socket->flags & KNELL_SOCK_DEAF)
		last_will(seen, tp);
	if (peer_counts(seen->peer, socket)) {
		__sync_fetch_and_add(&seen->peer->connections, -1);
		if (socket->flags & KNELL_SOCK_DEAF)
			__sync_fetch_and_add(&seen->peer->deaf, -1);
	}
	socket->flags &= ~(KNELL_SOCK_COUNTED | KNELL_SOCK_DEAF);
}

SEC("tp_btf/inet_sock_set_state")
int knell_state(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int oldstate = (int)ctx[1], newstate = (int)ctx[2];
	bool handshake = newstate == TCP_ESTABLISHED &&
			 (oldstate == TCP_SYN_SENT || oldstate == TCP_SYN_RECV);
	bool fin =
		newstate == TCP_CLOSE_WAIT || newstate == TCP_FIN_WAIT2 || newstate == TCP_CLOSING;
	struct observed seen = {};
	struct tcp_sock *tp;

	if (!handshake && !fin && newstate != TCP_CLOSE)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (!observe(&seen, sk, fin ? VERDICT_REASON_FIN : VERDICT_REASON_HANDSHAKE))
		return 0;
	if (newstate == TCP_CLOSE) {
		connection_ends(&seen, sk, tp);
		return 0;
	}
	if (newstate == TCP_ESTABLISHED)
		connection_begins(&seen, sk);
	if (handshake && oldstate == TCP_SYN_SENT)
		seen.peer->answer_port = seen.cause.remote_port;
	peer_heard(seen.peer, &seen.key, seen.cfg, seen.now_ns, seen.now_ns, &seen.cause);
	return 0;
}

char LICENSE[] SEC("license") __weak = "Dual BSD/GPL";
