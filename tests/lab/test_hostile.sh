#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_hostile.sh - h3 has a valid certificate and bad manners: it floods, lies about lengths, sends
# heads without end or nothing at all, as a client of h1 and as the server that h1 dials and calls.
# h1 must end it with the right error, in bounded memory, and h2 must not feel any of it.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/grpc.sh"
need_root_and_lab

readonly MEMORY_LIMIT_KIB=$((16 << 10)) # more than before the attack, at any moment of it
readonly REQUESTS_KIB=$((16 << 10))     # of requests that are not whole, which a node holds
readonly CONNECTION_KIB=64              # for each of the connections that it keeps
readonly CONTROL_PORT=7499
readonly OTHERS_LIMIT_MS=250 # p99 of h2's calls to h1
readonly INFO_LIMIT_MS=2500
readonly PATIENT="mute mute-tcp"
readonly CROWD=connections # what is freed after that would hide what another attack takes

agent=0 # h1's
load=0
began=0

is_gone() {
	! kill -0 "$1"
}

# memory_kib FIELD: VmRSS or VmHWM of h1's agent.
memory_kib() {
	awk -v field="$1:" '$1 == field { print $2 }' "/proc/$agent/status"
}

forget_peak() {
	echo 5 >"/proc/$agent/clear_refs"
}

start() {
	local pid
	cluster_up 3 lan || fail "no cluster" || return 1
	agent=$(cat "$cluster_dir/h1.pid")
	pid=$(cat "$cluster_dir/h3.pid")
	kill "$pid"
	wait_for 10 is_gone "$pid" || fail "the agent of h3 does not stop" || return 1
	by_tls h1
	load=$(js_spawn h2 load "$cluster_dir/load" "${where[@]}" 20)
	wait_for 10 has_line "$cluster_dir/load" '.event == "running"' || fail "h2 cannot call h1" || return 1
	began=$(now_ns)
}

# bounded BEFORE_KIB [HELD_KIB]: the peak since forget_peak; so much more where that is what is held.
bounded() {
	local more=$(($(memory_kib VmHWM) - $1))
	peaks+=("$more")
	at_most "$more" "$((MEMORY_LIMIT_KIB + ${2:-0}))" "memory while attacked, KiB more"
}

still_there() {
	! is_gone "$agent" 2>/dev/null || fail "the agent of h1 is gone" || return 1
	cluster_is h1 h2 alive || fail "h1 says h2 is $(cluster_state h1 h2)"
}

# as_client ATTACK [HELD_KIB]: one connection to h1.
as_client() {
	local before report
	before=$(memory_kib VmRSS)
	forget_peak
	report=$(js h3 hostile client "$(cluster_endpoint h1)" h1 "$cluster_dir" h3 "$1") ||
		fail "the attack fails" || return 1
	[ "$(jq -r .wrong <<<"$report")" = "" ] || fail "$report" || return 1
	bounded "$before" "${2:-0}" && still_there
}

# As many connections as h1 keeps, and some; the memory for them is no figure of an attack's.
as_crowd() {
	local peaks=() kept
	kept=$(js h3 hostile limit)
	as_client "$CROWD" "$((kept * CONNECTION_KIB))" || return 1
	echo "# $kept connections: $((peaks[0] / kept)) KiB each"
	[ "$(grep -c "connections open already" "$cluster_dir/h1.log")" -eq 1 ] ||
		fail "a storm of connections is one of log lines"
}

# Those who say nothing are given time, which others need not wait for.
begin_patient() {
	local attack
	for attack in $PATIENT; do
		js_spawn h3 hostile "$cluster_dir/$attack" client "$(cluster_endpoint h1)" h1 "$cluster_dir" h3 \
			"$attack" >/dev/null
	done
}

is_apart() {
	[[ " $PATIENT $CROWD " == *" $1 "* ]]
}

held_kib() {
	[ "$1" = messages-unfinished ] && echo "$REQUESTS_KIB"
}

# as_patient_client ATTACK: one that was begun before.
as_patient_client() {
	wait_for 20 [ -s "$cluster_dir/$1" ] || fail "the attack does not end" || return 1
	[ "$(jq -r .wrong "$cluster_dir/$1")" = "" ] || fail "$(cat "$cluster_dir/$1")" || return 1
	at_most 9000 "$(jq .lived_ms "$cluster_dir/$1")" "a slow stranger's time, ms" && still_there
}

order() {
	lab exec h3 nc -N 127.0.0.1 "$CONTROL_PORT" <<<"$1"
}

# has_met: the node has met the attack to its end; asking for the cluster's state makes h1 call h3.
has_met() {
	local from
	from=$(now_ns)
	info=$(knell_on h1 -j cluster info) || return 1
	info_ms+=("$(since_ms "$(now_ns)" "$from")")
	report=$(order report)
	[ "$(jq -r .wrong <<<"$report")" = "" ]
}

# as_server ATTACK: h1 dials, and calls.
as_server() {
	local before report='' info='{}'
	before=$(memory_kib VmRSS)
	forget_peak
	order "$1" >/dev/null || fail "no hostile server" || return 1
	wait_for 15 has_met || fail "$report" || return 1
	jq -e '[.servers[].name] | sort == ["h1", "h2", "h3"]' <<<"$info" >/dev/null ||
		fail "cluster info: $info" || return 1
	jq -e '.servers[] | select(.name == "h2") | .state == "online"' <<<"$info" >/dev/null ||
		fail "h2 suffers: $info" || return 1
	bounded "$before" && still_there || return 1
	echo "# $1: $(jq -r '.servers[] | select(.name == "h3") | "h3 is \(.state), \(.reason)"' <<<"$info")"
}

start_server() {
	js_spawn h3 hostile "$cluster_dir/hostile" server "$(cluster_endpoint h3)" "$cluster_dir" h3 \
		"$CONTROL_PORT" >"$cluster_dir/hostile.pid"
	wait_for 10 has_line "$cluster_dir/hostile" '.event == "listening"' ||
		fail "no hostile server: $(cat "$cluster_dir/hostile")"
}

# Through all of it: h2's calls were answered, and nobody said that a host was lost.
others_unaffected() {
	local summary host other
	end "$load"
	summary=$(grep '"done"' "$cluster_dir/load") || fail "h2's load ended early" || return 1
	echo "# h2's calls to h1 meanwhile: $summary"
	[ "$(jq .failed <<<"$summary")" -eq 0 ] || fail "h2's calls failed: $summary" || return 1
	at_most "$(jq .p99 <<<"$summary")" "$OTHERS_LIMIT_MS" "p99 of h2's calls, ms" || return 1
	for host in h1 h2; do
		for other in $(cluster_others "$host"); do
			[ "$(verdicts "$host" "$other" lost "$began")" -eq 0 ] &&
				[ "$(verdicts "$host" "$other" dead "$began")" -eq 0 ] ||
				fail "$host calls $other lost or dead, which only behaves badly" || return 1
		done
	done
	at_most "$(printf '%s\n' "${info_ms[@]}" | percentile 100)" "$INFO_LIMIT_MS" "slowest cluster info, ms"
}

# With its manners h3 gets its place back.
forgiven() {
	end "$(cat "$cluster_dir/hostile.pid")"
	cluster_agent h3
	wait_for 30 cluster_whole || fail "h3 behaves and is not taken back"
}

attacks() {
	js h3 hostile list "$1" | jq -r '.[]'
}

peaks=()
info_ms=()
run "three nodes, one of which turns hostile" start
begin_patient
for attack in $(attacks client); do
	is_apart "$attack" || run "as a client: $attack" as_client "$attack" "$(held_kib "$attack")"
done
for attack in $PATIENT; do
	run "as a client: $attack" as_patient_client "$attack"
done
run "a hostile server" start_server
for attack in $(attacks server); do
	run "as a server: $attack" as_server "$attack"
done
run "as a client: $CROWD" as_crowd
figure hostile_kib lan "more memory than before an attack" KiB "${peaks[@]}"
run "others are unaffected" others_unaffected
run "h3 is taken back" forgiven
finish
