#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# bench_bfd.sh - knell next to FRR's BFD, on the same hosts and in the same cuts: knell `rack` against
# BFD 50 ms x 3, `lan` against BFD's default of 300 ms x 3; then how often each of them, and BFD
# 10 ms x 3, says of a living peer that it is gone while 4 busy loops sit on the CPUs.
#
# bfdd and its zebra run inside the lab's hosts with a directory of their own, so nothing of an FRR
# on this machine is touched. bfdd stamps its log with the wall clock in us; reading both clocks at each cut
# brings that to the clock of the cut, to within half a millisecond.
. "$(dirname "$0")/../lab/common.sh"
need_root_and_lab

readonly FRR_PROGRAMS=/usr/lib/frr
readonly FRR_LEFTOVERS=/var/tmp/frr # one directory per process, where it would put a backtrace
[ -x "$FRR_PROGRAMS/bfdd" ] || skip_all "no bfdd: install frr"

bfd_dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-bfd.XXXXXX")
chmod 755 "$bfd_dir"
bfd_pids=()
load_pids=()

# bfd_config HOST SESSIONS: each session is FAMILY:INTERVAL_MS, to every other host.
bfd_config() {
	local host=$1 other session
	echo "log file $bfd_dir/$host/bfdd.log debugging"
	echo "log timestamp precision 6"
	echo "debug bfd peer"
	echo "bfd"
	for other in $(cluster_others "$host"); do
		for session in $2; do
			echo " peer $(lab addr "$other" "${session%:*}") local-address $(lab addr "$host" "${session%:*}")"
			echo "  detect-multiplier 3"
			echo "  receive-interval ${session#*:}"
			echo "  transmit-interval ${session#*:}"
		done
	done
}

# bfd_spawn HOST PROGRAM MORE...
bfd_spawn() {
	local dir=$bfd_dir/$1 program=$2
	bfd_pids+=("$(lab spawn "$1" "$dir/$program.out" "$FRR_PROGRAMS/$program" -f "$dir/$program.conf" \
		-i "$dir/$program.pid" -z "$dir/zserv.api" --vty_socket "$dir" -P 0 "${@:3}")")
}

# bfd_start HOST SESSIONS
bfd_start() {
	local host=$1 dir=$bfd_dir/$1
	mkdir -p "$dir"
	rm -f "$dir"/*.vty "$dir"/*.pid "$dir"/*.api "$dir"/*.sock
	: >"$dir/zebra.conf"
	bfd_config "$host" "$2" >"$dir/bfdd.conf"
	touch "$dir/bfdd.log"
	chown -R frr:frr "$dir"
	bfd_spawn "$host" zebra
	wait_for 10 [ -S "$dir/zserv.api" ] || return 1
	bfd_spawn "$host" bfdd --bfdctl "$dir/bfdd.sock"
}

# bfd_up HOST COUNT: so many of its sessions are up.
bfd_up() {
	vtysh --vty_socket "$bfd_dir/$1" -d bfdd -c 'show bfd peers json' |
		jq -e --argjson count "$2" '[.[] | select(.status == "up")] | length == $count' >/dev/null
}

# bfd_all_up SESSIONS_PER_PEER
bfd_all_up() {
	local host
	for host in $(cluster_all); do
		bfd_up "$host" $(($1 * (cluster_hosts - 1))) || return 1
	done
}

bfd_down() {
	local pid
	for pid in "${bfd_pids[@]}"; do
		kill -9 "$pid" 2>/dev/null || true
		rm -rf "$FRR_LEFTOVERS"/*."$pid"
	done
	bfd_pids=()
}

# load_up PLACE: 4 busy loops. On the hosts they share the hosts' part of the CPUs with the detectors;
# beside them, each is a session of its own, and the scheduler shields the hosts from it.
load_up() {
	local i loop='while :; do :; done'
	for ((i = 0; i < 4; i++)); do
		if [ "$1" = on ]; then
			load_pids+=("$(lab spawn "h$((i % cluster_hosts + 1))" /dev/null sh -c "$loop")")
		else
			setsid sh -c "$loop" &
			load_pids+=($!)
		fi
	done
}

load_down() {
	[ ${#load_pids[@]} -gt 0 ] || return 0
	kill -9 "${load_pids[@]}" 2>/dev/null || true
	wait "${load_pids[@]}" 2>/dev/null || true
	load_pids=()
}

everything_down() {
	load_down
	cluster_down
	bfd_down
	rm -rf "$bfd_dir"
}
trap everything_down EXIT

# bfd_lines HOST: of its log, to be told from those that come later.
bfd_lines() {
	wc -l <"$bfd_dir/$1/bfdd.log"
}

# bfd_said HOST PEER LINES: the first line, after so many, in which the session with PEER expires.
bfd_said() {
	tail -n "+$(($3 + 1))" "$bfd_dir/$1/bfdd.log" | grep -F "peer:$(lab addr "$2" 4) " |
		grep -m 1 -F 'up -> down reason:control-expired'
}

# What to take from the wall clock, in ns, to get the monotonic one: the narrowest of a few looks.
clock_gap_ns() {
	local i before now after best=0 gap=0
	for ((i = 0; i < 10; i++)); do
		before=${EPOCHREALTIME/./}
		now=$(now_ns)
		after=${EPOCHREALTIME/./}
		if [ "$best" -eq 0 ] || [ $((after - before)) -lt "$best" ]; then
			best=$((after - before))
			gap=$(((before + after) * 500 - now))
		fi
	done
	echo "$gap"
}

# bfd_stamp_ns LINE GAP_NS: a log line begins with day and time.
bfd_stamp_ns() {
	local day time
	read -r day time _ <<<"$1"
	echo $(($(date -d "$day $time" +%s%N) - $2))
}

# One cut of h3, seen by knell and by BFD; appends to lost_ms, dead_ms and bfd_ms.
one_cut() {
	local cut gap host stamp
	local -A lines=()
	for host in h1 h2; do
		lines[$host]=$(bfd_lines "$host")
	done
	gap=$(clock_gap_ns)
	cut=$(lab cut h3 | jq .cut_ns)
	for host in h1 h2; do
		wait_for 5 cluster_said "$host" h3 dead "$cut" || fail "$host: knell never says dead" || return 1
		wait_for 5 bfd_said "$host" h3 "${lines[$host]}" >/dev/null ||
			fail "$host: BFD never says down" || return 1
		stamp=$(cluster_event "$host" h3 dead "$cut")
		dead_ms+=("$(since_ms "$stamp" "$cut")")
		stamp=$(cluster_event "$host" h3 lost "$cut")
		lost_ms+=("$(since_ms "${stamp:-$(cluster_event "$host" h3 dead "$cut")}" "$cut")")
		stamp=$(bfd_stamp_ns "$(bfd_said "$host" h3 "${lines[$host]}")" "$gap")
		bfd_ms+=("$(since_ms "$stamp" "$cut")")
	done
}

# restore_h3 SESSIONS
restore_h3() {
	cluster_reboot h3 >/dev/null
	bfd_start h3 "$1" || fail "bfdd does not start" || return 1
	wait_for 20 cluster_whole || fail "the cluster does not heal" || return 1
	wait_for 20 bfd_all_up 1 || fail "BFD does not heal"
}

# start_both PROFILE SESSIONS COUNT
start_both() {
	local host
	cluster_up 3 "$1" || fail "no cluster" || return 1
	for host in $(cluster_all); do
		bfd_start "$host" "$2" || fail "bfdd does not start on $host" || return 1
	done
	wait_for 20 bfd_all_up "$3" || fail "the BFD sessions do not come up"
}

stop_both() {
	cluster_down
	bfd_down
}

# side_by_side PROFILE INTERVAL_MS CUTS: knell's median must be the lower one.
side_by_side() {
	local profile=$1 interval=$2 cuts=$3 i
	local lost_ms=() dead_ms=() bfd_ms=()
	start_both "$profile" "4:$interval" 1 || return 1
	for ((i = 0; i < cuts; i++)); do
		one_cut && restore_h3 "4:$interval" || return 1
	done
	stop_both
	figure lost_ms "$profile" "beside BFD" ms "${lost_ms[@]}"
	figure dead_ms "$profile" "beside BFD" ms "${dead_ms[@]}"
	figure bfd_down_ms "${interval}x3" "beside $profile" ms "${bfd_ms[@]}"
	at_most "$(printf '%s\n' "${dead_ms[@]}" | percentile 50)" \
		"$(printf '%s\n' "${bfd_ms[@]}" | percentile 50)" "median of dead against BFD's down, ms"
}

# knell_mistakes AFTER_NS: statements, on any host, that a peer is lost or dead.
knell_mistakes() {
	local host other state count=0
	for host in $(cluster_all); do
		for other in $(cluster_others "$host"); do
			for state in lost dead; do
				count=$((count + $(verdicts "$host" "$other" "$state" "$1")))
			done
		done
	done
	echo "$count"
}

# bfd_mistakes FAMILY: since the logs were emptied; what follows from the other side's is not one.
# Fails when a log is missing: no log is not the same as no mistake.
bfd_mistakes() {
	local host logs=() which=peer:10.77.
	[ "$1" = 4 ] || which=peer:fd77:
	for host in $(cluster_all); do
		[ -r "$bfd_dir/$host/bfdd.log" ] || return 1
		logs+=("$bfd_dir/$host/bfdd.log")
	done
	awk -v which="$which" '/up -> down reason:control-expired/ && index($0, which) { n++ } END { print n + 0 }' "${logs[@]}"
}

# under_load PLACE PROFILE SECONDS: BFD 50 ms x 3 runs on IPv4 and 10 ms x 3 on IPv6 meanwhile.
under_load() {
	local place=$1 profile=$2 seconds=$3 began host knell slow fast
	local case="4 busy loops $place the hosts, $seconds s"
	start_both "$profile" "4:50 6:10" 2 || return 1
	for host in $(cluster_all); do
		: >"$bfd_dir/$host/bfdd.log"
	done
	began=$(now_ns)
	load_up "$place"
	sleep "$seconds"
	load_down
	knell=$(knell_mistakes "$began")
	slow=$(bfd_mistakes 4) && fast=$(bfd_mistakes 6) || fail "a log of BFD's is gone" || return 1
	wait_for 20 bfd_all_up 2 || fail "BFD does not run any more" || return 1
	stop_both
	figure false_statements "$profile" "$case" count "$knell"
	figure false_statements "BFD 50x3" "$case, beside $profile" count "$slow"
	figure false_statements "BFD 10x3" "$case, beside $profile" count "$fast"
	[ "$knell" -eq 0 ] || fail "knell made $knell mistakes"
}

cuts_part() {
	local cuts
	cuts=$(in_mode 2 20 20)
	run "rack is faster than BFD 50 ms x 3 ($cuts cuts)" side_by_side rack 50 "$cuts"
	stop_both
	run "lan is faster than BFD 300 ms x 3 ($cuts cuts)" side_by_side lan 300 "$cuts"
	stop_both
}

load_part() {
	local seconds
	seconds=$(in_mode 10 60 600)
	run "rack makes no mistake with 4 busy loops on the hosts ($seconds s)" under_load on rack "$seconds"
	stop_both
	run "lan makes no mistake with 4 busy loops on the hosts ($seconds s)" under_load on lan "$seconds"
	stop_both
	run "rack makes no mistake with 4 busy loops beside the hosts ($seconds s)" under_load beside rack "$seconds"
	stop_both
}

# usage: bench_bfd.sh [cuts] [load]: both if nothing is named.
read -ra parts <<<"${*:-cuts load}"
for part in "${parts[@]}"; do
	"${part}_part"
done
finish
