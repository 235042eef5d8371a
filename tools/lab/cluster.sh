# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# cluster.sh - a whole cluster of knelld in the lab. Sourced by tools/demo, tests/lab and tests/bench.
#
# Every host runs its own instance (own pins, own agent); `knell -j event` follows each of them into
# a file, one JSON object per line, stamped by the kernel's monotonic clock, which the lab's cut uses
# too. Programs of a host reach its agent by gRPC at HOST.grpc, and others as the client `tester`.
# Set CLUSTER_NAME before sourcing to have several side by side. cluster_down removes all of it
# and is safe to call at any moment.

cluster_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
KNELL_BUILD=${KNELL_BUILD:-$cluster_root/build}
export KNELL_BUILD
CLUSTER_NAME=${CLUSTER_NAME:-knell$$}
cluster_dir=
cluster_hosts=0
cluster_family=4
declare -A cluster_follower=()

lab() {
	"$cluster_root/tools/lab/lab" --name "$CLUSTER_NAME" "$@"
}

now_ns() {
	"$KNELL_BUILD/knell-wire" now
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; 1 when the deadline passes first.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.02
	done
}

cluster_pins() {
	echo "/sys/fs/bpf/knell-$CLUSTER_NAME/$1"
}

# knell_on HOST ARGS...: the command line, looking at that host's instance and agent.
knell_on() {
	local host=$1
	shift
	lab exec "$host" "$KNELL_BUILD/knell" --pin "$(cluster_pins "$host")" \
		--socket "$cluster_dir/$host.sock" "$@"
}

cluster_others() {
	local i
	for ((i = 1; i <= cluster_hosts; i++)); do
		[ "h$i" = "$1" ] || echo "h$i"
	done
}

cluster_all() {
	cluster_others none
}

cluster_addr() {
	local addr
	case $cluster_family in
	4) lab addr "$1" 4 ;;
	6) lab addr "$1" 6 ;;
	mapped) echo "::ffff:$(lab addr "$1" 4)" ;;
	esac
}

cluster_endpoint() {
	local addr
	addr=$(cluster_addr "$1")
	case $addr in
	*:*) echo "[$addr]:7400" ;;
	*) echo "$addr:7400" ;;
	esac
}

# cluster_config HOST PROFILE PER_PEER [EXTRA LINES FOR [node]]; a function cluster_more HOST, where there
# is one, prints further sections.
cluster_config() {
	local host=$1 profile=$2 per_peer=$3 extra=${4:-} other
	{
		echo "[node]"
		echo "name = $host"
		echo "listen = $(cluster_endpoint "$host")"
		echo "profile = $profile"
		echo "pin = $(cluster_pins "$host")"
		echo "socket = $cluster_dir/$host.sock"
		[ -z "$extra" ] || echo "$extra"
		echo "[tls]"
		echo "cert = $cluster_dir/$host.pem"
		echo "key = $cluster_dir/$host.key"
		echo "ca = $cluster_dir/ca.pem"
		echo "[cache]"
		echo "per_peer = $per_peer"
		echo "[grpc]"
		echo "local = $cluster_dir/$host.grpc"
		echo "client = tester"
		for other in $(cluster_others "$host"); do
			echo "[peer $other]"
			echo "address = $(cluster_endpoint "$other")"
		done
		! declare -F cluster_more >/dev/null || cluster_more "$host"
	} >"$cluster_dir/$host.conf"
}

cluster_agent() {
	lab spawn "$1" "$cluster_dir/$1.log" "$KNELL_BUILD/knelld" -c "$cluster_dir/$1.conf" \
		>"$cluster_dir/$1.pid"
}

# Follows HOST's events into HOST.events; the follower lives outside the host, so no cut kills it.
cluster_follow() {
	local host=$1
	"$KNELL_BUILD/knell" -j --pin "$(cluster_pins "$host")" --socket "$cluster_dir/$host.sock" \
		event >>"$cluster_dir/$host.events" 2>>"$cluster_dir/$host.follow" &
	cluster_follower[$host]=$!
}

cluster_answers() {
	knell_on "$1" -j conn show >/dev/null
}

# cluster_connected HOST OTHER: HOST has a ready heartbeat connection to OTHER and hears it.
cluster_connected() {
	knell_on "$1" -j conn show |
		jq -e --arg peer "$2" 'map(select(.peer == $peer and .role == "heartbeat" and .state != "connecting")) | length > 0' >/dev/null
}

cluster_state() {
	knell_on "$1" -j peer show "$(cluster_addr "$2" | sed 's/^::ffff://')" | jq -r '.peers[0].state'
}

cluster_is() {
	[ "$(cluster_state "$1" "$2")" = "$3" ]
}

cluster_whole() {
	local a b
	for a in $(cluster_all); do
		for b in $(cluster_others "$a"); do
			cluster_connected "$a" "$b" && cluster_is "$a" "$b" alive || return 1
		done
	done
}

cluster_start_host() {
	cluster_agent "$1"
	wait_for 10 cluster_answers "$1" || {
		echo "agent of $1 does not answer:" >&2
		cat "$cluster_dir/$1.log" >&2
		return 1
	}
	cluster_follow "$1"
}

# cluster_up HOSTS [PROFILE] [PER_PEER] [FAMILY: 4, 6 or mapped]: all agents run, all are connected.
cluster_up() {
	local profile=${2:-lan} per_peer=${3:-1} host
	cluster_hosts=$1
	cluster_family=${4:-4}
	cluster_dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-$CLUSTER_NAME.XXXXXX")
	lab up "$cluster_hosts" >/dev/null
	"$KNELL_BUILD/knell" cert ca "$cluster_dir" >/dev/null
	"$KNELL_BUILD/knell" cert node "$cluster_dir" tester >/dev/null # a client that is no node
	for host in $(cluster_all); do
		"$KNELL_BUILD/knell" cert node "$cluster_dir" "$host" \
			"$(lab addr "$host" 4)" "$(lab addr "$host" 6)" >/dev/null
		cluster_config "$host" "$profile" "$per_peer"
	done
	for host in $(cluster_all); do
		cluster_start_host "$host" || return 1
	done
	wait_for 20 cluster_whole || {
		echo "the cluster does not come together:" >&2
		tail -n 5 "$cluster_dir"/h*.log >&2
		return 1
	}
}

# cluster_reboot HOST: a machine that comes back has lost its kernel's state, the detector included.
# Prints the lab's line with the moment its port was joined again.
cluster_reboot() {
	"$KNELL_BUILD/knell" --pin "$(cluster_pins "$1")" unload >/dev/null
	lab reboot "$1"
	cluster_agent "$1"
}

cluster_down() {
	local host
	for host in "${!cluster_follower[@]}"; do
		kill "${cluster_follower[$host]}" 2>/dev/null || true
		wait "${cluster_follower[$host]}" 2>/dev/null || true
	done
	cluster_follower=()
	lab down >/dev/null 2>&1 || true
	for host in "/sys/fs/bpf/knell-$CLUSTER_NAME"/*; do
		[ -d "$host" ] && "$KNELL_BUILD/knell" --pin "$host" unload >/dev/null
	done
	rmdir "/sys/fs/bpf/knell-$CLUSTER_NAME" 2>/dev/null || true
	[ -z "$cluster_dir" ] || rm -rf "$cluster_dir"
	cluster_dir=
}

# cluster_event HOST PEER STATE [AFTER_NS]: stamp of the first such verdict after that moment.
cluster_event() {
	jq -rn --arg peer "$2" --arg to "$3" --argjson after "${4:-0}" \
		'first(inputs | select(.peer == $peer and .to == $to and .event == "verdict" and .ts_ns > $after) | .ts_ns) // empty' \
		"$cluster_dir/$1.events"
}

cluster_said() {
	[ -n "$(cluster_event "$@")" ]
}
