#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_cost.sh - what knell costs: the kernel's part in ns, the agent's part in CPU and memory with 2,
# 50 and 500 peers, and other people's throughput and latency with and without it.
#
# The kernel keeps the books itself (sysctl kernel.bpf_stats_enabled), only while they are read: they
# cost something too.
. "$(dirname "$0")/common.sh"
need_root_and_lab
{ [ -n "$(command -v iperf3)" ] && [ -n "$(command -v sockperf)" ]; } ||
	skip_all "iperf3 or sockperf is missing: tools/setup"

readonly BPFTOOL=/usr/sbin/bpftool
readonly BOOKS=/proc/sys/kernel/bpf_stats_enabled
readonly LIMIT_PERCENT=1

books_were=
spawned=()
wire_namespaces=()

books_open() {
	books_were=$(cat "$BOOKS")
	echo 1 >"$BOOKS"
}

books_close() {
	[ -z "$books_were" ] || echo "$books_were" >"$BOOKS"
	books_were=
}

everything_down() {
	local pid namespace
	books_close
	for pid in "${spawned[@]}"; do
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	spawned=()
	[ ! -d "$(cluster_pins wire)" ] || wire_unload
	for namespace in "${wire_namespaces[@]}"; do
		ip netns del "$namespace"
	done
	wire_namespaces=()
	cluster_down
}
trap everything_down EXIT

# ---- the kernel's part ----

# spent HOST PROGRAM: its run time in ns and its runs so far.
spent() {
	local id
	id=$("$BPFTOOL" -j link show pinned "$(cluster_pins "$1")/link_$2" | jq .prog_id)
	"$BPFTOOL" -j prog show id "$id" | jq -r '"\(.run_time_ns // 0) \(.run_cnt // 0)"'
}

# watched_retransmissions HOST: KNELL_STAT_RETRANSMIT, summed over the CPUs.
watched_retransmissions() {
	"$BPFTOOL" -j map lookup pinned "$(cluster_pins "$1")/stats" key 0 0 0 0 |
		jq '[.formatted.values[].value] | add'
}

# Two hosts whose detectors look at the sockets of their own host only: others' runs are not ours.
counted_up() {
	local host tree
	tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	cluster_up 2 lan || return 1
	for host in h1 h2; do
		stop_agent "$host" || return 1
		"$KNELL_BUILD/knell" --pin "$(cluster_pins "$host")" unload >/dev/null
		knell_on "$host" load --cgroup "$tree/knell-lab-$CLUSTER_NAME/$host" >/dev/null
		cluster_start_host "$host" || return 1
	done
	wait_for 20 cluster_whole
}

gone() {
	! kill -0 "$1"
}

stop_agent() {
	local pid
	pid=$(cat "$cluster_dir/$1.pid")
	kill "$pid"
	wait_for 10 gone "$pid"
}

# What one retransmission costs up to the record in the ring. The tracepoint is the machine's, so the
# time spent on passing others' over is in the figure too: it is an upper bound.
event_to_verdict() {
	local cuts=$1 i cut before after seen ns=()
	counted_up || fail "no cluster" || return 1
	books_open
	for ((i = 0; i < cuts; i++)); do
		read -r before _ < <(spent h1 knell_retransmit)
		seen=$(watched_retransmissions h1)
		cut=$(lab cut h2 | jq .cut_ns)
		wait_for 5 cluster_said h1 h2 dead "$cut" ||
			wait_for 1 cluster_said h1 h2 isolated "$cut" || fail "h1 says nothing" || return 1
		read -r after _ < <(spent h1 knell_retransmit)
		seen=$(($(watched_retransmissions h1) - seen))
		[ "$seen" -gt 0 ] || fail "no retransmission was counted" || return 1
		ns+=($(((after - before) / seen)))
		cluster_reboot h2 >/dev/null
		wait_for 20 cluster_whole || fail "the cluster does not heal" || return 1
	done
	books_close
	figure event_to_verdict_ns lan "retransmission, upper bound" ns "${ns[@]}"
}

# ping_pong SECONDS: how many round trips h1 made with h2 on one connection.
ping_pong() {
	lab exec h1 sockperf ping-pong --tcp -i "$(lab addr h2)" -p 9100 -t "$1" --mps max |
		sed -n 's/.*\[Total Run\].*ReceivedMessages=\([0-9]*\).*/\1/p'
}

answers_on() {
	lab exec h1 nc -z "$(lab addr h2)" "$1"
}

round_trips() {
	local seconds=$1 repeats=$2 i ns runs ns_after runs_after trips per_trip=() per_run=()
	lab spawn h2 /dev/null sockperf server --tcp -i "$(lab addr h2)" -p 9100 >/dev/null
	wait_for 5 answers_on 9100 || fail "sockperf does not answer" || return 1
	books_open
	for ((i = 0; i < repeats; i++)); do
		read -r ns runs < <(spent h1 knell_tune)
		trips=$(ping_pong "$seconds")
		read -r ns_after runs_after < <(spent h1 knell_tune)
		[ "${trips:-0}" -gt 0 ] || fail "no round trips" || return 1
		per_trip+=("$(awk -v r=$((runs_after - runs)) -v t="$trips" 'BEGIN { printf "%.3f\n", r / t }')")
		per_run+=($(((ns_after - ns) / (runs_after - runs))))
	done
	books_close
	figure sock_ops_per_round_trip lan "TCP ping-pong" runs "${per_trip[@]}"
	figure sock_ops_ns lan "TCP ping-pong" ns "${per_run[@]}"
	at_most "$(printf '%s\n' "${per_trip[@]}" | percentile 50)" 2.1 "sock_ops per round trip"
}

# ---- the agent's part ----

# many_cert NAME PREFIX COUNT: one certificate that may speak for PREFIX1 to PREFIXn.
many_cert() {
	local names
	names=$(seq -f "DNS:$2%.0f" -s , 1 "$3")
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
		-keyout "$cluster_dir/$1.key" -out "$cluster_dir/$1.csr" 2>/dev/null &&
		openssl x509 -req -in "$cluster_dir/$1.csr" -CA "$cluster_dir/ca.pem" \
			-CAkey "$cluster_dir/ca.key" -CAcreateserial -days 1 \
			-extfile <(echo "subjectAltName=$names") -out "$cluster_dir/$1.pem" 2>/dev/null
}

# alias NET NUMBER: the NUMBERth address of 10.NET.0.0/16.
alias_addr() {
	echo "10.$1.$(($2 / 200)).$(($2 % 200 + 1))"
}

# many_config HOST PREFIX NET COUNT: its peers are PREFIX1 to PREFIXn at the aliases of 10.NET.
many_config() {
	local i
	echo "[node]"
	echo "name = $1"
	echo "listen = 0.0.0.0:7400"
	echo "link = eth0"
	echo "pin = $(cluster_pins "$1")"
	echo "socket = $cluster_dir/$1.sock"
	echo "[tls]"
	echo "cert = $cluster_dir/$1.pem"
	echo "key = $cluster_dir/$1.key"
	echo "ca = $cluster_dir/ca.pem"
	for ((i = 1; i <= $4; i++)); do
		echo "[peer $2$i]"
		echo "address = $(alias_addr "$3" "$i"):7400"
	done
}

# Each alias of one host talks to the alias of the same number of the other.
many_addresses() {
	local count=$1 i
	for ((i = 1; i <= count; i++)); do
		echo "addr add $(alias_addr 78 "$i")/32 dev eth0"
		echo "route add $(alias_addr 79 "$i")/32 via $(lab addr h2) src $(alias_addr 78 "$i")"
	done | lab exec h1 ip -batch -
	for ((i = 1; i <= count; i++)); do
		echo "addr add $(alias_addr 79 "$i")/32 dev eth0"
		echo "route add $(alias_addr 78 "$i")/32 via $(lab addr h1) src $(alias_addr 79 "$i")"
	done | lab exec h2 ip -batch -
}

# beating HOST COUNT: heartbeat connections that are ready.
beating() {
	knell_on "$1" -j conn show |
		jq -e --argjson count "$2" '[.[] | select(.role == "heartbeat" and .state == "ready")] | length >= $count' >/dev/null
}

cpu_ns() {
	awk '{ s += $1 } END { printf "%.0f\n", s }' /proc/"$1"/task/*/schedstat
}

# h1 is measured; h2 plays all of its peers, and each of them pings h1 as a peer would.
agent_cost() {
	local count=$1 seconds=$2 repeats=$3 i pid before began cpu=() rss=()
	cluster_hosts=2
	cluster_dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-$CLUSTER_NAME.XXXXXX")
	lab up 2 >/dev/null && "$KNELL_BUILD/knell" cert ca "$cluster_dir" >/dev/null &&
		many_cert h1 a "$count" && many_cert h2 b "$count" && many_addresses "$count" ||
		fail "no hosts with $count addresses" || return 1
	many_config h1 b 79 "$count" >"$cluster_dir/h1.conf"
	many_config h2 a 78 "$count" >"$cluster_dir/h2.conf"
	cluster_start_host h2 && cluster_start_host h1 || fail "no agents" || return 1
	wait_for 60 beating h1 "$count" && wait_for 60 beating h2 "$count" ||
		fail "not all $count peers come together" || return 1
	pid=$(cat "$cluster_dir/h1.pid")
	for ((i = 0; i < repeats; i++)); do
		began=$(now_ns)
		before=$(cpu_ns "$pid")
		sleep "$seconds"
		cpu+=("$(awk -v c=$(($(cpu_ns "$pid") - before)) -v t=$(($(now_ns) - began)) \
			'BEGIN { printf "%.3f\n", 100 * c / t }')")
		rss+=("$(awk '/^VmRSS/ { printf "%.2f\n", $2 / 1024 }' "/proc/$pid/status")")
	done
	cluster_down
	figure agent_cpu_percent lan "idle, $count peers" "% of a CPU" "${cpu[@]}"
	figure agent_rss_mib lan "idle, $count peers" MiB "${rss[@]}"
}

# ---- other people's part ----

# A cable of our own, without the lab's limits: full segments, nothing in between.
wire_up() {
	local a=$CLUSTER_NAME-wire1 b=$CLUSTER_NAME-wire2
	ip netns add "$a" && wire_namespaces+=("$a") && ip netns add "$b" && wire_namespaces+=("$b") &&
		ip link add cost0 netns "$a" type veth peer name cost0 netns "$b" &&
		ip -n "$a" addr add 10.81.0.1/24 dev cost0 && ip -n "$b" addr add 10.81.0.2/24 dev cost0 &&
		ip -n "$a" link set cost0 up && ip -n "$b" link set cost0 up || return 1
	nsenter --net="/run/netns/$b" taskset -c 1 iperf3 -s >/dev/null 2>&1 &
	spawned+=($!)
	nsenter --net="/run/netns/$b" taskset -c 1 sockperf server --tcp -i 10.81.0.2 -p 9100 >/dev/null 2>&1 &
	spawned+=($!)
	wait_for 5 on_wire nc -z 10.81.0.2 5201 && wait_for 5 on_wire nc -z 10.81.0.2 9100
}

on_wire() {
	nsenter --net="/run/netns/$CLUSTER_NAME-wire1" "$@"
}

# Both ends are watched, as they are on real hosts.
wire_load() {
	"$KNELL_BUILD/knell" --pin "$(cluster_pins wire)" load --all-netns >/dev/null &&
		"$KNELL_BUILD/knell" --pin "$(cluster_pins wire)" watch add 10.81.0.0/24 >/dev/null
}

wire_unload() {
	"$KNELL_BUILD/knell" --pin "$(cluster_pins wire)" unload >/dev/null
	rmdir "$(dirname "$(cluster_pins wire)")" 2>/dev/null || true
}

throughput() {
	on_wire taskset -c 0 iperf3 -c 10.81.0.2 -t 1 -J | jq '.end.sum_received.bits_per_second / 1e9'
}

latency() {
	on_wire taskset -c 0 sockperf ping-pong --tcp -i 10.81.0.2 -p 9100 -t 1 --mps max 2>/dev/null |
		sed -n 's/.*Latency is \([0-9.]*\) usec.*/\1/p'
}

# paired MEASURE PAIRS: ABBA order, so that a drift of the machine falls on both alike. Fills the
# arrays without and with.
paired() {
	local i value
	for ((i = 0; i < $2; i++)); do
		if [ $((i % 2)) -eq 0 ]; then
			value=$("$1") && without+=("$value") && wire_load && value=$("$1") && with+=("$value") || return 1
		else
			value=$("$1") && with+=("$value") && wire_unload && value=$("$1") && without+=("$value") || return 1
		fi
	done
	[ $(($2 % 2)) -eq 0 ] || wire_unload
}

# changes SIGN: for each pair, how many percent worse it is with knell. SIGN 1: more is worse.
changes() {
	local i
	for i in "${!without[@]}"; do
		awk -v a="${without[i]}" -v b="${with[i]}" -v s="$1" 'BEGIN { printf "%.3f\n", s * 100 * (b / a - 1) }'
	done
}

# The 95 % interval of the median (sign test) of the numbers on standard input: its two ends.
median_interval() {
	sort -g | awk '{ v[NR] = $1 }
		END { i = int(NR / 2 - 0.98 * sqrt(NR)); if (i < 1) i = 1; print v[i], v[NR + 1 - i] }'
}

# compare MEASURE NAME UNIT SIGN PAIRS: within the limit, beyond it, or, on a machine that has other
# things to do, neither shown: then it is skipped, since a wide interval is no proof of anything.
compare() {
	local with=() without=() worse=() low high
	paired "$1" "$5" || fail "$1 could not be measured" || return 1
	mapfile -t worse < <(changes "$4")
	figure "$2" "" "without knell" "$3" "${without[@]}"
	figure "$2" "" "with knell" "$3" "${with[@]}"
	figure "$2_worse_percent" "" "in pairs" % "${worse[@]}"
	read -r low high < <(printf '%s\n' "${worse[@]}" | median_interval)
	echo "# $2: 95 % interval of the pairs' median, worse with knell: $low to $high %"
	at_most "$low" "$LIMIT_PERCENT" "$2, percent worse with knell" || return 1
	at_most "$high" "$LIMIT_PERCENT" "" && return 0
	why="not decided: the median is $low to $high % worse, too wide for $LIMIT_PERCENT %"
	return 77
}

cuts=$(in_mode 2 20 20)
run "a retransmission is judged in the kernel ($cuts cuts)" event_to_verdict "$cuts"
run "sock_ops runs about once per round trip" round_trips "$(in_mode 1 2 2)" "$(in_mode 2 5 5)"
cluster_down
counts=(2 50)
[ "$KNELL_MODE" = check ] || counts+=(500)
for count in "${counts[@]}"; do
	run "the agent idles with $count peers" agent_cost "$count" "$(in_mode 2 10 10)" "$(in_mode 2 3 3)"
	cluster_down
done
pairs=$(in_mode 6 60 60)
if wire_up; then
	run "throughput loses at most $LIMIT_PERCENT % ($pairs pairs)" compare throughput throughput_gbit Gbit/s -1 "$pairs"
	run "latency grows by at most $LIMIT_PERCENT % ($pairs pairs)" compare latency latency_us us 1 "$pairs"
fi
finish
