#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_restart.sh - the agent is killed and started again, at any moment: no verdict is lost, none is
# told twice, and the detector goes on without it. What h1's agent told is read from its log, which
# all its lives share, and which `-v` makes complete.
. "$(dirname "$0")/common.sh"
need_root_and_lab

cluster_agent() {
	lab spawn "$1" "$cluster_dir/$1.log" "$KNELL_BUILD/knelld" -v -c "$cluster_dir/$1.conf" \
		>"$cluster_dir/$1.pid"
}

agent_pid() {
	cat "$cluster_dir/$1.pid"
}

is_gone() {
	! kill -0 "$1" || grep -q '^State:.*Z' "/proc/$1/status"
}

# kill_agent HOST: without warning, and gone for sure.
kill_agent() {
	local pid
	pid=$(agent_pid "$1")
	kill -9 "$pid"
	wait_for 5 is_gone "$pid"
}

start_agent() {
	cluster_agent "$1"
	wait_for 10 cluster_answers "$1" || fail "the agent of $1 does not start: $(tail -n 1 "$cluster_dir/$1.log")"
}

# told: one line per verdict that h1's agents told: PEER SEQ FROM TO EPOCH.
told() {
	sed -nE 's/^knelld: [a-z]+: peer ([^ ]+) \([^)]*\): ([a-z]+) -> ([a-z]+):.* epoch ([0-9]+), verdict ([0-9]+).*/\1 \5 \2 \3 \4/p' \
		"$cluster_dir/h1.log"
}

# map PEER FIELD: of h1's pinned entry of that peer.
map() {
	knell_on h1 -j peer dump | jq -r --arg addr "$(lab addr "$1")" --arg field "$2" \
		'.peers[] | select(.addr == $addr) | .[$field]'
}

# evidence PEER: all that h1's map holds against it, in one line.
evidence() {
	knell_on h1 -j peer dump | jq -c --arg addr "$(lab addr "$1")" '.peers[] | select(.addr == $addr) |
		{state, phi_md, sends, tuples, loss_ppm, learnt_tau_ns, epoch, connections}'
}

# all_told: the newest verdict in the map of each peer has been told.
all_told() {
	local peer
	for peer in $(cluster_others h1); do
		[ "$(told | awk -v p="$peer" '$1 == p { last = $2 } END { print last }')" = "$(map "$peer" seq)" ] ||
			return 1
	done
}

# stream_is_whole: numbers without gap or repetition, and each verdict starts where the last ended.
stream_is_whole() {
	local wrong
	wait_for 5 all_told || fail "told: $(told | tr '\n' ';') map: h2 $(map h2 seq), h3 $(map h3 seq)" || return 1
	wrong=$(told | awk '$2 != seq[$1] + 1 || (seq[$1] && $3 != state[$1]) { print; exit }
		{ seq[$1] = $2; state[$1] = $4 }')
	[ -z "$wrong" ] || fail "lost, repeated or disordered at \"$wrong\" in: $(told | tr '\n' ';')"
}

dead_is_told() {
	told | awk -v epoch="$1" '$1 == "h3" && $4 == "dead" && $5 == epoch { found = 1 } END { exit !found }'
}

fresh_cluster() {
	cluster_down
	cluster_up 3 lan 2 || fail "no cluster"
}

bring_back_h3() {
	cluster_reboot h3 >/dev/null
	wait_for 20 cluster_whole || fail "h3 is not taken back"
}

# writers HOST PEER: two plain programs of HOST that keep talking to PEER; PEER listens with nc.
writers() {
	local port addr
	addr=$(lab addr "$2")
	for port in 9001 9002; do
		lab spawn "$2" /dev/null nc -lk "$addr" "$port" >/dev/null
		wait_for 5 lab exec "$1" nc -z "$addr" "$port" || fail "$2 does not listen" || return 1
		lab spawn "$1" /dev/null bash -c \
			"exec 3<>/dev/tcp/$addr/$port; while printf x >&3; do sleep 0.05; done" >/dev/null
	done
}

quiet_restarts() {
	local i
	fresh_cluster || return 1
	for ((i = 0; i < $1; i++)); do
		kill_agent h1
		start_agent h1 && wait_for 10 cluster_whole || fail "restart $i: not whole again" || return 1
		stream_is_whole || return 1
	done
}

dead_stays_dead() {
	local before
	fresh_cluster || return 1
	lab cut h3 >/dev/null
	wait_for 5 cluster_is h1 h3 dead || fail "h3 is not declared dead" || return 1
	wait_for 5 all_told
	before="$(map h3 epoch) $(map h3 seq) $(map h3 since_ns)"
	kill_agent h1
	start_agent h1 && wait_for 10 cluster_connected h1 h2 || fail "no connection to h2" || return 1
	[ "$before" = "$(map h3 epoch) $(map h3 seq) $(map h3 since_ns)" ] ||
		fail "epoch, seq, since: $before before, $(map h3 epoch) $(map h3 seq) $(map h3 since_ns) after" || return 1
	# What the map says is what the agent lives by: nobody is dialled, and the return is heard.
	knell_on h1 -j conn show | jq -e 'all(.peer != "h3")' >/dev/null ||
		fail "a dead peer is dialled" || return 1
	stream_is_whole && bring_back_h3 && stream_is_whole
}

# The agent is killed at different moments of a detection; the next one finishes what it began.
killed_while_detecting() {
	local delay epoch
	fresh_cluster || return 1
	for delay in "$@"; do
		epoch=$(map h3 epoch)
		lab cut h3 >/dev/null
		sleep "$delay" # a moment to be hit, not one to be waited for
		kill_agent h1
		start_agent h1 && wait_for 15 cluster_is h1 h3 dead ||
			fail "killed $delay s after the cut: h3 is $(cluster_state h1 h3)" || return 1
		wait_for 5 dead_is_told "$((epoch + 1))" || fail "killed $delay s after the cut: never told" || return 1
		stream_is_whole && bring_back_h3 && stream_is_whole || return 1
	done
}

fell_without_agent() {
	local lines
	fresh_cluster && writers h1 h3 || return 1
	kill_agent h1
	lines=$(told | wc -l)
	lab cut h3 >/dev/null
	wait_for 15 cluster_is h1 h3 dead || fail "two plain connections: $(evidence h3)" || return 1
	[ "$(told | wc -l)" -eq "$lines" ] || fail "somebody told without an agent" || return 1
	start_agent h1 && wait_for 5 dead_is_told "$(map h3 epoch)" || fail "not told after the restart" || return 1
	stream_is_whole && bring_back_h3 && stream_is_whole
}

link_while_away() {
	fresh_cluster || return 1
	lab linkdown h1 >/dev/null
	wait_for 5 cluster_is h1 h2 isolated || fail "h1 is $(cluster_state h1 h2), not isolated" || return 1
	kill_agent h1
	lab linkup h1 >/dev/null
	start_agent h1 && wait_for 20 cluster_whole || fail "the restarted agent still sees no link" || return 1
	stream_is_whole
}

orderly_stop() {
	local pid
	fresh_cluster || return 1
	pid=$(agent_pid h1)
	kill -TERM "$pid"
	wait_for 5 is_gone "$pid" || fail "does not stop" || return 1
	[ ! -e "$cluster_dir/h1.sock" ] || fail "leaves its socket behind" || return 1
	[ -e "$(cluster_pins h1)/peers" ] || fail "takes the detector with it" || return 1
	start_agent h1 && wait_for 10 cluster_whole && stream_is_whole
}

counted() {
	local now
	now=$(map "$1" "$2")
	[ "$now" -ge "$3" ]
}

no_agent_at_all() {
	local host retransmissions connections
	fresh_cluster || return 1
	for host in $(cluster_all); do
		kill_agent "$host"
	done
	[ "$(knell_on h1 -j peer show | jq '.peers | length')" -eq 2 ] || fail "peer show" || return 1
	connections=$(map h2 connections)
	writers h1 h2 && wait_for 5 counted h2 connections $((connections + 2)) ||
		fail "connections of plain programs are not counted: $(map h2 connections)" || return 1
	retransmissions=$(map h2 retransmissions)
	lab loss h2 20 >/dev/null
	wait_for 20 counted h2 retransmissions $((retransmissions + 3)) ||
		fail "retransmissions of plain programs are not counted: $(map h2 retransmissions)" || return 1
	lab clear h2 >/dev/null
	wait_for 20 cluster_is h1 h2 alive || fail "h2 is $(cluster_state h1 h2)" || return 1
	writers h1 h3 || return 1
	lab cut h3 >/dev/null
	wait_for 15 cluster_is h1 h3 dead || fail "the cut: $(evidence h3)" || return 1
	cluster_is h1 h2 alive || wait_for 5 cluster_is h1 h2 alive || fail "h2 is blamed: $(cluster_state h1 h2)"
}

all_delays_s="0.05 0.1 0.15 0.2 0.25 0.3 0.4 0.5 0.6"
read -ra delays_s <<<"$(in_mode "0.15 0.4" "$all_delays_s" "$all_delays_s")"

run "restarts in a calm: nothing lost, nothing told twice" quiet_restarts "$(in_mode 2 10 20)"
run "a dead peer stays dead across a restart, with its epoch and since; its return is heard" dead_stays_dead
run "killed while a peer is dying: the next agent finishes it, no verdict lost or repeated" \
	killed_while_detecting "${delays_s[@]}"
run "a verdict that fell while no agent ran is told by the next one" fell_without_agent
run "the link came back while no agent ran: the next one sees it" link_while_away
run "an orderly stop removes the socket and leaves the detector" orderly_stop
run "no agent anywhere: plain programs are counted, and their cut is noticed" no_agent_at_all
finish
