#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_ring.sh - the verdict ring overruns: a ring of one page, an agent that does not read, and a
# storm of verdicts about many addresses. What did not fit is counted, and repaired from the map.
. "$(dirname "$0")/common.sh"
need_root_and_lab

RING_BYTES=4096
ADDRESSES=60 # two verdicts each are more than the ring holds: 4096 / 128 bytes
FIRST=101    # their last byte

cluster_agent() {
	lab spawn "$1" "$cluster_dir/$1.log" "$KNELL_BUILD/knelld" -v -c "$cluster_dir/$1.conf" \
		>"$cluster_dir/$1.pid"
}

# small_ring_cluster: h1's detector has the small ring, and watches h3's many addresses too.
small_ring_cluster() {
	local host config
	cluster_down
	cluster_up 3 lan 1 || fail "no cluster" || return 1
	kill_agent
	"$KNELL_BUILD/knell" --pin "$(cluster_pins h1)" unload >/dev/null
	config=$(sed "s/^\[tls\]/ring_bytes = $RING_BYTES\n[tls]/" "$cluster_dir/h1.conf")
	echo "$config" >"$cluster_dir/h1.conf"
	: >"$cluster_dir/h1.log"
	start_agent && wait_for 10 cluster_whole || fail "no cluster with a small ring" || return 1
	knell_on h1 watch add 10.77.0.0/24 >/dev/null
	for ((host = FIRST; host < FIRST + ADDRESSES; host++)); do
		echo "addr add 10.77.0.$host/32 dev eth0"
	done | lab exec h3 ip -batch -
	wait_for 20 all_answer || fail "the many addresses do not answer"
}

# knock SECONDS: connect to every address, which has nobody listening, and wait no longer for it.
knock() {
	lab exec h1 bash -c "for ((h = $FIRST; h < $((FIRST + ADDRESSES)); h++)); do
		nc -z -w $1 10.77.0.\$h 9 & done >/dev/null 2>&1 </dev/null"
}

# A machine that is short of time may let a knock time out.
all_answer() {
	knock 1
	sleep 1
	all_in alive
}

kill_agent() {
	local pid
	pid=$(cat "$cluster_dir/h1.pid")
	kill -9 "$pid"
	wait_for 5 is_gone "$pid"
}

is_gone() {
	! kill -0 "$1" || grep -q '^State:.*Z' "/proc/$1/status"
}

start_agent() {
	cluster_agent h1
	wait_for 10 cluster_answers h1 || fail "the agent of h1 does not start"
}

# The maps alone: a stopped agent is not asked for names.
dump() {
	lab exec h1 "$KNELL_BUILD/knell" -j --pin "$(cluster_pins h1)" --socket "$cluster_dir/none" peer dump
}

stat_of() {
	dump | jq ".stats.$1"
}

# map_state: "ADDRESS SEQ STATE" of every peer in h1's map.
map_state() {
	dump | jq -r '.peers[] | "\(.addr) \(.seq) \(.state)"' | sort
}

# told_state: the same, as the agent last told it.
told_state() {
	sed -nE 's/^knelld: [a-z]+: peer ([^ ]+ \()?([0-9.]+)\)?: ([a-z]+) -> ([a-z]+):.* verdict ([0-9]+).*/\2 \5 \4/p' \
		"$cluster_dir/h1.log" | awk '{ last[$1] = $0 } END { for (a in last) print last[a] }' | sort
}

told_all() {
	[ "$(map_state)" = "$(told_state)" ]
}

# repeats: verdicts told twice or out of order.
repeats() {
	sed -nE 's/^knelld: [a-z]+: peer ([^ ]+ \()?([0-9.]+)\)?: ([a-z]+) -> ([a-z]+):.* verdict ([0-9]+).*/\2 \5/p' \
		"$cluster_dir/h1.log" | awk '$2 <= seq[$1] { print } { seq[$1] = $2 }'
}

# all_in STATES: every one of the many addresses is in the map, in one of these states.
all_in() {
	dump | jq -e --arg states "$1" --argjson n "$ADDRESSES" \
		'[.peers[] | select(.addr | test("\\.1[0-9][0-9]$"))] | length == $n and
		all(.state as $s | $states | split(" ") | index($s))' >/dev/null
}

# storm: each address falls silent (its SYN is repeated) and returns (a RST answers).
storm() {
	lab oneway h3 in >/dev/null
	knock 20
	wait_for 10 all_in "suspect lost dead isolated" || fail "the storm does not rise" || return 1
	lab clear h3 >/dev/null
	wait_for 20 all_in alive || fail "the storm does not settle: $(map_state | tail -n 3 | tr '\n' ';')"
}

# overrun HOW: stop or kill, what befalls the agent while the storm rages.
overrun() {
	local pid before
	small_ring_cluster || return 1
	pid=$(cat "$cluster_dir/h1.pid")
	before=$(stat_of ring_lost)
	if [ "$1" = stop ]; then
		kill -STOP "$pid"
		storm || return 1
		kill -CONT "$pid"
	else
		kill_agent
		storm || return 1
		start_agent || return 1
	fi
	[ "$(stat_of ring_lost)" -gt "$before" ] || fail "nothing was lost: $(stat_of ring_records) records" || return 1
	wait_for 10 told_all || fail "map and agent differ: $(diff <(map_state) <(told_state) | head -n 4 | tr '\n' ';')" || return 1
	[ -z "$(repeats)" ] || fail "told twice: $(repeats | head -n 3 | tr '\n' ';')" || return 1
	grep -q 'repaired=1' "$cluster_dir/h1.log" || fail "nothing says that it was repaired" || return 1
	wait_for 20 cluster_whole || fail "the cluster does not heal" || return 1
	echo "# lost $(($(stat_of ring_lost) - before)) of $(($(stat_of ring_lost) + $(stat_of ring_records))) records, repaired $(grep -c repaired=1 "$cluster_dir/h1.log") peers"
}

run "the ring overruns while the agent is stopped: counted, repaired from the map" overrun stop
run "the ring overruns while no agent runs: the next one repairs it" overrun kill
finish
