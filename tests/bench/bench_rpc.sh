#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# bench_rpc.sh - unary calls per second: knelld's Ping beside a server of nghttp2's own, nghttpd with
# a file as its trivial handler, and beside the same Ping by grpc-js. On one connection and on
# sixteen, by the same h2load with the same request, in turns, medians.
#
# All of it is in the clear on the loopback of one lab host. nghttpd sends the bytes of knelld's answer
# from a file, and grpc-status as a trailer, so that each answer is as many frames; it does no framing
# of messages, reads no time-out and keeps no call, which is what the 30 % are for.
# shellcheck disable=SC2015 # fail only fails
. "$(dirname "$0")/../lab/common.sh"
. "$(dirname "$0")/../lab/grpc.sh"
need_root_and_lab
type -P h2load >/dev/null && type -P nghttpd >/dev/null || skip_all "no h2load or nghttpd: tools/setup installs them"

readonly PING=knell.v1.Peer/Ping
readonly STREAMS=32 # per connection
readonly KNELLD_PORT=7401 NGHTTPD_PORT=7402 GRPC_JS_PORT=7403
readonly AT_LEAST_PERCENT=70

listens() {
	[ -n "$(lab exec h1 ss -Htln "sport = $1")" ]
}

# One agent, whose local listener is a port here: all three shall be reached in the same way.
start() {
	local dir
	cluster_up 1 lan || fail "no agent" || return 1
	kill "$(cat "$cluster_dir/h1.pid")"
	wait_for 10 is_gone "$(cat "$cluster_dir/h1.pid")" || fail "the agent does not stop" || return 1
	sed -i "s|^local = .*|local = 127.0.0.1:$KNELLD_PORT|" "$cluster_dir/h1.conf"
	cluster_start_host h1 || fail "no agent" || return 1
	wait_for 5 listens "$KNELLD_PORT" || fail "knelld does not listen" || return 1
	dir=$cluster_dir/htdocs/${PING%/*}
	mkdir -p "$dir"
	printf '\0\0\0\0\0' >"$cluster_dir/request"
	# The very bytes of knelld's answer, prefix included.
	lab exec h1 nghttp -d "$cluster_dir/request" -H 'content-type: application/grpc' -H 'te: trailers' \
		"http://127.0.0.1:$KNELLD_PORT/$PING" >"$dir/Ping" || fail "knelld does not answer" || return 1
	[ "$(stat -c %s "$dir/Ping")" -gt 5 ] || fail "knelld's answer is empty" || return 1
	lab spawn h1 "$cluster_dir/nghttpd.log" nghttpd --no-tls -a 127.0.0.1 -d "$cluster_dir/htdocs" \
		--trailer 'grpc-status: 0' "$NGHTTPD_PORT" >/dev/null
	wait_for 5 listens "$NGHTTPD_PORT" || fail "nghttpd does not listen" || return 1
	js_spawn h1 ping_server "$cluster_dir/ping_server.log" "127.0.0.1:$GRPC_JS_PORT" >/dev/null
	wait_for 10 listens "$GRPC_JS_PORT" || fail "grpc-js does not listen"
}

# ask PORT CONNECTIONS CALLS: prints calls per second; every call must succeed.
ask() {
	local log=$cluster_dir/h2load.log
	lab exec h1 h2load -n "$3" -c "$2" -m "$STREAMS" -t 1 -p h2c -d "$cluster_dir/request" \
		-H 'content-type: application/grpc' -H 'te: trailers' "http://127.0.0.1:$1/$PING" >"$log" 2>&1
	grep -q "^requests: $3 total, $3 started, $3 done, $3 succeeded, 0 failed, 0 errored, 0 timeout" "$log" ||
		fail "port $1: $(grep requests: "$log")" || return 1
	sed -n 's|^finished in .*, \([0-9.]*\) req/s.*|\1|p' "$log"
}

# In turns, so that whatever else the machine does falls on all three alike.
calls_per_s() {
	local repeats=$1 calls=$2 i connections rate name
	local -A rates=()
	for ((i = 0; i < repeats; i++)); do
		for connections in 1 16; do
			for name in "knelld $KNELLD_PORT $calls" "nghttpd $NGHTTPD_PORT $calls" \
				"grpc-js $GRPC_JS_PORT $((calls / 20))"; do
				# shellcheck disable=SC2086 # three words
				set -- $name
				rate=$(ask "$2" "$connections" "$3") || return 1
				rates["$1 $connections"]+=" $rate"
			done
		done
	done
	for name in "${!rates[@]}"; do
		# shellcheck disable=SC2086 # as many words as repeats
		figure rpc_calls_per_s "${name% *}" "$(printf %2d "${name#* }") x $STREAMS streams" calls/s ${rates[$name]}
	done
	for connections in 1 16; do
		compare "$connections" "${rates[knelld $connections]}" "${rates[nghttpd $connections]}" || return 1
	done
}

# compare CONNECTIONS OURS THEIRS: by their medians.
compare() {
	local ours theirs
	ours=$(tr ' ' '\n' <<<"${2# }" | percentile 50)
	theirs=$(tr ' ' '\n' <<<"${3# }" | percentile 50)
	awk -v a="$ours" -v b="$theirs" -v percent="$AT_LEAST_PERCENT" 'BEGIN { exit !(a >= b * percent / 100) }' ||
		fail "$1 connections: $ours calls/s, nghttpd $theirs"
}

repeats=$(in_mode 3 9 9)
calls=$(in_mode 20000 200000 200000)
run "knelld, nghttpd and grpc-js answer" start
run "as many calls per second as nghttpd less 30 % ($repeats times $calls calls)" calls_per_s "$repeats" "$calls"
finish
