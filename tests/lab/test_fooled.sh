#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_fooled.sh - must not be fooled: whatever happens to packets, processors and programs, nobody
# is called lost or dead as long as its host lives. Each case has a fresh cluster, so that none
# inherits another's patience, and ends with a power-off that must be noticed.
#
# shellcheck disable=SC2016,SC2317 # jq has variables too; run calls the cases by name
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/span.sh"
need_root_and_lab

readonly GOOD_MS=1000 # mean time between bursts
readonly STORE_PORT=9000
readonly RSTS_PER_PAIR=$((1 << 17)) # one per 32 KiB of sequence space: less than any window here
readonly LOOPS=4

span_s=$(in_mode 5 60 60)
learn_s=$(in_mode 15 30 30)
rack_span_s=$(in_mode 5 60 600)
# A starved or stopped observer is tried with a clean path too where there is time for it.
observer_loss=$(in_mode "5" "0 5" "0 5")
loop_pids=()
load_pids=()

# busy_begin: LOOPS processes that compete with everything. They end by themselves if this is killed.
busy_begin() {
	local i
	for ((i = 0; i < LOOPS; i++)); do
		setsid timeout $((rack_span_s + 60)) bash -c 'while :; do :; done' &
		loop_pids+=($!)
	done
}

busy_end() {
	local pid
	for pid in "${loop_pids[@]}"; do
		kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	loop_pids=()
}

# load HOST COMMAND...: in the background on HOST, until the case ends.
load() {
	load_pids+=("$(lab spawn "$1" /dev/null "${@:2}")")
}

load_end() {
	local pid
	for pid in "${load_pids[@]}"; do
		kill -KILL -- "-$pid" 2>/dev/null
	done
	load_pids=()
}

clean_up() {
	busy_end
	load_end
	cluster_down
}
trap clean_up EXIT

# not_fooled TEXT FUNCTION ARGS...: one case on a cluster of its own.
not_fooled() {
	run "$@"
	clean_up
}

# ---- the path ----

# lossy PERCENT
lossy() {
	local case="loss $1 %"
	cluster_up 3 lan || fail "no cluster" || return 1
	span_begin
	lab loss h3 "$1" >/dev/null
	span_hold "$span_s"
	wait_for 30 span_had_evidence
	lab clear h3 >/dev/null
	span_figures lan "$case" && span_had_evidence && span_still_notices lan "$case"
}

# bursty PROFILE MEAN_MS LEARN_S: a burst of exp(50 ms) outlasts 270 ms once in 220, so whoever says
# `lost` within 300 ms must first have learnt that this path has them; `safe` expects them.
bursty() {
	local profile=$1 case="bursts of $2 ms"
	cluster_up 3 "$profile" || fail "no cluster" || return 1
	lab burst h3 "$2" "$GOOD_MS" >/dev/null
	span_hold "$3"
	span_begin
	span_hold "$span_s"
	wait_for 30 span_had_evidence
	span_figures "$profile" "$case" && span_had_evidence || return 1
	lab clear h3 >/dev/null
	span_still_notices "$profile" "$case"
}

# heartbeat_of HOST PEER FIELD: of the ready heartbeat connection.
heartbeat_of() {
	knell_on "$1" -j conn show | jq -r --arg peer "$2" --arg field "$3" \
		'map(select(.peer == $peer and .role == "heartbeat" and .state != "connecting"))[0][$field] // empty'
}

has_new_heartbeat() {
	local id
	id=$(heartbeat_of h1 h3 id)
	[ -n "$id" ] && [ "$id" != "$1" ]
}

# said_stalled NODE PEER
said_stalled() {
	[ "$(span_events 'map(select(.event == "stalled" and .node == $node and .peer == $peer)) | length' \
		--arg node "$1" --arg peer "$2")" -gt 0 ]
}

one_tuple_dropped() {
	local case="one 5-tuple dropped" id port
	cluster_up 3 lan || fail "no cluster" || return 1
	id=$(heartbeat_of h1 h3 id)
	port=$(heartbeat_of h1 h3 local_port)
	span_begin
	lab tuple h3 "$(lab addr h1)" "$port" "$(lab addr h3)" 7400 >/dev/null
	wait_for 10 said_stalled h1 h3 || fail "h1 does not say that a connection stalled" || return 1
	figure stalled_ms lan "$case" ms "$(since_ms \
		"$(span_events 'map(select(.event == "stalled" and .node == "h1"))[0].ts_ns')" "$began_ns")"
	wait_for 5 has_new_heartbeat "$id" || fail "no new heartbeat connection" || return 1
	! knell_on h1 -j conn show | jq -e --argjson id "$id" 'map(select(.id == $id)) | length > 0' \
		>/dev/null || fail "the stalled connection is still in the cache" || return 1
	span_hold "$span_s"
	# The fault is still there: the new connection has another port.
	# Who is late for h2 as well, whose connections are whole, is late indeed: a machine with no time.
	[ "$(span_said degraded h1 h3)" -le "$(span_said degraded h2 h3)" ] &&
		[ "$(span_said degraded h3 h1)" -le "$(span_said degraded h2 h1)" ] ||
		fail "a program is blamed for it" || return 1
	span_figures lan "$case" && span_had_evidence && span_still_notices lan "$case"
}

# deafened HOST: a connection of HOST went deaf, as dense ones do beside a heartbeat.
deafened() {
	[ "$(knell_on "$1" -j peer dump | jq .stats.sockets_deafened)" -gt 0 ]
}

# from_map HOST PEER FIELD: as the pinned maps have it, with or without an agent.
from_map() {
	knell_on "$1" -j peer show "$(lab addr "$2")" | jq --arg field "$3" '.peers[0][$field]'
}

# Evidence enough for `dead`, on two five-tuples at least.
would_bury() {
	[ "$(from_map h1 h3 phi_md)" -ge 12000 ] && [ "$(from_map h1 h3 tuples)" -ge 2 ] &&
		[ "$(from_map h1 h3 unanswered)" -ge 4 ]
}

# Half of the paths break, the heartbeats' among them, and the agents of both ends, which could ask on
# the other half, stand still. What still flows is a stream that knell does not listen to, so the kernel side
# must wait for somebody to look.
half_the_paths() {
	local case="half of the paths broken, agents stopped" agents port
	cluster_up 3 lan || fail "no cluster" || return 1
	mapfile -t agents < <(cat "$cluster_dir"/h[13].pid)
	load h3 sockperf server --tcp -i "$(lab addr h3)" -p 9100
	for port in 9001 9002; do
		load h3 nc -lk "$(lab addr h3)" "$port"
		wait_for 5 lab exec h1 nc -z "$(lab addr h3)" "$port" || fail "h3 does not listen" || return 1
		load h1 bash -c "exec 3<>/dev/tcp/$(lab addr h3)/$port; while printf x >&3; do sleep 0.05; done"
	done
	wait_for 5 lab exec h1 nc -z "$(lab addr h3)" 9100 || fail "sockperf does not listen" || return 1
	load h1 sockperf ping-pong --tcp -i "$(lab addr h3)" -p 9100 -t $((span_s + 60)) --mps max
	wait_for 10 deafened h1 || fail "no connection goes deaf" || return 1
	lab exec h1 ss -Htn dst "$(lab addr h3)" | awk '{ sub(/.*:/, "", $4); sub(/.*:/, "", $5); print $4, $5 }' |
		grep -v ' 9100$' >"$cluster_dir/broken"
	span_begin
	kill -STOP "${agents[@]}"
	while read -r -a port; do
		lab tuple h3 "$(lab addr h1)" "${port[0]}" "$(lab addr h3)" "${port[1]}" >/dev/null
	done <"$cluster_dir/broken"
	wait_for 10 would_bury || why="phi $(from_map h1 h3 phi_md), no temptation"
	span_hold 2
	[ "$(from_map h1 h3 state)" = '"suspect"' ] || why="h1 says $(from_map h1 h3 state), ${why:-too}"
	kill -CONT "${agents[@]}"
	[ -z "$why" ] || return 1
	span_figures lan "$case" && span_had_evidence || return 1
	load_end
	span_still_notices lan "$case"
}

# ---- the peer ----

peer_frozen() {
	local case="peer's agent stopped" host
	cluster_up 3 lan || fail "no cluster" || return 1
	span_begin
	lab freeze h3 >/dev/null
	for host in h1 h2; do
		wait_for 5 span_has_said degraded "$host" h3 ||
			fail "$host does not say degraded" || return 1
	done
	span_hold "$span_s"
	for host in h1 h2; do
		cluster_is "$host" h3 degraded ||
			fail "$host says $(cluster_state "$host" h3) before the thaw" || return 1
	done
	lab thaw h3 >/dev/null
	for host in h1 h2; do
		wait_for 5 cluster_is "$host" h3 alive || fail "$host does not take h3 back" || return 1
	done
	span_figures lan "$case" && span_still_notices lan "$case"
}

# The sender's kernel probes a window that stays shut.
window_is_shut() {
	lab exec h1 ss -Htno dst "$(lab addr h3)" dport = ":$STORE_PORT" | grep -q 'ESTAB.*timer:(persist'
}

# A program that stops reading: netcat waits for its full pipe, and the kernel shuts the window.
peer_window_shut() {
	local case="peer's window shut"
	cluster_up 3 lan || fail "no cluster" || return 1
	load h3 bash -c "nc -l -I 4096 $(lab addr h3) $STORE_PORT | sleep infinity"
	wait_for 5 lab exec h3 sh -c "ss -Htnl sport = :$STORE_PORT | grep -q ." ||
		fail "nobody listens" || return 1
	span_begin
	load h1 bash -c "exec nc $(lab addr h3) $STORE_PORT </dev/zero"
	wait_for 10 window_is_shut || fail "the window does not shut" || return 1
	span_hold "$span_s"
	window_is_shut || fail "the stream was killed, or moves again" || return 1
	span_figures lan "$case" && span_still_notices lan "$case"
}

# ---- the observer ----

throttled() {
	local file
	for file in /sys/fs/cgroup{,/cpu,/cpu,cpuacct,/unified}/"knell-lab-$CLUSTER_NAME/h1/cpu.stat"; do
		[ ! -r "$file" ] || awk '$1 == "nr_throttled" { print $2 }' "$file"
	done | sort -n | tail -n 1
}

# observer_starved LOSS_PERCENT: h1's agent shares 5 % of a processor with a busy loop.
observer_starved() {
	local case="observer at 5 % CPU, loss $1 %" before
	cluster_up 3 lan || fail "no cluster" || return 1
	span_begin
	load h1 timeout $((span_s + 60)) bash -c 'while :; do :; done'
	before=$(throttled)
	lab starve h1 5 >/dev/null
	[ "$1" -eq 0 ] || lab loss h3 "$1" >/dev/null
	span_hold "$span_s"
	lab clear h3 >/dev/null
	lab starve h1 none >/dev/null
	load_end
	[ "$(throttled)" -gt "${before:-0}" ] || fail "h1 was not throttled" || return 1
	span_figures lan "$case" || return 1
	[ "$1" -eq 0 ] || span_had_evidence || return 1
	span_still_notices lan "$case"
}

# observer_stopped LOSS_PERCENT: h1's agent stands still for 3 s, again and again.
observer_stopped() {
	local case="observer stopped 3 s, loss $1 %" stops=$(((span_s + 4) / 5)) i
	cluster_up 3 lan || fail "no cluster" || return 1
	span_begin
	[ "$1" -eq 0 ] || lab loss h3 "$1" >/dev/null
	for ((i = 0; i < stops; i++)); do
		lab freeze h1 >/dev/null
		span_hold 3
		lab thaw h1 >/dev/null
		wait_for 5 cluster_answers h1 || fail "h1's agent does not answer again" || return 1
		span_hold 1
	done
	lab clear h3 >/dev/null
	span_figures lan "$case" || return 1
	[ "$1" -eq 0 ] || span_had_evidence || return 1
	[ "$(span_said degraded h2 h1)" -gt 0 ] || fail "h2 did not see h1 standing still" || return 1
	span_still_notices lan "$case"
}

# machine_busy PROFILE SECONDS
machine_busy() {
	local profile=$1 seconds=$2 case="$LOOPS busy loops" pid
	cluster_up 3 "$profile" || fail "no cluster" || return 1
	span_begin
	busy_begin
	span_hold "$seconds"
	for pid in "${loop_pids[@]}"; do
		kill -0 "$pid" 2>/dev/null || fail "a busy loop ended early" || return 1
	done
	busy_end
	span_figures "$profile" "$case" && span_still_notices "$profile" "$case"
}

# ---- the attacker ----

can_forge() {
	[ ! -x "$KNELL_BUILD/lab_rst" ] || return 0
	why="$KNELL_BUILD/lab_rst is not built: make tests"
	return 77
}

# forge FROM PORT TO PORT COUNT: blind RSTs from h2, which is neither; counts them.
rsts=0
forge() {
	local line
	line=$(lab exec h2 "$KNELL_BUILD/lab_rst" "$(lab addr "$1")" "$2" "$(lab addr "$3")" "$4" "$5") ||
		return 1
	rsts=$((rsts + $(jq .sent <<<"$line")))
}

# challenges HOST: how often RFC 5961 answered an RST that was in the window, but not exact.
challenges() {
	lab exec "$1" cat /proc/net/netstat | awk '$1 == "TcpExt:" && !n { n = split($0, name) ; next }
		$1 == "TcpExt:" { for (i = 2; i <= n; i++) if (name[i] == "TCPChallengeACK") print $i }'
}

# HOST's own ports of its cached connections with PEER.
ports_with() {
	knell_on "$1" -j conn show | jq -r --arg peer "$2" '.[] | select(.peer == $peer) | .local_port'
}

rst_against_the_living() {
	local case="blind RSTs, peer alive" before after pair deadline count=$RSTS_PER_PAIR
	can_forge || return
	cluster_up 3 lan || fail "no cluster" || return 1
	before=$(knell_on h1 -j conn show | jq -c 'map(.id)')
	lab exec h1 ss -Htn dst "$(lab addr h3)" | awk '{ sub(/.*:/, "", $4); sub(/.*:/, "", $5); print $4, $5 }' \
		>"$cluster_dir/pairs"
	span_begin h1
	rsts=0
	deadline=$((SECONDS + span_s))
	until [ "$SECONDS" -ge "$deadline" ] && [ "$rsts" -gt 0 ]; do
		while read -r -a pair; do
			forge h3 "${pair[1]}" h1 "${pair[0]}" "$count" &&
				forge h1 "${pair[0]}" h3 "${pair[1]}" "$count" ||
				fail "cannot forge RSTs" || return 1
		done <"$cluster_dir/pairs"
		# Once is enough to be in every window; again and again would hit the one number at last.
		count=1000
	done
	after=$(knell_on h1 -j conn show | jq -c 'map(.id)')
	echo "# $case: $rsts RSTs, $(challenges h1) challenged by h1, $(challenges h3) by h3"
	[ "$(span_passed)" -ge $((rsts / 2)) ] || fail "the RSTs do not arrive" || return 1
	[ "$(challenges h1)" -gt 0 ] && [ "$(challenges h3)" -gt 0 ] ||
		fail "no RST fell into a window" || return 1
	[ "$before" = "$after" ] || fail "connections changed from $before to $after" || return 1
	span_figures lan "$case" && span_still_notices lan "$case"
}

rst_for_the_dead() {
	local case="blind RSTs, peer dead" cut resets range port deadline
	can_forge || return
	cluster_up 3 lan || fail "no cluster" || return 1
	ports_with h1 h3 >"$cluster_dir/ports"
	cut=$(lab cut h3 | jq .cut_ns)
	wait_for 5 cluster_said h1 h3 dead "$cut" && wait_for 5 cluster_said h2 h3 dead "$cut" ||
		fail "h3 is not dead" || return 1
	resets=$(knell_on h1 -j peer show "$(lab addr h3)" | jq '.peers[0].resets')
	span_begin h1
	rsts=0
	while read -r port; do
		forge h3 7400 h1 "$port" 1000 || fail "cannot forge RSTs" || return 1
	done <"$cluster_dir/ports"
	# The probes knock from fresh ports, a quarter of a second each: try every port there is.
	range=$(lab exec h1 cat /proc/sys/net/ipv4/ip_local_port_range)
	deadline=$((SECONDS + span_s))
	while [ "$SECONDS" -lt "$deadline" ]; do
		forge h3 7400 h1 "${range/$'\t'/-}" 2 || fail "cannot forge RSTs" || return 1
	done
	echo "# $case: $rsts RSTs"
	[ "$(span_passed)" -ge "$rsts" ] || fail "the RSTs do not arrive" || return 1
	figure false_alive lan "$case" count "$(span_said alive h1 h3)"
	cluster_is h1 h3 dead && [ "$(span_said alive h1 h3)" -eq 0 ] ||
		fail "forged RSTs revive h3: $(cluster_state h1 h3)" || return 1
	[ "$(knell_on h1 -j peer show "$(lab addr h3)" | jq '.peers[0].resets')" -eq "$resets" ] ||
		fail "a forged RST was taken for one of h3's" || return 1
	[ "$(span_said lost)" -eq 0 ] && [ "$(span_said dead)" -eq 0 ] ||
		fail "somebody else suffers: $(span_mistakes)" || return 1
	cluster_reboot h3 >/dev/null
	wait_for 10 cluster_is h1 h3 alive || fail "h3 itself is not taken back"
}

for percent in 1 5 10; do
	not_fooled "i.i.d. loss of $percent % both ways: nobody lost or dead in $span_s s" lossy "$percent"
done
not_fooled "bursts of 50 ms, one a second, safe: nobody lost or dead in $span_s s" bursty safe 50 0
not_fooled "bursts of 50 ms, one a second, lan, after $learn_s s of them: nobody lost or dead in $span_s s" \
	bursty lan 50 "$learn_s"
not_fooled "one 5-tuple dropped: that connection is evicted, its peer lives" one_tuple_dropped
not_fooled "half of the paths broken, agents stopped: a stream that flows counts" half_the_paths
not_fooled "peer's agent stopped: degraded, then alive" peer_frozen
not_fooled "peer's window shut for $span_s s: nobody lost or dead" peer_window_shut
for percent in $observer_loss; do
	not_fooled "observer at 5 % CPU, $percent % loss: nobody lost or dead in $span_s s" \
		observer_starved "$percent"
	not_fooled "observer stopped for 3 s, $percent % loss: nobody lost or dead" \
		observer_stopped "$percent"
done
not_fooled "$LOOPS busy loops, lan: nobody lost or dead in $span_s s" machine_busy lan "$span_s"
not_fooled "$LOOPS busy loops, rack: nobody lost or dead in $rack_span_s s" machine_busy rack "$rack_span_s"
not_fooled "blind RSTs at every connection: none breaks, nobody lost or dead" rst_against_the_living
not_fooled "blind RSTs for a dead peer: it stays dead until it is back" rst_for_the_dead
finish
