#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_families.sh - IPv6 peers, IPv4 peers over IPv6 sockets (v4-mapped), and a cluster that mixes
# all three: connected, a cut noticed in time, taken back. test_notice.sh has plain IPv4.
. "$(dirname "$0")/common.sh"
need_root_and_lab

LOST_MS=300
DEAD_MS=650
RETURN_MS=2000

# By name: in the mixed cluster a peer has no one address.
cluster_state() {
	knell_on "$1" -j peer show "$2" | jq -r '.peers[0].state'
}

eval "$(declare -f cluster_config | sed '1s/.*/plain_config ()/')"

# endpoint HOST OTHER: h1 and h2 talk IPv4, h1 and h3 IPv6, h2 and h3 v4-mapped.
endpoint() {
	case $1$2 in
	h1h2 | h2h1) echo "$(lab addr "$2" 4):7400" ;;
	h1h3 | h3h1) echo "[$(lab addr "$2" 6)]:7400" ;;
	*) echo "[::ffff:$(lab addr "$2" 4)]:7400" ;;
	esac
}

# Everybody listens on every address of either family; which link is the node's must then be said.
mixed_config() {
	local other text
	plain_config "$@"
	text=$(sed 's/^listen = .*/listen = [::]:7400\nlink = eth0/; /^\[peer /,$d' "$cluster_dir/$1.conf")
	{
		echo "$text"
		for other in $(cluster_others "$1"); do
			echo "[peer $other]"
			echo "address = $(endpoint "$1" "$other")"
		done
	} >"$cluster_dir/$1.conf"
}

# address_of_peer HOST OTHER: as the detector of HOST has it.
address_of_peer() {
	knell_on "$1" -j peer show "$2" | jq -r '.peers[0].addr'
}

expect_addresses() {
	case $1 in
	6) [ "$(address_of_peer h1 h3)" = "$(lab addr h3 6)" ] ;;
	mapped) [ "$(address_of_peer h1 h3)" = "$(lab addr h3 4)" ] ;;
	mixed) [ "$(address_of_peer h1 h2) $(address_of_peer h1 h3) $(address_of_peer h2 h3)" = \
		"$(lab addr h2 4) $(lab addr h3 6) $(lab addr h3 4)" ] ;;
	esac || fail "h3 is known as $(address_of_peer h1 h3)"
}

one_cut() {
	local cut rebooted host stamp
	cut=$(lab cut h3 | jq .cut_ns)
	for host in h1 h2; do
		wait_for 5 cluster_said "$host" h3 dead "$cut" || fail "$host never says dead" || return 1
		stamp=$(cluster_event "$host" h3 dead "$cut")
		dead_ms+=("$(since_ms "$stamp" "$cut")")
		stamp=$(cluster_event "$host" h3 lost "$cut")
		[ -z "$stamp" ] || lost_ms+=("$(since_ms "$stamp" "$cut")")
	done
	rebooted=$(cluster_reboot h3 | jq .join_ns)
	wait_for 10 cluster_connected h1 h3 && wait_for 10 cluster_connected h2 h3 ||
		fail "h3 is not taken back" || return 1
	return_ms+=("$(since_ms "$(now_ns)" "$rebooted")")
	wait_for 10 cluster_whole || fail "the cluster does not heal"
}

# family NAME CUTS
family() {
	local i lost_ms=() dead_ms=() return_ms=()
	cluster_config() { plain_config "$@"; }
	if [ "$1" = mixed ]; then
		cluster_config() { mixed_config "$@"; }
		cluster_up 3 lan 2 || fail "no cluster" || return 1
	else
		cluster_up 3 lan 2 "$1" || fail "no cluster" || return 1
	fi
	expect_addresses "$1" || return 1
	for ((i = 0; i < $2; i++)); do
		one_cut || return 1
	done
	figure lost_ms lan "family-$1" ms "${lost_ms[@]}"
	figure dead_ms lan "family-$1" ms "${dead_ms[@]}"
	figure return_ms lan "family-$1" ms "${return_ms[@]}"
	at_most "$(printf '%s\n' "${lost_ms[@]}" | percentile 99)" "$LOST_MS" "lost p99 ms" &&
		at_most "$(printf '%s\n' "${dead_ms[@]}" | percentile 99)" "$DEAD_MS" "dead p99 ms" &&
		at_most "$(printf '%s\n' "${return_ms[@]}" | percentile 99)" "$RETURN_MS" "return p99 ms"
}

cuts=$(in_mode 1 20 20)
for name in 6 mapped mixed; do
	run "family $name: connected, lost within $LOST_MS ms, dead within $DEAD_MS ms, back within 2 s ($cuts cuts)" \
		family "$name" "$cuts"
	cluster_down
done
finish
