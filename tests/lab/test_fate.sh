#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_fate.sh - power-off against kill -9. A host that lost its power is dead; one that lost its
# agent still answers, by refusing, and is degraded. Told apart by state and by reason.
#
# shellcheck disable=SC2119,SC2317 # run calls the cases by name
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/span.sh"
need_root_and_lab

readonly GONE="host answers, nobody listens"
span_s=$(in_mode 4 60 60)

# reason_of HOST PEER: of the verdict that stands.
reason_of() {
	knell_on "$1" -j peer show "$(cluster_addr "$2")" | jq -r '.peers[0].reason'
}

# conns_with HOST PEER: how many the cache holds that are not just being tried.
conns_with() {
	knell_on "$1" -j conn show |
		jq --arg peer "$2" 'map(select(.peer == $peer and .state != "connecting")) | length'
}

has_no_conns() {
	[ "$(conns_with "$1" "$2")" -eq 0 ]
}

# verdict_ms HOST STATE: from the start of the span to HOST's first such word of h3.
verdict_ms() {
	since_ms "$(cluster_event "$1" h3 "$2" "$began_ns")" "$began_ns"
}

power_off() {
	local host dead_ms=()
	cluster_up 3 lan || fail "no cluster" || return 1
	span_begin
	lab cut h3 >/dev/null
	for host in h1 h2; do
		wait_for 5 cluster_is "$host" h3 dead || fail "$host does not say dead" || return 1
		dead_ms+=("$(verdict_ms "$host" dead)")
		wait_for 2 has_no_conns "$host" h3 || fail "$host keeps its connections" || return 1
	done
	span_hold "$span_s"
	for host in h1 h2; do
		cluster_is "$host" h3 dead || fail "$host says $(cluster_state "$host" h3)" || return 1
		case $(reason_of "$host" h3) in
		*unanswered) ;;
		*) fail "$host gives the reason $(reason_of "$host" h3)" || return 1 ;;
		esac
	done
	[ "$(span_said degraded)" -eq 0 ] || fail "h3 was called degraded" || return 1
	figure dead_ms lan "power-off" ms "${dead_ms[@]}"
	cluster_reboot h3 >/dev/null
	wait_for 10 cluster_whole || fail "the cluster does not heal"
}

# kill_9 agent|all: h3's agent, or every process it runs; its kernel and its cable stay.
kill_9() {
	local host degraded_ms=() case="kill -9 of $1"
	cluster_up 3 lan || fail "no cluster" || return 1
	[ "$1" = agent ] || lab spawn h3 /dev/null nc -lk "$(lab addr h3)" 9000 >/dev/null
	span_begin
	if [ "$1" = agent ]; then
		kill -KILL "$(cat "$cluster_dir/h3.pid")"
	else
		lab exec h3 bash -c 'pids() { ss -Htlnp | grep -o "pid=[0-9]*" | cut -d= -f2 | sort -u; }
			pids | xargs kill -KILL'
	fi
	for host in h1 h2; do
		wait_for 5 cluster_is "$host" h3 degraded ||
			fail "$host says $(cluster_state "$host" h3)" || return 1
		degraded_ms+=("$(verdict_ms "$host" degraded)")
		wait_for 2 has_no_conns "$host" h3 || fail "$host keeps its connections" || return 1
	done
	span_hold "$span_s"
	for host in h1 h2; do
		cluster_is "$host" h3 degraded || fail "$host says $(cluster_state "$host" h3)" || return 1
		[ "$(reason_of "$host" h3)" = "$GONE" ] ||
			fail "$host gives the reason $(reason_of "$host" h3)" || return 1
	done
	figure degraded_ms lan "$case" ms "${degraded_ms[@]}"
	[ "$(span_said lost)" -eq 0 ] && [ "$(span_said dead)" -eq 0 ] ||
		fail "a living host is buried: $(span_mistakes)" || return 1
	cluster_agent h3
	wait_for 10 cluster_whole || fail "the cluster does not heal" || return 1
	span_still_notices lan "$case"
}

run "power-off: dead, for want of an answer" power_off
cluster_down
run "kill -9 of the agent: degraded, \"$GONE\"" kill_9 agent
cluster_down
run "kill -9 of all that listens: degraded, \"$GONE\"" kill_9 all
finish
