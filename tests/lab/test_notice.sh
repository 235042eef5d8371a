#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_notice.sh - must notice: a host loses power, and both survivors say so in time. Each cut is a
# true power-off (port off the bridge first, then the processes are killed), then the host reboots.
. "$(dirname "$0")/common.sh"
need_root_and_lab

# One cut of h3; appends to lost_ms, dead_ms, react_ms and return_ms. With p99 over few cuts being
# the maximum, every single one must be in time.
one_cut() {
	local cut rebooted host stamp
	cut=$(lab cut h3 | jq .cut_ns)
	for host in h1 h2; do
		wait_for 5 cluster_said "$host" h3 dead "$cut" || fail "$host never says dead" || return 1
		stamp=$(cluster_event "$host" h3 dead "$cut")
		dead_ms+=("$(since_ms "$stamp" "$cut")")
		stamp=$(cluster_event "$host" h3 lost "$cut")
		lost_ms+=("$(since_ms "${stamp:-$(cluster_event "$host" h3 dead "$cut")}" "$cut")")
		react_ms+=("$(jq -rn --argjson cut "$cut" \
			'first(inputs | select(.peer == "h3" and .to == "dead" and .ts_ns > $cut) | .reaction_us / 1000)' \
			"$cluster_dir/$host.events")")
	done
	rebooted=$(cluster_reboot h3 | jq .join_ns)
	wait_for 10 cluster_connected h1 h3 && wait_for 10 cluster_connected h2 h3 ||
		fail "h3 is not taken back" || return 1
	return_ms+=("$(since_ms "$(now_ns)" "$rebooted")")
	wait_for 10 cluster_whole || fail "the cluster does not heal"
}

# traffic KIND: what the hosts are doing when the power goes. h3's part dies with it.
traffic_pid=
traffic() {
	case $1 in
	idle) ;;
	message)
		lab spawn h3 /dev/null nc -lk "$(lab addr h3)" 9000 >/dev/null
		wait_for 5 lab exec h1 nc -z "$(lab addr h3)" 9000
		traffic_pid=$(lab spawn h1 /dev/null bash -c \
			"while printf x; do sleep 0.01; done | nc $(lab addr h3) 9000")
		;;
	bulk)
		lab spawn h3 /dev/null iperf3 -s -B "$(lab addr h3)" >/dev/null
		wait_for 5 lab exec h1 nc -z "$(lab addr h3)" 5201
		traffic_pid=$(lab spawn h1 /dev/null iperf3 -c "$(lab addr h3)" -t 30)
		;;
	connect)
		lab spawn h3 /dev/null nc -lk "$(lab addr h3)" 9001 >/dev/null
		traffic_pid=$(lab spawn h1 /dev/null bash -c \
			"while :; do nc -z -w 1 $(lab addr h3) 9001; done")
		;;
	esac
}

# The survivor's part is a loop of short commands: end it with its whole session.
end_traffic() {
	[ -z "$traffic_pid" ] || kill -9 -- "-$traffic_pid" 2>/dev/null
	traffic_pid=
}

# notice PROFILE TRAFFIC CUTS LOST_LIMIT_MS DEAD_LIMIT_MS
notice() {
	local profile=$1 kind=$2 cuts=$3 lost_limit=$4 dead_limit=$5 i
	local lost_ms=() dead_ms=() react_ms=() return_ms=()
	cluster_up 3 "$profile" || fail "no cluster" || return 1
	for ((i = 0; i < cuts; i++)); do
		traffic "$kind"
		one_cut || return 1
		end_traffic
	done
	cluster_down
	figure lost_ms "$profile" "$kind" ms "${lost_ms[@]}"
	figure dead_ms "$profile" "$kind" ms "${dead_ms[@]}"
	figure reaction_ms "$profile" "$kind" ms "${react_ms[@]}"
	figure return_ms "$profile" "$kind" ms "${return_ms[@]}"
	at_most "$(printf '%s\n' "${lost_ms[@]}" | percentile 99)" "$lost_limit" "lost p99 ms" &&
		at_most "$(printf '%s\n' "${dead_ms[@]}" | percentile 99)" "$dead_limit" "dead p99 ms" &&
		at_most "$(printf '%s\n' "${return_ms[@]}" | percentile 99)" 2000 "return p99 ms"
}

# usage: test_notice.sh [idle|message|bulk|connect|fast|rack]...: all if nothing is named.
cuts=$(in_mode 2 20 20)
read -ra kinds <<<"${*:-idle message bulk connect fast rack}"
for kind in "${kinds[@]}"; do
	case $kind in
	fast) run "fast, idle: dead within 350 ms ($cuts cuts)" notice fast idle "$cuts" 350 350 ;;
	rack) run "rack, idle: lost within 70 ms, dead within 130 ms ($cuts cuts)" \
		notice rack idle "$cuts" 70 130 ;;
	*) run "lan, $kind: lost within 300 ms, dead within 650 ms, back within 2 s ($cuts cuts)" \
		notice lan "$kind" "$cuts" 300 650 ;;
	esac
	cluster_down
done
finish
