#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_isolated.sh - look at yourself first: who is cut off says so, and buries nobody. The others
# may say of it what they like best, `dead`; of each other they must say nothing.
#
# shellcheck disable=SC2016,SC2317 # jq has variables too; run calls the cases by name
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/span.sh"
need_root_and_lab

span_s=$(in_mode 5 60 60)

load_pids=()

# load HOST COMMAND...: in the background on HOST, until the case ends.
load() {
	load_pids+=("$(lab spawn "$1" /dev/null "${@:2}")")
}

clean_up() {
	local pid
	for pid in "${load_pids[@]}"; do
		kill -KILL -- "-$pid" 2>/dev/null
	done
	load_pids=()
	cluster_down
}
trap clean_up EXIT

# is_isolated HOST: HOST says so of both its peers, in its pinned maps.
is_isolated() {
	local other
	for other in $(cluster_others "$1"); do
		cluster_is "$1" "$other" isolated || return 1
	done
}

# first_ms STATE NODE [PEER]: from the start of the span to the last of NODE's peers so called.
first_ms() {
	local stamp
	stamp=$(span_events 'map(select(.event == "verdict" and .node == $node and .to == $to and
		($peer == "" or .peer == $peer))) | group_by(.peer) | map(.[0].ts_ns) | max' \
		--arg to "$1" --arg node "$2" --arg peer "${3:-}")
	since_ms "$stamp" "$began_ns"
}

# blames HOST: harsh words of HOST, of any or of the named peer.
blames() {
	echo $(($(span_said lost "$1" "${2:-}") + $(span_said dead "$1" "${2:-}")))
}

# flaps_of HOST PEER
flaps_of() {
	knell_on "$1" -j peer show "$(cluster_addr "$2")" | jq '.peers[0].flaps'
}

# beats HOST: every heartbeat of HOST's own is heard again; none waits out a backoff.
beats() {
	knell_on "$1" -j conn show |
		jq -e 'map(select(.role == "heartbeat")) | length == 2 and all(.last_heard_ms < 1000)' >/dev/null
}

deafened() {
	[ "$(knell_on h1 -j peer dump | jq .stats.sockets_deafened)" -gt 0 ]
}

# A connection of h1 that was dense, so that knell does not listen to it, and idles from now on.
deaf_and_idle() {
	load h3 sockperf server --tcp -i "$(lab addr h3)" -p 9100
	wait_for 5 lab exec h1 nc -z "$(lab addr h3)" 9100 || fail "sockperf does not listen" || return 1
	load h1 sockperf ping-pong --tcp -i "$(lab addr h3)" -p 9100 -t $((span_s + 60)) --mps max
	wait_for 10 deafened || fail "no connection goes deaf" || return 1
	kill -STOP -- "-${load_pids[-1]}"
}

# cut_off CASE FAULT MEND [BEFORE]: h1 is cut off by FAULT, for a span, until MEND.
cut_off() {
	local case=$1 fault=$2 mend=$3 host mended_ns
	cluster_up 3 lan || fail "no cluster" || return 1
	[ $# -lt 4 ] || "$4" || return 1
	span_begin h1
	$fault
	wait_for 5 is_isolated h1 || fail "h1 does not say isolated, but $(cluster_state h1 h2) of h2 and \
$(cluster_state h1 h3) of h3" || return 1
	figure isolated_ms lan "$case" ms "$(first_ms isolated h1)"
	for host in h2 h3; do
		wait_for 5 cluster_is "$host" h1 dead || fail "$host does not say that h1 is dead" || return 1
	done
	span_hold "$span_s"
	is_isolated h1 || fail "h1 does not say isolated any more" || return 1
	[ "$(span_said isolated h1)" -eq 2 ] ||
		fail "h1 says isolated $(span_said isolated h1) times of two peers" || return 1
	for host in h2 h3; do
		cluster_is "$host" h1 dead || fail "$host says $(cluster_state "$host" h1) of h1" || return 1
	done
	mended_ns=$(now_ns)
	$mend
	wait_for 15 cluster_whole || fail "the cluster does not heal" || return 1
	figure healed_ms lan "$case" ms "$(since_ms "$(now_ns)" "$mended_ns")"
	wait_for 3 beats h1 || fail "h1's heartbeats sleep: $(knell_on h1 -j conn show |
		jq -c 'map([.peer, .role, .last_heard_ms])')" || return 1
	figure false_lost lan "$case" count "$(span_said lost h1)"
	figure false_dead lan "$case" count "$(span_said dead h1)"
	[ "$(blames h1)" -eq 0 ] || fail "h1 blames others: $(span_mistakes)" || return 1
	[ $(($(blames h2 h3) + $(blames h3 h2))) -eq 0 ] ||
		fail "h2 and h3 blame each other: $(span_mistakes)" || return 1
	span_still_notices lan "$case"
}

link_down() {
	lab linkdown h1 >/dev/null
}

link_up() {
	lab linkup h1 >/dev/null
}

# The cable is pulled behind the switch: h1's own carrier stays.
switch_side() {
	lab oneway h1 in >/dev/null
	lab oneway h1 out >/dev/null
}

switch_mended() {
	lab clear h1 >/dev/null
}

# deaf_or_mute in|out: h3 hears nothing, or nobody hears h3. Either way no transmission of h1 or h2 to
# h3 is ever acknowledged, nor one of h3 to them: it is of no use to them. Deaf, it knows that it is
# cut off. Mute, it hears the others give it up one after the other, and who speaks last vouches for
# the link: what it then says of the first is counted and shown, not judged.
deaf_or_mute() {
	local case="one way: h3's $1" host
	cluster_up 3 lan || fail "no cluster" || return 1
	span_begin h3
	lab oneway h3 "$1" >/dev/null
	for host in h1 h2; do
		wait_for 5 cluster_is "$host" h3 dead ||
			fail "$host says $(cluster_state "$host" h3) of h3" || return 1
	done
	[ "$1" = out ] || wait_for 5 is_isolated h3 || fail "h3 does not say isolated, but $(cluster_state h3 h1) of h1 and \
$(cluster_state h3 h2) of h2" || return 1
	figure dead_ms lan "$case" ms "$(first_ms dead h1 h3)" "$(first_ms dead h2 h3)"
	[ "$1" = out ] || figure isolated_ms lan "$case" ms "$(first_ms isolated h3)"
	span_hold "$span_s"
	for host in h1 h2; do
		cluster_is "$host" h3 dead || fail "$host says $(cluster_state "$host" h3) of h3" || return 1
		[ "$(flaps_of "$host" h3)" -eq 0 ] || fail "$host: h3 flaps" || return 1
	done
	[ "$1" = out ] || is_isolated h3 || fail "h3 does not say isolated any more" || return 1
	[ "$(span_dropped)" -gt 0 ] || fail "no packet was dropped" || return 1
	lab clear h3 >/dev/null
	wait_for 15 cluster_whole || fail "the cluster does not heal" || return 1
	figure false_lost lan "$case" count "$(span_said lost h3)"
	figure false_dead lan "$case" count "$(span_said dead h3)"
	# The last words of one may come so late that the other looks lost for a moment; never dead.
	[ "$1" = out ] || [ "$(span_said dead h3)" -eq 0 ] || fail "h3 buries others: $(span_mistakes)" || return 1
	[ $(($(blames h1 h2) + $(blames h2 h1))) -eq 0 ] ||
		fail "h1 and h2 blame each other: $(span_mistakes)" || return 1
	span_still_notices lan "$case"
}

run "own link down: isolated, nobody else blamed" cut_off "own link down" link_down link_up
clean_up
run "cut off at the switch: isolated, nobody else blamed" cut_off "cut off at the switch" \
	switch_side switch_mended
clean_up
run "cut off with an idle connection that does not tell: isolated, and it stays so" \
	cut_off "cut off, a deaf connection idle" switch_side switch_mended deaf_and_idle
clean_up
run "h3 hears nothing: dead to the others, isolated to itself" deaf_or_mute in
clean_up
run "nobody hears h3: dead to the others, who do not blame each other" deaf_or_mute out
finish
