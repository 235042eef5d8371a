# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# span.sh - watch a cluster through a span of trouble and count the mistakes that were made in it.
# Sourced after common.sh by the tests of what must not be fooled.
#
# The kernel's own count of returns from lost and dead (`flaps`) is the judge, since no event can be
# missing there; the events say which it was and how long each suspicion lasted.
#
# shellcheck disable=SC2015,SC2016,SC2154 # fail only fails; jq has variables too; see common.sh

began_ns=0
flaps_before=0
unanswered_before=0
dropped_before=0
passed_before=0

# peers_sum FIELD: over all peers of all hosts, from the pinned maps.
peers_sum() {
	local host
	for host in $(cluster_all); do
		knell_on "$host" -j peer show
	done | jq -s --arg field "$1" '[.[].peers[][$field]] | add'
}

# cable HOST dropped|passed: packets so far, both directions.
cable() {
	lab status -j 2>/dev/null | jq --arg host "$1" --arg what "$2" \
		'.hosts[] | select(.host == $host) | .cable | .in[$what] + .out[$what]'
}

# span_begin [HOST]: all that is counted later is counted from here, the packets at HOST's port.
span_begin() {
	span_host=${1:-h3}
	flaps_before=$(peers_sum flaps)
	unanswered_before=$(peers_sum unanswered_total)
	dropped_before=$(cable "$span_host" dropped)
	passed_before=$(cable "$span_host" passed)
	began_ns=$(now_ns)
}

# The length of the span is what is tested, so this waits for time and for nothing else.
span_hold() {
	sleep "$1"
}

span_unanswered() {
	echo $(($(peers_sum unanswered_total) - unanswered_before))
}

span_dropped() {
	echo $(($(cable "$span_host" dropped) - dropped_before))
}

span_passed() {
	echo $(($(cable "$span_host" passed) - passed_before))
}

# span_events FILTER [ARGS]: jq over the events of all hosts since span_begin. A line that is just
# being written does not parse yet, and is left out.
span_events() {
	local filter=$1
	shift
	cat "$cluster_dir"/h*.events | jq -rnR --argjson from "$began_ns" "$@" \
		"[inputs | fromjson? | select(.ts_ns > \$from)] | $filter"
}

# span_said STATE [NODE] [PEER]: how often, by anybody of anybody if not told otherwise.
span_said() {
	span_events 'map(select(.event == "verdict" and .to == $to and
		($node == "" or .node == $node) and ($peer == "" or .peer == $peer))) | length' \
		--arg to "$1" --arg node "${2:-}" --arg peer "${3:-}"
}

span_has_said() {
	[ "$(span_said "$@")" -gt 0 ]
}

# How long each suspicion lasted until the peer was heard again, in ms.
span_suspicions_ms() {
	span_events 'map(select(.event == "verdict")) | group_by([.node, .peer])[] |
		reduce .[] as $e ({since: null, all: []};
			if $e.to == "suspect" then .since //= $e.ts_ns
			elif .since and ($e.to == "alive" or $e.to == "degraded")
			then .all += [($e.ts_ns - .since) / 1e6] | .since = null
			else . end) | .all[]'
}

# What was said that should not have been, for people.
span_mistakes() {
	span_events 'map(select(.event == "verdict" and (.to == "lost" or .to == "dead")) |
		"\(.node) says \(.peer) \(.to): phi \(.phi_md), \(.unanswered) unanswered on " +
		"\(.tuples) tuples, silent \(.silence_us // 0 | . / 1000) ms, loss \(.loss_ppm) ppm") |
		join("; ")'
}

# span_figures PROFILE CASE: prints what happened; fails when anybody was called lost or dead.
span_figures() {
	local profile=$1 case=$2 lost dead flaps suspicions
	wait_for 15 cluster_whole || fail "the cluster does not come to rest" || return 1
	lost=$(span_said lost)
	dead=$(span_said dead)
	flaps=$(($(peers_sum flaps) - flaps_before))
	mapfile -t suspicions < <(span_suspicions_ms)
	figure false_lost "$profile" "$case" count "$lost"
	figure false_dead "$profile" "$case" count "$dead"
	[ ${#suspicions[@]} -eq 0 ] || figure suspicion_ms "$profile" "$case" ms "${suspicions[@]}"
	echo "# $case: $(span_unanswered) unanswered, $(span_dropped) packets dropped at $span_host," \
		"isolated said $(span_said isolated) times"
	[ "$lost" -eq 0 ] && [ "$dead" -eq 0 ] && [ "$flaps" -eq 0 ] ||
		fail "$lost lost, $dead dead, $flaps returns from either: $(span_mistakes)"
}

# span_had_evidence: the trouble was real, or the span proved nothing. What comes by chance may need
# longer than a short span: wait_for it.
span_had_evidence() {
	[ "$(span_dropped)" -gt 0 ] || fail "no packet was dropped" || return 1
	[ "$(span_unanswered)" -gt 0 ] || fail "nothing went unanswered"
}

# span_still_notices PROFILE CASE: patience that was learnt, or a detector that sleeps, must not hide
# a true power-off.
span_still_notices() {
	local profile=$1 case=$2 cut host after_ms=()
	cut=$(lab cut h3 | jq .cut_ns)
	for host in h1 h2; do
		wait_for 10 cluster_said "$host" h3 dead "$cut" ||
			fail "$host does not notice a power-off afterwards" || return 1
		after_ms+=("$(since_ms "$(cluster_event "$host" h3 dead "$cut")" "$cut")")
	done
	figure dead_after_ms "$profile" "$case" ms "${after_ms[@]}"
}
