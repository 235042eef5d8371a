/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.bpf.h - from an observation to the peer's entry, through verdict.h, to a record in the ring.
 *
 * Room: bpf. Called by evidence.bpf.c, tune.bpf.c and sweep.bpf.c; calls verdict.h. This is the one
 * place that changes a peer: look up, lock, judge, unlock, publish. Inside the lock there are no
 * helper calls (the verifier's rule), so time and addresses are brought along.
 */
#ifndef KNELL_PEER_BPF_H
#define KNELL_PEER_BPF_H

#include "maps.bpf.h"

/* The socket that tipped the scale, for the record. */
struct peer_cause {
	__u64 cookie;
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u32 reason; /* enum verdict_reason */
};

static const struct knell_peer peer_empty;

static __always_inline void peer_key_from_v4(struct knell_peer_key *key, __u32 address)
{
	__builtin_memset(key->addr, 0, 10);
	key->addr[10] = 0xff;
	key->addr[11] = 0xff;
	__builtin_memcpy(&key->addr[12], &address, sizeof(address));
}

/*
 * False when this instance does not watch the socket's network namespace or family, and for a
 * socket from an own address to itself: that is no voice from outside, however wide the watched
 * prefix.
 */
static __always_inline bool peer_key_from_sock(struct knell_peer_key *key,
					       const struct sock_common *common,
					       const struct knell_config *cfg)
{
	__u64 remote[2], local[2];
	__u16 family;

	key->netns = common->skc_net.net->net_cookie;
	if (cfg->netns && key->netns != cfg->netns)
		return false;
	family = common->skc_family;
	if (family == AF_INET) {
		peer_key_from_v4(key, common->skc_daddr);
		return common->skc_daddr != common->skc_rcv_saddr;
	}
	if (family != AF_INET6)
		return false;
	__builtin_memcpy(key->addr, (void *)&common->skc_v6_daddr, sizeof(key->addr));
	__builtin_memcpy(remote, (void *)&common->skc_v6_daddr, sizeof(remote));
	__builtin_memcpy(local, (void *)&common->skc_v6_rcv_saddr, sizeof(local));
	return remote[0] != local[0] || remote[1] != local[1];
}

static __always_inline struct knell_watch *peer_watched(const struct knell_peer_key *key)
{
	struct knell_watch_key prefix = {.prefix_bits = 8 * KNELL_ADDR_BYTES};

	__builtin_memcpy(prefix.addr, key->addr, sizeof(prefix.addr));
	return bpf_map_lookup_elem(&watch, &prefix);
}

/*
 * When the socket last heard its peer, in jiffies: the newer of the last acknowledgement and the
 * last new data. The former proves nothing while more than @pending retransmissions of our own are
 * without an answer: a peer that does not hear us repeats what it has sent, each repetition is
 * stamped, and acknowledges nothing. A peer that has shut its window answers just so, but hears us.
 */
static __always_inline __u32 peer_last_heard(const struct tcp_sock *tp, __u32 pending)
{
	__u32 acknowledged = tp->rcv_tstamp, data = tp->inet_conn.icsk_ack.lrcvtime;

	if (tp->inet_conn.icsk_retransmits > pending && tp->snd_wnd)
		return data;
	return (__s32)(data - acknowledged) > 0 ? data : acknowledged;
}

/* The entry, made when the address is watched and new. NULL: not ours. */
static __always_inline struct knell_peer *peer_get(const struct knell_peer_key *key, __u64 now_ns)
{
	struct knell_peer *peer = bpf_map_lookup_elem(&peers, key);
	struct knell_node *self;

	if (peer)
		return peer->flags & KNELL_PEER_FORGOTTEN ? NULL : peer;
	if (!peer_watched(key))
		return NULL;
	if (!bpf_map_update_elem(&peers, key, &peer_empty, BPF_NOEXIST)) {
		self = node_get();
		if (self)
			__sync_fetch_and_add(&self->view.peers, 1);
	}
	peer = bpf_map_lookup_elem(&peers, key);
	if (!peer)
		stat_add(KNELL_STAT_PEERS_FULL);
	else if (!peer->first_seen_ns)
		peer->first_seen_ns = now_ns;
	return peer;
}

static __always_inline void peer_record(struct knell_record *record, const struct knell_peer *peer,
					const struct knell_config *cfg, __u16 from, __u64 now_ns)
{
	const struct verdict_peer *verdict = &peer->verdict;

	record->seq = verdict->seq;
	record->epoch = verdict->epoch;
	record->ts_ns = now_ns;
	record->from = from;
	record->to = verdict->state;
	record->phi_md = verdict->silence.phi_md;
	record->sends = verdict->silence.sends;
	record->began_ns = verdict->silence.began_ns;
	record->tuples = verdict->tuple_count;
	record->loss_ppm = verdict->loss_ppm;
	record->flaps = verdict->flaps;
	record->heard_ns = verdict->heard_ns;
	record->hold_until_ns = verdict->hold_until_ns;
	record->tau_ns = verdict_tau_ns(&cfg->rule, verdict);
	record->noted = (__u16)verdict->noted;
	record->answer_port = peer->answer_port;
}

/* False when the ring is full: the loss is counted, and user space repairs it from the map. */
static __always_inline bool peer_publish(struct knell_record *record,
					 const struct knell_peer_key *key,
					 const struct peer_cause *cause)
{
	record->key = *key;
	record->reason = cause->reason;
	record->cookie = cause->cookie;
	record->local_port = cause->local_port;
	record->remote_port = cause->remote_port;
	/* Rare and urgent: always wake the reader. */
	if (bpf_ringbuf_output(&ring, record, sizeof(*record), BPF_RB_FORCE_WAKEUP)) {
		stat_add(KNELL_STAT_RING_LOST);
		return false;
	}
	stat_add(KNELL_STAT_RECORDS);
	return true;
}

/* What the node knows of all others now. Ears outrank a link that claims to be down. */
static __always_inline void peer_view(struct verdict_view *view, const struct knell_node *self,
				      const struct knell_config *cfg)
{
	*view = self->view;
	view->link_down =
		cfg->link_down_ns && view->heard_ns <= cfg->link_down_ns + KNELL_LINK_DOUBT_NS;
}

/* Watched no more and watched again: the new entry has not counted this socket. */
static __always_inline bool peer_counts(const struct knell_peer *peer,
					const struct knell_sock *socket)
{
	return socket->flags & KNELL_SOCK_COUNTED && socket->counted_in_ns == peer->first_seen_ns;
}

/*
 * Deaf sockets may have heard the peer since its silence began at @began_ns, and no sweep has
 * looked in the later half of it, nor late enough for the stamps' grain. A socket that accuses the
 * peer is never among them: it got its ears back before it repeated anything (tune.bpf.c). So these
 * flow, or idle.
 */
static __always_inline __u32 peer_unasked(const struct knell_peer *peer,
					  const struct knell_node *self,
					  const struct knell_config *cfg, __u64 began_ns,
					  __u64 now_ns)
{
	__u64 half_ns = began_ns + (now_ns - began_ns) / 2;
	__u64 grain_ns = began_ns + 2 * (__u64)cfg->tick_ns;
	/* Negative where the sweep is no later. Not compared: each branch doubles what the verifier
	 * has to walk through below.
	 */
	__u64 behind = (self->swept_ns - half_ns - 1) | (self->swept_ns - grain_ns - 1);

	return peer->deaf & -(__u32)(behind >> 63);
}

/* Keeps the count of silent peers exact; runs inside the peer's lock. */
static __always_inline void peer_silent_changed(struct knell_node *self, bool was, bool is)
{
	if (is && !was)
		__sync_fetch_and_add(&self->view.silent, 1);
	else if (was && !is)
		__sync_fetch_and_add(&self->view.silent, -1);
}

/* Something of the peer arrived at @heard_ns. */
static __always_inline void peer_heard(struct knell_peer *peer, const struct knell_peer_key *key,
				       const struct knell_config *cfg, __u64 heard_ns, __u64 now_ns,
				       const struct peer_cause *cause)
{
	struct knell_record record = {.kind = KNELL_RECORD_VERDICT};
	struct knell_node *self = node_get();
	struct verdict_view view;
	bool changed, was;
	__u16 from;

	if (!self)
		return;
	if (heard_ns > self->view.heard_ns + VERDICT_HEARD_GRAIN_NS)
		self->view.heard_ns = heard_ns;
	if (!peer->verdict.silence.sends && peer->verdict.state == VERDICT_ALIVE &&
	    heard_ns < peer->verdict.heard_ns + VERDICT_HEARD_GRAIN_NS)
		return;
	stat_add(KNELL_STAT_HEARD);
	peer_view(&view, self, cfg);
	bpf_spin_lock(&peer->lock);
	if (peer->flags & KNELL_PEER_FORGOTTEN) {
		bpf_spin_unlock(&peer->lock);
		return;
	}
	was = peer->verdict.silence.sends;
	from = peer->verdict.state;
	changed = verdict_heard(&peer->verdict, &cfg->rule, &view, heard_ns, now_ns, cause->reason);
	peer_silent_changed(self, was, false);
	peer_record(&record, peer, cfg, from, now_ns);
	bpf_spin_unlock(&peer->lock);
	if (changed)
		peer_publish(&record, key, cause);
}

/* When the socket last heard its peer; see peer_last_heard. */
static __always_inline __u64 peer_heard_at(const struct tcp_sock *tp, __u32 pending,
					   const struct knell_config *cfg, __u64 now_ns)
{
	__u32 age_ticks = (__u32)bpf_jiffies64() - peer_last_heard(tp, pending);

	return now_ns - (__u64)age_ticks * cfg->tick_ns;
}

/*
 * A socket's own stamp, @heard_ns, is held against its peer's silence. True when that ends by it:
 * one tick of doubt, the stamps are no finer.
 */
static __always_inline bool peer_refuted(struct knell_peer *peer, const struct knell_peer_key *key,
					 const struct knell_config *cfg, __u64 heard_ns,
					 __u64 now_ns, const struct peer_cause *cause)
{
	const struct verdict_tally *silence = &peer->verdict.silence;
	struct peer_cause sweep = *cause;

	if (!silence->sends || heard_ns <= silence->began_ns + cfg->tick_ns)
		return false;
	sweep.reason = VERDICT_REASON_SWEEP;
	peer_heard(peer, key, cfg, heard_ns, now_ns, &sweep);
	return true;
}

/* @sends transmissions to the peer have gone unanswered. */
static __always_inline void peer_unanswered(struct knell_peer *peer,
					    const struct knell_peer_key *key,
					    const struct knell_config *cfg, __u64 now_ns,
					    __u32 sends, const struct peer_cause *cause)
{
	struct knell_record record = {.kind = KNELL_RECORD_VERDICT};
	struct knell_node *self = node_get();
	struct verdict_view view;
	bool changed, was;
	__u16 from;

	if (!self)
		return;
	stat_add(KNELL_STAT_UNANSWERED);
	peer_view(&view, self, cfg);
	bpf_spin_lock(&peer->lock);
	if (peer->flags & KNELL_PEER_FORGOTTEN) {
		bpf_spin_unlock(&peer->lock);
		return;
	}
	was = peer->verdict.silence.sends;
	if (!was)
		view.silent++;
	view.unasked = peer_unasked(peer, self, cfg, was ? peer->verdict.silence.began_ns : now_ns,
				    now_ns);
	from = peer->verdict.state;
	changed = verdict_unanswered(&peer->verdict, &cfg->rule, &view, now_ns,
				     (__u32)cause->cookie, sends, cause->reason);
	peer_silent_changed(self, was, true);
	peer->unanswered += sends;
	peer_record(&record, peer, cfg, from, now_ns);
	bpf_spin_unlock(&peer->lock);
	if (changed)
		peer_publish(&record, key, cause);
}

#endif
