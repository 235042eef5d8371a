// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer.c - knell peer: what the kernel knows about each peer.
 *
 * Room: tools/knell. May call listing, detect/pins, text/words. Called through the table of
 * main.c. Reads the pinned maps, so it works while no agent runs; only the names come from the
 * agent.
 */
#include <errno.h>
#include <string.h>

#include "detect/load.h"
#include "instance.h"
#include "listing.h"
#include "objects.h"
#include "text/words.h"

#define NS_PER_US 1000ULL

/* Time since @then_ns; 0 when it lies ahead. */
static __u64 since(const struct listing *listing, __u64 then_ns)
{
	return listing->now_ns > then_ns ? listing->now_ns - then_ns : 0;
}

static void age(struct output *out, const char *label, const char *key, __u64 ns)
{
	char text[WORDS_AGE_BYTES];

	output_measure(out, label, key, ns / NS_PER_US, words_age(text, sizeof(text), ns));
}

static void show_identity(struct output *out, const struct listing *listing,
			  const struct knell_peer_key *key)
{
	char text[WORDS_ADDRESS_BYTES];

	output_string(out, "name", "name", listing_name(listing, key->addr));
	output_string(out, "address", "addr", words_address(text, sizeof(text), key->addr));
	output_number(out, listing->config.netns ? NULL : "netns", "netns", key->netns);
}

static void show_verdict(struct output *out, const struct listing *listing,
			 const struct verdict_peer *verdict)
{
	char text[WORDS_AGE_BYTES];

	output_string(out, "state", "state", words_state(verdict->state));
	if (verdict->since_ns)
		age(out, "since", "since_age_us", since(listing, verdict->since_ns));
	else
		output_absent(out, "since", "since_age_us", "-");
	if (verdict->heard_ns)
		age(out, "heard", "heard_age_us", since(listing, verdict->heard_ns));
	else
		output_absent(out, "heard", "heard_age_us", "never");
	output_measure(out, "phi", "phi_md", verdict->silence.phi_md,
		       words_phi(text, sizeof(text), verdict->silence.phi_md));
	output_number(out, "+unanswered", "unanswered", verdict->silence.sends);
	output_number(out, "+tuples", "tuples", verdict->tuple_count);
	output_string(out, "reason", "reason", words_reason(verdict->reason));
}

static void show_counts(struct output *out, const struct listing *listing,
			const struct knell_peer *peer)
{
	const struct verdict_peer *verdict = &peer->verdict;
	char text[WORDS_AGE_BYTES];
	__u64 hold_ns = 0;

	if (verdict->hold_until_ns > listing->now_ns)
		hold_ns = verdict->hold_until_ns - listing->now_ns;
	output_number(out, "+conns", "connections", peer->connections);
	age(out, "+srtt", "srtt_us", peer->srtt_us * NS_PER_US);
	output_measure(out, "+loss", "loss_ppm", verdict->loss_ppm,
		       words_loss(text, sizeof(text), verdict->loss_ppm));
	age(out, "+tau", "tau_us", verdict_tau_ns(&listing->config.rule, verdict));
	output_number(out, "+retrans", "retransmissions", peer->retransmissions);
	output_number(out, "+resets", "resets", peer->resets);
	output_number(out, "+keepalive", "keepalive_timeouts", peer->keepalive_timeouts);
	output_number(out, "+stalls", "stalls", peer->stalls);
	output_number(out, "+flaps", "flaps", verdict->flaps);
	age(out, "+hold", "hold_us", hold_ns);
	output_number(out, NULL, "unanswered_total", peer->unanswered);
	output_number(out, NULL, "epoch", verdict->epoch);
	output_number(out, NULL, "seq", verdict->seq);
}

static void show_entry(struct output *out, const struct listing *listing,
		       const struct listing_entry *entry, enum output_style style)
{
	output_begin(out, NULL, style);
	show_identity(out, listing, &entry->key);
	show_verdict(out, listing, &entry->peer.verdict);
	show_counts(out, listing, &entry->peer);
	output_end(out);
}

static void show_node(struct output *out, const struct listing *listing)
{
	const struct verdict_view *view = &listing->node.view;
	bool isolated = listing_isolated(listing);

	output_note(out, "%s", "");
	output_begin(out, "node", OUTPUT_LINE);
	output_string(out, "node:", NULL, isolated ? "isolated" : "connected");
	output_boolean(out, NULL, "isolated", isolated);
	output_number(out, "peers", "peers", view->peers);
	output_number(out, "silent", "silent", view->silent);
	output_string(out, "link", "link", listing->config.link_down_ns ? "down" : "up");
	if (view->heard_ns)
		age(out, "anybody heard", "heard_age_us", since(listing, view->heard_ns));
	else
		output_absent(out, "anybody heard", "heard_age_us", "never");
	age(out, "loaded", "loaded_age_us", since(listing, listing->node.loaded_ns));
	output_end(out);
	if (listing->elsewhere)
		output_note(out,
			    "note: this instance watches another network namespace than yours");
}

static enum command_status show_named(struct command_context *context,
				      const struct listing *listing, const char *peer)
{
	__u8 addr[KNELL_ADDR_BYTES];
	enum command_status status = listing_resolve(context, listing, peer, addr);
	size_t i, shown = 0;

	if (status)
		return status;
	output_begin(context->out, "peers", OUTPUT_LIST);
	for (i = 0; i < listing->count; i++) {
		if (memcmp(listing->entries[i].key.addr, addr, sizeof(addr)))
			continue;
		show_entry(context->out, listing, &listing->entries[i], OUTPUT_BLOCK);
		shown++;
	}
	output_end(context->out);
	if (!shown)
		return command_fail(context,
				    "nothing is known of %.64s: it is not watched ('knell watch "
				    "show') or no connection to it was seen yet",
				    peer);
	return COMMAND_OK;
}

static void show_all(struct output *out, const struct listing *listing)
{
	size_t i;

	output_begin(out, "peers", OUTPUT_TABLE);
	for (i = 0; i < listing->count; i++)
		show_entry(out, listing, &listing->entries[i], OUTPUT_ROW);
	output_end(out);
	if (!listing->count)
		output_note(out, "no peer yet: none of the watched prefixes was talked to");
}

static enum command_status run_show(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	struct pins pins = PINS_CLOSED;
	struct listing listing = {0};
	enum command_status status = instance_open(context, &pins);

	(void)values;
	if (status)
		return status;
	status = listing_read(context, &pins, &listing);
	if (status)
		goto out;
	output_begin(context->out, NULL, OUTPUT_GROUP);
	if (argc)
		status = show_named(context, &listing, argv[0]);
	else
		show_all(context->out, &listing);
	if (!status)
		show_node(context->out, &listing);
	output_end(context->out);
out:
	listing_free(&listing);
	pins_close(&pins);
	return status;
}

static void dump_tally(struct output *out, const struct verdict_tally *tally)
{
	output_number(out, "began_ns", "began_ns", tally->began_ns);
	output_number(out, "counted_ns", "counted_ns", tally->counted_ns);
	output_number(out, "phi_md", "phi_md", tally->phi_md);
	output_number(out, "sends", "sends", tally->sends);
}

static void dump_verdict(struct output *out, const struct verdict_peer *verdict)
{
	dump_tally(out, &verdict->silence);
	output_number(out, "heard_ns", "heard_ns", verdict->heard_ns);
	output_number(out, "since_ns", "since_ns", verdict->since_ns);
	output_number(out, "recovered_ns", "recovered_ns", verdict->recovered_ns);
	output_number(out, "hold_until_ns", "hold_until_ns", verdict->hold_until_ns);
	output_number(out, "hold_ns", "hold_ns", verdict->hold_ns);
	output_number(out, "learnt_tau_ns", "learnt_tau_ns", verdict->learnt_tau_ns);
	output_number(out, "calm_ns", "calm_ns", verdict->calm_ns);
	output_numbers(out, "tuples", "tuples", verdict->tuples,
		       verdict->tuple_count < VERDICT_TUPLES_MAX ? verdict->tuple_count
								 : VERDICT_TUPLES_MAX);
	output_number(out, "loss_ppm", "loss_ppm", verdict->loss_ppm);
	output_number(out, "flaps", "flaps", verdict->flaps);
	output_number(out, "epoch", "epoch", verdict->epoch);
	output_number(out, "seq", "seq", verdict->seq);
	output_number(out, NULL, "state_number", verdict->state);
	output_string(out, "state", "state", words_state(verdict->state));
	output_number(out, NULL, "reason_number", verdict->reason);
	output_string(out, "reason", "reason", words_reason(verdict->reason));
	output_string(out, "noted", "noted", words_reason(verdict->noted));
}

static void dump_entry(struct output *out, const struct listing *listing,
		       const struct listing_entry *entry)
{
	const struct knell_peer *peer = &entry->peer;
	char text[WORDS_ADDRESS_BYTES];

	output_begin(out, NULL, OUTPUT_BLOCK);
	output_string(out, "addr", "addr", words_address(text, sizeof(text), entry->key.addr));
	output_string(out, "name", "name", listing_name(listing, entry->key.addr));
	output_number(out, "netns", "netns", entry->key.netns);
	output_number(out, "flags", "flags", peer->flags);
	dump_verdict(out, &peer->verdict);
	output_number(out, "retransmissions", "retransmissions", peer->retransmissions);
	output_number(out, "unanswered", "unanswered", peer->unanswered);
	output_number(out, "resets", "resets", peer->resets);
	output_number(out, "keepalive_timeouts", "keepalive_timeouts", peer->keepalive_timeouts);
	output_number(out, "first_seen_ns", "first_seen_ns", peer->first_seen_ns);
	output_number(out, "connections", "connections", peer->connections);
	output_number(out, "stalls", "stalls", peer->stalls);
	output_number(out, "srtt_us", "srtt_us", peer->srtt_us);
	output_number(out, "beat_ns", "beat_ns", peer->beat_ns);
	output_number(out, "deaf", "deaf", peer->deaf);
	output_end(out);
}

static void dump_config(struct output *out, const struct knell_config *config)
{
	output_note(out, "%s", "\nconfiguration");
	output_begin(out, "config", OUTPUT_BLOCK);
	output_string(out, "profile", "profile",
		      load_profile_name((enum knell_profile)config->profile));
	output_number(out, "netns", "netns", config->netns);
	output_number(out, "tau_ns", "tau_ns", config->rule.tau_ns);
	output_number(out, "lost_md", "lost_md", config->rule.lost_md);
	output_number(out, "dead_md", "dead_md", config->rule.dead_md);
	output_number(out, "dead_sends", "dead_sends", config->rule.dead_sends);
	output_number(out, "min_tuples", "min_tuples", config->rule.min_tuples);
	output_number(out, "rto_min_us", "rto_min_us", config->rto_min_us);
	output_number(out, "probe_us", "probe_us", config->probe_us);
	output_number(out, "heartbeat_us", "heartbeat_us", config->heartbeat_us);
	output_number(out, "link_down", "link_down_ns", config->link_down_ns);
	output_end(out);
}

static void dump_node(struct output *out, const struct listing *listing, const __u64 *stats)
{
	const struct knell_node *node = &listing->node;
	unsigned int i;

	output_note(out, "%s", "\nnode");
	output_begin(out, "node", OUTPUT_BLOCK);
	output_number(out, "now_ns", "now_ns", listing->now_ns);
	output_number(out, "loaded_ns", "loaded_ns", node->loaded_ns);
	output_number(out, "heard_ns", "heard_ns", node->view.heard_ns);
	output_number(out, "swept_ns", "swept_ns", node->swept_ns);
	output_number(out, "peers", "peers", node->view.peers);
	output_number(out, "silent", "silent", node->view.silent);
	output_end(out);
	output_note(out, "%s", "\ncounters");
	output_begin(out, "stats", OUTPUT_BLOCK);
	for (i = 0; i < KNELL_STATS; i++)
		output_number(out, words_stat(i), words_stat(i), stats[i]);
	output_end(out);
}

static enum command_status run_dump(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	struct pins pins = PINS_CLOSED;
	struct listing listing = {0};
	__u64 stats[KNELL_STATS] = {0};
	enum command_status status = instance_open(context, &pins);
	size_t i;
	int error;

	(void)values, (void)argc, (void)argv;
	if (status)
		return status;
	status = listing_read(context, &pins, &listing);
	if (status)
		goto out;
	error = pins_stats(&pins, stats);
	if (error) {
		status = command_fail(context, "cannot read the counters under %s: %s", pins.dir,
				      strerror(-error));
		goto out;
	}
	output_begin(context->out, NULL, OUTPUT_GROUP);
	output_begin(context->out, "peers", OUTPUT_LIST);
	for (i = 0; i < listing.count; i++)
		dump_entry(context->out, &listing, &listing.entries[i]);
	output_end(context->out);
	dump_config(context->out, &listing.config);
	dump_node(context->out, &listing, stats);
	output_end(context->out);
out:
	listing_free(&listing);
	pins_close(&pins);
	return status;
}

const struct command peer_commands[] = {
	{"show", "[PEER]", "state and evidence of every peer, or all about one (name or address)",
	 0, 1, NULL, 0, run_show},
	{"dump", "", "every field as the kernel keeps it, and the counters", 0, 0, NULL, 0,
	 run_dump},
	{0},
};
