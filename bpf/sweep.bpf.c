// SPDX-License-Identifier: BSD-2-Clause
/*
 * sweep.bpf.c - iterators that user space runs by reading a file: nothing here runs by itself.
 *
 * Room: bpf. knell_sweep looks over all TCP sockets for one that has heard a silent peer since its
 * silence began. knell_review lets every peer be judged again after the agent wrote a note or the
 * state of the link. Iterators, not syscall programs: those may sleep and so may not take a spin
 * lock before Linux 6.6.
 */
#include "peer.bpf.h"

/* Listeners, half-open and timed-wait sockets carry no stamp that means "heard". */
#define STATES_THAT_HEAR 0xb32 /* ESTABLISHED, FIN_WAIT1/2, CLOSE_WAIT, LAST_ACK, CLOSING */

/* A reading that has not ended by then has been given up by its reader, or waits for another. */
#define SWEEP_ABANDONED_NS 1000000000ULL

/*
 * Anybody may read the iterator at any time, so one reading claims the stamp. It is the oldest, as
 * long as it is not given up; those that begin meanwhile leave no stamp. The clock is read before
 * the claim: whatever claim came before this one, its beginning is older than the first socket that
 * this one looks at.
 */
static __always_inline void sweep_begins(struct knell_node *self, __u64 session)
{
	__u64 now_ns = bpf_ktime_get_ns(), other = self->sweep_session;

	if (other && now_ns < self->sweep_began_ns + SWEEP_ABANDONED_NS)
		return;
	if (__sync_val_compare_and_swap(&self->sweep_session, other, session) == other)
		self->sweep_began_ns = now_ns;
}

/* The beginning is read before it is known whose it is: a claim that follows cannot change it. */
static __always_inline void sweep_ends(struct knell_node *self, __u64 session)
{
	__u64 began_ns = self->sweep_began_ns;

	if (__sync_val_compare_and_swap(&self->sweep_session, session, 0) == session)
		self->swept_ns = began_ns;
}

/* From when on every socket has been looked at: where the last finished sweep began. */
static __always_inline void sweep_stamp(const struct bpf_iter__tcp *ctx)
{
	const struct bpf_iter_meta *meta = ctx->meta;
	struct knell_node *self = node_get();

	if (!self)
		return;
	if (!ctx->sk_common)
		sweep_ends(self, meta->session_id);
	else if (!meta->seq_num)
		sweep_begins(self, meta->session_id);
}

SEC("iter/tcp")
int knell_sweep(struct bpf_iter__tcp *ctx)
{
	struct peer_cause cause = {.reason = VERDICT_REASON_SWEEP};
	struct sock_common *common = ctx->sk_common;
	struct knell_config *cfg = config_get();
	struct knell_peer_key key;
	struct knell_peer *peer;
	struct tcp_sock *tp;
	__u64 now_ns;

	sweep_stamp(ctx);
	if (!common || !cfg || !(STATES_THAT_HEAR & 1U << (common->skc_state & 31)))
		return 0;
	if (!peer_key_from_sock(&key, common, cfg))
		return 0;
	stat_add(KNELL_STAT_SWEPT);
	peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer || !peer->verdict.silence.sends)
		return 0;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp)
		return 0;
	now_ns = bpf_ktime_get_ns();
	cause.cookie = bpf_get_socket_cookie(tp);
	cause.local_port = common->skc_num;
	cause.remote_port = bpf_ntohs(common->skc_dport);
	if (peer_refuted(peer, &key, cfg, peer_heard_at(tp, 0, cfg, now_ns), now_ns, &cause))
		stat_add(KNELL_STAT_REFUTED);
	return 0;
}

/* The prefix that made this a peer is gone: take it out of the node's counts, once. */
static __always_inline void forget(struct knell_peer *peer, struct knell_node *self)
{
	bool was, counted;

	bpf_spin_lock(&peer->lock);
	was = peer->verdict.silence.sends;
	counted = !(peer->flags & KNELL_PEER_FORGOTTEN);
	peer->flags |= KNELL_PEER_FORGOTTEN;
	verdict_forget_silence(&peer->verdict);
	bpf_spin_unlock(&peer->lock);
	if (!counted)
		return;
	__sync_fetch_and_add(&self->view.peers, -1);
	peer_silent_changed(self, was, false);
}

SEC("iter/bpf_map_elem")
int knell_review(struct bpf_iter__bpf_map_elem *ctx)
{
	struct knell_record record = {.kind = KNELL_RECORD_VERDICT};
	struct knell_peer_key *element = ctx->key, key;
	struct knell_config *cfg = config_get();
	struct knell_node *self = node_get();
	struct peer_cause cause = {};
	struct verdict_view view;
	struct knell_note *note;
	struct knell_peer *peer;
	__u32 noted;
	__u64 now_ns;
	bool changed, was;
	__u16 from;

	if (!element || !cfg || !self)
		return 0;
	key = *element;
	peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer)
		return 0;
	if (!peer_watched(&key)) {
		forget(peer, self);
		return 0;
	}
	note = bpf_map_lookup_elem(&notes, &key);
	noted = note ? note->reason : 0;
	now_ns = bpf_ktime_get_ns();
	peer_view(&view, self, cfg);
	bpf_spin_lock(&peer->lock);
	if (peer->flags & KNELL_PEER_FORGOTTEN) {
		peer->flags &= ~KNELL_PEER_FORGOTTEN;
		__sync_fetch_and_add(&self->view.peers, 1);
	}
	from = peer->verdict.state;
	was = peer->verdict.silence.sends;
	view.unasked = peer_unasked(peer, self, cfg, peer->verdict.silence.began_ns, now_ns);
	changed = verdict_review(&peer->verdict, &cfg->rule, &view, noted, now_ns);
	peer_silent_changed(self, was, peer->verdict.silence.sends);
	cause.reason = peer->verdict.reason;
	peer_record(&record, peer, cfg, from, now_ns);
	bpf_spin_unlock(&peer->lock);
	if (changed)
		peer_publish(&record, &key, &cause);
	return 0;
}

char LICENSE[] SEC("license") __weak = "Dual BSD/GPL";
