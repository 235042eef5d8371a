#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_grpc.sh - clients that nobody here wrote: grpc-js with grpc-health-check calls every method of a
# node, over TLS and over the local socket, and follows a peer through a power-off; nghttp and h2load
# speak to it without a protocol error.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/grpc.sh"
need_root_and_lab

readonly CHANGE_LIMIT_MS=50
readonly PING=/knell.v1.Peer/Ping
where=()

# refused AS WHAT: a call to h1 with that certificate must fail, and the log must say why.
refused() {
	local line
	by_tls h1 "$1"
	line=$(js h2 methods "${where[@]}" h1 h2 h3 2>&1 | grep -m 1 'Peer/Ping')
	[[ $line == "not ok"* ]] || fail "a client as $1 is served: $line" || return 1
	wait_for 5 grep -q "connection turned away" "$cluster_dir/h1.log" || fail "the log does not tell"
}

# follow FILE HOST WHERE... -- WHAT...: a watcher on HOST, which has had its first message.
follow() {
	local file=$1 host=$2
	shift 2
	watchers+=("$(js_spawn "$host" watch "$file" "$@")")
	wait_for 10 [ -s "$file" ] || fail "$file: no first message"
}

# change_ms FILE STATUS STATE AFTER_NS: from h1's verdict STATE of h3 to the first STATUS in FILE.
change_ms() {
	local verdict
	verdict=$(cluster_event h1 h3 "$3" "$4")
	jq -rn --arg status "$2" --argjson from "$4" --argjson verdict "${verdict:-0}" \
		'first(inputs | select(.status == $status and .ts_ns > $from) | (.ts_ns - $verdict) / 1e6)' "$1"
}

# One power-off and return of h3; appends to gone_ms and back_ms.
one_cut() {
	local cut back file took
	cut=$(lab cut h3 | jq .cut_ns)
	wait_for 5 cluster_said h1 h3 dead "$cut" || fail "h1 never says dead" || return 1
	for file in local tls far; do
		wait_for 5 has_line "$cluster_dir/$file.watch" ".status == \"NOT_SERVING\" and .ts_ns > $cut" ||
			fail "$file: no NOT_SERVING" || return 1
		took=$(change_ms "$cluster_dir/$file.watch" NOT_SERVING "$(first_blow "$cut")" "$cut")
		at_most "$took" "$CHANGE_LIMIT_MS" "$file: verdict to NOT_SERVING, ms" || return 1
		gone_ms+=("$took")
	done
	back=$(cluster_reboot h3 | jq .join_ns)
	wait_for 20 cluster_whole || fail "the cluster does not heal" || return 1
	for file in local tls far; do
		wait_for 5 has_line "$cluster_dir/$file.watch" ".status == \"SERVING\" and .ts_ns > $back" ||
			fail "$file: no SERVING" || return 1
		took=$(change_ms "$cluster_dir/$file.watch" SERVING alive "$back")
		at_most "$took" "$CHANGE_LIMIT_MS" "$file: verdict to SERVING, ms" || return 1
		back_ms+=("$took")
	done
	told_as_it_was "$cut"
}

# first_blow CUT_NS: what the peer was called first, which ends its service.
first_blow() {
	if cluster_said h1 h3 lost "$1"; then
		echo lost
	else
		echo dead
	fi
}

# told_as_it_was CUT_NS: Verdicts tells what the control socket told, stamps and evidence included.
told_as_it_was() {
	local events stream
	local same='[.peer, .to, .phi_md, .unanswered, .tuples, .stamp] | @text'
	wait_for 5 has_line "$cluster_dir/verdicts.watch" ".to == \"dead\" and .monotonic_ns > $1" ||
		fail "Verdicts does not tell of it" || return 1
	events=$(jq -rn --argjson from "$1" "inputs | select(.event == \"verdict\" and .ts_ns > \$from and .to == \"dead\") |
		.stamp = .ts_ns | $same" "$cluster_dir/h1.events")
	stream=$(jq -rn --argjson from "$1" "inputs | select(.standing == false and .monotonic_ns > \$from and .to == \"dead\") |
		.stamp = .monotonic_ns | $same" "$cluster_dir/verdicts.watch")
	[ "$events" = "$stream" ] || fail "events: $events; Verdicts: $stream"
}

watch_through_cuts() {
	local cuts=$1 i pid
	local gone_ms=() back_ms=() watchers=()
	by_local h1
	follow "$cluster_dir/local.watch" h1 "${where[@]}" health peer/h3 || return 1
	follow "$cluster_dir/verdicts.watch" h1 "${where[@]}" verdicts || return 1
	by_tls h1
	follow "$cluster_dir/tls.watch" h1 "${where[@]}" health peer/h3 || return 1
	follow "$cluster_dir/far.watch" h2 "${where[@]}" health peer/h3 || return 1
	for ((i = 0; i < cuts; i++)); do
		one_cut || return 1
	done
	for pid in "${watchers[@]}"; do
		end "$pid"
	done
	figure watch_ms lan "NOT_SERVING after the verdict" ms "${gone_ms[@]}"
	figure watch_ms lan "SERVING after the verdict" ms "${back_ms[@]}"
}

# An empty message, framed.
empty_message() {
	printf '\0\0\0\0\0' >"$cluster_dir/empty"
}

with_nghttp() {
	local log=$cluster_dir/nghttp count=$1 good
	lab exec h2 nghttp -nv -y --cert "$cluster_dir/tester.pem" --key "$cluster_dir/tester.key" -m "$count" \
		-d "$cluster_dir/empty" -H 'content-type: application/grpc' -H 'te: trailers' \
		"https://$(cluster_endpoint h1)$PING" >"$log" 2>&1 || fail "$(tail -n 1 "$log")" || return 1
	good=$(grep -c 'grpc-status: 0$' "$log")
	[ "$good" -eq "$count" ] || fail "only $good calls succeed" || return 1
	! grep error_code= "$log" | grep -v NO_ERROR || fail "an error: $(grep -m 1 error_code= "$log")"
}

# with_h2load CALLS: its own account must be clean.
with_h2load() {
	local log=$cluster_dir/h2load calls=$1
	lab exec h1 h2load -n "$calls" -c 4 -m 32 -t 1 -d "$cluster_dir/empty" -H 'content-type: application/grpc' \
		-H 'te: trailers' --base-uri="unix:$cluster_dir/h1.grpc" "http://localhost$PING" >"$log" 2>&1 ||
		fail "$(tail -n 1 "$log")" || return 1
	grep -q "^requests: $calls total, $calls started, $calls done, $calls succeeded, 0 failed, 0 errored, 0 timeout" "$log" ||
		fail "$(grep requests: "$log")" || return 1
	echo "# h2load over the local socket: $(grep -o '[0-9.]* req/s' "$log")"
}

# Without a certificate nobody gets in, however many try; and nobody else suffers from it.
h2load_is_refused() {
	local log=$cluster_dir/h2load
	lab exec h3 timeout 20 h2load -n 100 -c 10 -m 1 -t 1 "https://$(cluster_endpoint h1)$PING" >"$log" 2>&1
	grep -q ', 0 succeeded, ' "$log" || fail "$(grep requests: "$log")" || return 1
	cluster_whole || fail "the cluster suffers"
}

# An agent that is stopped says so to whoever it is answering, near and far.
stopping_is_told() {
	local watchers=() file
	by_local h1
	follow "$cluster_dir/stop-local.watch" h1 "${where[@]}" health peer/h3 || return 1
	by_tls h1
	follow "$cluster_dir/stop-tls.watch" h1 "${where[@]}" verdicts || return 1
	follow "$cluster_dir/stop-far.watch" h2 "${where[@]}" health peer/h3 || return 1
	end "$(cat "$cluster_dir/h1.pid")" || fail "the agent goes on" || return 1
	for file in stop-local stop-tls stop-far; do
		wait_for 5 has_line "$cluster_dir/$file.watch" '.error == 14 and .words == "the node is stopping"' ||
			fail "$file: $(tail -n 1 "$cluster_dir/$file.watch")" || return 1
	done
}

start() {
	cluster_up 3 lan || fail "no cluster" || return 1
	"$KNELL_BUILD/knell" cert node "$cluster_dir" stranger >/dev/null || fail "no certificate" || return 1
	empty_message
}

cuts=$(in_mode 1 10 20)
run "three nodes" start
by_tls h1
each_case "TLS" js h2 methods "${where[@]}" h1 h2 h3
by_tls h1 h2
each_case "TLS, as the peer h2" js h2 methods "${where[@]}" h1 h2 h3
by_local h1
each_case "local" js h1 methods "${where[@]}" h1 h2 h3
run "a client of the cluster's CA that nobody named is turned away" refused stranger
run "grpc-health-check follows h3 within $CHANGE_LIMIT_MS ms of the verdict ($cuts cuts)" watch_through_cuts "$cuts"
run "nghttp over TLS: 100 calls on one connection" with_nghttp 100
run "h2load over the local socket: every call succeeds" with_h2load "$(in_mode 20000 200000 2000000)"
run "h2load without a certificate gets nowhere" h2load_is_refused
run "an agent that is stopped tells whom it is answering" stopping_is_told
finish
