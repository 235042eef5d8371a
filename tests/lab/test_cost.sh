#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_cost.sh - what knell costs: the kernel's part in ns, the agent's part in CPU and memory with 2,
# 50 and 500 peers, and other people's throughput and latency with and without it.
#
# The kernel keeps the books itself (sysctl kernel.bpf_stats_enabled), only while they are read: they
# cost something too.
#
# shellcheck disable=SC2034 # arrays that functions find by their names
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
	wire_quiet
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

# round_trips CASE AT_MOST SECONDS REPEATS: how often knell runs per round trip, and for how long.
round_trips() {
	local case=$1 limit=$2 seconds=$3 repeats=$4 i ns runs ns_after runs_after trips per_trip=() per_run=()
	answers_on 9100 || lab spawn h2 /dev/null sockperf server --tcp -i "$(lab addr h2)" -p 9100 >/dev/null
	wait_for 5 answers_on 9100 || fail "sockperf does not answer" || return 1
	books_open
	for ((i = 0; i < repeats; i++)); do
		read -r ns runs < <(spent h1 knell_tune)
		trips=$(ping_pong "$seconds")
		read -r ns_after runs_after < <(spent h1 knell_tune)
		[ "${trips:-0}" -gt 0 ] || fail "no round trips" || return 1
		[ "$runs_after" -gt "$runs" ] || fail "sock_ops did not run" || return 1
		per_trip+=("$(awk -v r=$((runs_after - runs)) -v t="$trips" 'BEGIN { printf "%.4f\n", r / t }')")
		per_run+=($(((ns_after - ns) / (runs_after - runs))))
	done
	books_close
	figure sock_ops_per_round_trip lan "TCP ping-pong, $case" runs "${per_trip[@]}"
	figure sock_ops_ns lan "TCP ping-pong, $case" ns "${per_run[@]}"
	at_most "$(printf '%s\n' "${per_trip[@]}" | percentile 50)" "$limit" "sock_ops per round trip"
}

# Where no agent beats, every round trip is heard.
round_trips_alone() {
	stop_agent h1 && stop_agent h2 || fail "the agents do not stop" || return 1
	sleep 1 # until the last heartbeat is an old one
	round_trips "no agent" 2.1 "$@"
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

# end N: the namespace of one end of a cable of our own, without the lab's limits: full segments,
# nothing in between. on N COMMAND...: there.
end() {
	echo "$CLUSTER_NAME-wire$1"
}

on() {
	nsenter --net="/run/netns/$(end "$1")" "${@:2}"
}

wire_up() {
	local i
	for i in 1 2; do
		ip netns add "$(end "$i")" && wire_namespaces+=("$(end "$i")") || return 1
	done
	ip link add cost0 netns "$(end 1)" type veth peer name cost0 netns "$(end 2)" || return 1
	for i in 1 2; do
		ip -n "$(end "$i")" addr add "10.81.0.$i/24" dev cost0 && ip -n "$(end "$i")" link set cost0 up &&
			ip -n "$(end "$i")" link set lo up || return 1
	done
	nsenter --net="/run/netns/$(end 2)" taskset -c 1 iperf3 -s >/dev/null 2>&1 &
	spawned+=($!)
	nsenter --net="/run/netns/$(end 2)" taskset -c 1 sockperf server --tcp -i 10.81.0.2 -p 9100 >/dev/null 2>&1 &
	spawned+=($!)
	wait_for 5 on 1 nc -z 10.81.0.2 5201 && wait_for 5 on 1 nc -z 10.81.0.2 9100 || return 1
	cluster_dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-$CLUSTER_NAME.XXXXXX")
	"$KNELL_BUILD/knell" cert ca "$cluster_dir" >/dev/null || return 1
	for i in 1 2; do
		"$KNELL_BUILD/knell" cert node "$cluster_dir" "wire$i" "10.81.0.$i" >/dev/null &&
			wire_config "$i" $((3 - i)) >"$cluster_dir/wire$i.conf" || return 1
	done
}

# wire_config END OTHER
wire_config() {
	echo "[node]"
	echo "name = wire$1"
	echo "listen = 10.81.0.$1:7400"
	echo "link = cost0"
	echo "pin = $(cluster_pins "wire$1")"
	echo "socket = $cluster_dir/wire$1.sock"
	echo "[tls]"
	echo "cert = $cluster_dir/wire$1.pem"
	echo "key = $cluster_dir/wire$1.key"
	echo "ca = $cluster_dir/ca.pem"
	echo "[peer wire$2]"
	echo "address = 10.81.0.$2:7400"
}

# Both ends run an agent, as real hosts do; each loads a detector of its own.
wire_agents=()
agents_on() {
	local i
	for i in 1 2; do
		nsenter --net="/run/netns/$(end "$i")" "$KNELL_BUILD/knelld" -c "$cluster_dir/wire$i.conf" >"$cluster_dir/wire$i.log" 2>&1 &
		wire_agents+=($!)
	done
	wait_for 10 wire_beats 1 && wait_for 10 wire_beats 2
}

wire_beats() {
	"$KNELL_BUILD/knell" --socket "$cluster_dir/wire$1.sock" -j conn show |
		jq -e 'any(.role == "heartbeat" and .state == "ready")' >/dev/null
}

# Nobody runs an agent: one detector for both ends, told what to watch.
detector_on() {
	"$KNELL_BUILD/knell" --pin "$(cluster_pins wire1)" load --all-netns >/dev/null &&
		"$KNELL_BUILD/knell" --pin "$(cluster_pins wire1)" watch add 10.81.0.0/24 >/dev/null
}

# Nothing of knell's is left in the kernel.
wire_quiet() {
	local i
	[ ${#wire_agents[@]} -eq 0 ] || { kill "${wire_agents[@]}" && wait "${wire_agents[@]}"; } 2>/dev/null
	wire_agents=()
	for i in 1 2; do
		[ ! -d "$(cluster_pins "wire$i")" ] ||
			"$KNELL_BUILD/knell" --pin "$(cluster_pins "wire$i")" unload >/dev/null
	done
	rmdir "$(dirname "$(cluster_pins wire1)")" 2>/dev/null || true
}

# Some 0.4 s of a stream.
throughput() {
	on 1 taskset -c 0 iperf3 -c 10.81.0.2 -n 1G -J | jq '.end.sum_received.bits_per_second / 1e9'
}

# The shortest that sockperf can: 1 s, after 0.4 s to warm up. A round trip is twice what it tells.
latency() {
	on 1 taskset -c 0 sockperf ping-pong --tcp -i 10.81.0.2 -p 9100 -t 1 --mps max 2>/dev/null |
		sed -n 's/.*Latency is \([0-9.]*\) usec.*/\1/p'
}

# paired SWITCH PAIRS: ABBA order, so that a drift of the machine falls on both alike. Fills the
# arrays with_M and without_M for both measures; what stands between two switches is looked at twice,
# so without_M's values 2 by 2 are pairs without and without.
paired() {
	local i sets=(without with)
	for ((i = 0; i < $2; i++)); do
		look_into "${sets[i % 2]}" || return 1
		if [ $((i % 2)) -eq 0 ]; then
			"$1" || return 1
		else
			wire_quiet
		fi
		look_into "${sets[(i + 1) % 2]}" || return 1
	done
	wire_quiet
}

# look_into with|without: of three streams the median, so that a hiccup of the machine is none of the
# pair's.
look_into() {
	local -n throughputs=$1_throughput latencies=$1_latency
	throughputs+=("$(for _ in 1 2 3; do throughput; done | percentile 50)")
	latencies+=("$(latency)")
	[ -n "${throughputs[-1]}" ] && [ -n "${latencies[-1]}" ]
}

# percent_worse SIGN BEFORE AFTER. SIGN 1: more is worse.
percent_worse() {
	awk -v a="$2" -v b="$3" -v s="$1" 'BEGIN { printf "%.3f\n", s * 100 * (b / a - 1) }'
}

# The 95 % interval of the median (sign test) of its arguments: its two ends.
median_interval() {
	printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 }
		END { i = int(NR / 2 - 0.98 * sqrt(NR)); if (i < 1) i = 1; print v[i], v[NR + 1 - i] }'
}

# compare MEASURE NAME UNIT SIGN CASE: prints the pairs' figures; sets low and high, and noise_low and
# noise_high, the same of pairs without knell on either side.
compare() {
	local -n with=with_$1 without=without_$1
	local worse=() noise=() i
	for i in "${!without[@]}"; do
		worse+=("$(percent_worse "$4" "${without[i]}" "${with[i]}")")
	done
	# Pairs 0 and 1, 2 and 3 are measured with, with, without, without: 1 and 2, 3 and 4 share a state.
	for ((i = 1; i + 1 < ${#without[@]}; i += 2)); do
		noise+=("$(percent_worse "$4" "${without[i]}" "${without[i + 1]}")")
	done
	figure "$2" "" "without knell, $5" "$3" "${without[@]}"
	figure "$2" "" "with knell, $5" "$3" "${with[@]}"
	figure "$2_worse_percent" "" "in pairs, $5" % "${worse[@]}"
	figure "$2_noise_percent" "" "in pairs without knell, $5" % "${noise[@]}"
	read -r low high < <(median_interval "${worse[@]}")
	read -r noise_low noise_high < <(median_interval "${noise[@]}")
	echo "# $2, $5: 95 % interval of the pairs' median, worse with knell: $low to $high %;" \
		"without against without: $noise_low to $noise_high %"
}

# judged MEASURE NAME UNIT SIGN: within the limit, beyond it, or, on a machine that has other things to
# do, neither shown: then it is skipped, since a wide interval is no proof of anything.
judged() {
	local low high noise_low noise_high
	[ -z "$pairs_why" ] || fail "$pairs_why" || return 1
	compare "$@" "both ends run knelld"
	at_most "$low" "$LIMIT_PERCENT" "$2, percent worse with knell" || return 1
	at_most "$high" "$LIMIT_PERCENT" "" && return 0
	why="not decided: the median is $low to $high % worse, without against without it is $noise_low to $noise_high %"
	return 77
}

# Agentless, every connection is listened to: counted and shown, for who wants to do that.
agentless() {
	local low high noise_low noise_high
	local with_throughput=() without_throughput=() with_latency=() without_latency=()
	paired detector_on "$1" || fail "could not be measured" || return 1
	compare throughput throughput_gbit Gbit/s -1 "no agent"
	compare latency latency_us us 1 "no agent"
}

# programs_ns: what all programs of all instances here have used so far.
programs_ns() {
	local pin
	for pin in "$(dirname "$(cluster_pins wire1)")"/wire*/link_*; do
		case $pin in
		*_sweep | *_review) ;;
		*) "$BPFTOOL" -j prog show id "$("$BPFTOOL" -j link show pinned "$pin" | jq .prog_id)" ;;
		esac
	done | jq -s 'map(.run_time_ns // 0) | add'
}

# share SWITCH CASE REPEATS: the kernel's own books: how much of the time of a ping-pong, and of a
# stream, goes into programs of knell, of both ends together. In a ping-pong that is their time per
# round trip over the round trip. Scatters little, and counts the entry into a program not at all.
share() {
	local measure i before began percent
	"$1" || fail "cannot switch knell on" || return 1
	books_open
	for measure in latency throughput; do
		percent=()
		for ((i = 0; i < $3; i++)); do
			before=$(programs_ns)
			began=$(now_ns)
			"$measure" >/dev/null
			percent+=("$(awk -v t=$(($(now_ns) - began)) -v p=$(($(programs_ns) - before)) \
				'BEGIN { printf "%.4f\n", 100 * p / t }')")
		done
		figure sock_ops_share_percent "" "$measure, $2" % "${percent[@]}"
		[ "$1" != agents_on ] || at_most "$(printf '%s\n' "${percent[@]}" | percentile 99)" \
			"$LIMIT_PERCENT" "$measure: percent of the time in knell's programs" || break
	done
	books_close
	wire_quiet
	[ -z "$why" ]
}

kernel_part() {
	local cuts
	cuts=$(in_mode 2 20 20)
	run "a retransmission is judged in the kernel ($cuts cuts)" event_to_verdict "$cuts"
	run "sock_ops hardly runs on a dense connection beside a heartbeat" round_trips \
		"beside a heartbeat" 0.1 "$(in_mode 1 2 2)" "$(in_mode 2 5 5)"
	run "sock_ops runs about once per round trip where no agent is" round_trips_alone \
		"$(in_mode 1 2 2)" "$(in_mode 2 5 5)"
	cluster_down
}

agent_part() {
	local count counts=(2 50)
	[ "$KNELL_MODE" = check ] || counts+=(500)
	for count in "${counts[@]}"; do
		run "the agent idles with $count peers" agent_cost "$count" "$(in_mode 2 10 10)" "$(in_mode 2 3 3)"
		cluster_down
	done
}

others_part() {
	local pairs with_throughput=() without_throughput=() with_latency=() without_latency=() pairs_why=
	wire_up || skip_all "no cable of our own"
	run "knell's programs take at most $LIMIT_PERCENT % of a ping-pong and of a stream" share agents_on \
		"both ends run knelld" "$(in_mode 2 5 5)"
	run "what they take where no agent runs" share detector_on "no agent" "$(in_mode 2 5 5)"
	# A few pairs show nothing.
	[ "$KNELL_MODE" != check ] || return 0
	pairs=24
	paired agents_on "$pairs" || pairs_why="could not be measured"
	run "throughput loses at most $LIMIT_PERCENT % ($pairs pairs)" judged throughput throughput_gbit Gbit/s -1
	run "latency grows by at most $LIMIT_PERCENT % ($pairs pairs)" judged latency latency_us us 1
	run "the same without agents (6 pairs)" agentless 6
}

# usage: test_cost.sh [kernel] [agent] [others]: all of it if nothing is named.
read -ra parts <<<"${*:-kernel agent others}"
for part in "${parts[@]}"; do
	"${part}_part"
done
finish
