#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_calls.sh - never waiting for the dead: 1,000 calls are in flight to h3 when its power goes. All
# of them end at once with the verdict, the next call is refused without a packet, and the calls that
# go to h2 meanwhile do not notice.
#
# On h1 lab_calls runs in knelld's place: the same agent, which holds the calls and makes a call to h2
# every millisecond. It is one process, so what one cut leaks shows after the next.
# shellcheck disable=SC2015 # fail only fails
. "$(dirname "$0")/common.sh"
need_root_and_lab
lab_calls=$KNELL_BUILD/lab_calls
[ -x "$lab_calls" ] || skip_all "lab_calls is not built: make tests"

readonly CALLS=1000
readonly PER_PEER=5 # connections, each of which carries 256 streams
readonly ENDED_LIMIT_MS=10
readonly REFUSED_LIMIT_US=1000
readonly NOTICE_LIMIT_US=5000 # what h2's median (bench: p99) may be above its own before the cut
readonly STEADY_S=3
readonly LEAK_KIB=4096

# of EVENT ROUND FIELD: from what lab_calls printed.
of() {
	grep -a '^{' "$cluster_dir/h1.calls" |
		jq -r --arg event "$1" --argjson round "$2" "select(.event == \$event and .round == \$round) | $3"
}

has() {
	[ -n "$(of "$1" "$2" .event)" ]
}

is_gone() {
	! kill -0 "$1"
}

# What lab_calls and its log say goes to one file; the log's last line tells what went wrong.
last_words() {
	tail -n 1 "$cluster_dir/h1.calls"
}

start() {
	cluster_up 3 lan "$PER_PEER" || fail "no cluster" || return 1
	kill "$(cat "$cluster_dir/h1.pid")"
	wait_for 10 is_gone "$(cat "$cluster_dir/h1.pid")" || fail "h1 does not stop" || return 1
	lab spawn h1 "$cluster_dir/h1.calls" "$lab_calls" "$cluster_dir/h1.conf" h3 "$CALLS" h2 \
		"$cluster_dir/samples" >"$cluster_dir/h1.pid"
	wait_for 10 cluster_answers h1 || fail "lab_calls does not run: $(last_words)" || return 1
	cluster_follow h1
	wait_for 20 cluster_whole || fail "the cluster does not come together"
}

# The load goes on through this: time is what is measured.
go_on() {
	sleep "$1"
}

# One power-off with all calls in flight; appends to ended_ms, refused_us and spans.
one_cut() {
	local round=$1 cut dead
	wait_for 30 has holding "$round" || fail "$CALLS calls are not in flight: $(last_words)" || return 1
	[ "$(of holding "$round" .early)" -eq 0 ] || fail "calls ended before the cut" || return 1
	go_on "$STEADY_S"
	cut=$(lab cut h3 | jq .cut_ns)
	wait_for 5 cluster_said h1 h3 dead "$cut" || fail "h1 never says dead" || return 1
	dead=$(cluster_event h1 h3 dead "$cut")
	wait_for 15 has settled "$round" || fail "the calls do not end: $(last_words)" || return 1
	ended_well "$round" "$dead" && refused_well "$round" && left_nothing "$round" || return 1
	spans+=("$((cut - STEADY_S * 1000000000)) $cut $((dead + 1000000000))")
}

# ended_well ROUND DEAD_NS
ended_well() {
	local statuses words took
	statuses=$(of ended "$1" '.statuses | @json')
	[ "$statuses" = "{\"UNAVAILABLE\":$CALLS}" ] || fail "the calls end as $statuses" || return 1
	words=$(of ended "$1" .words)
	[[ $words == *"h3 is dead"* ]] || fail "the calls end with \"$words\", not with the verdict" || return 1
	took=$(since_ms "$(of ended "$1" .last_ns)" "$2")
	ended_ms+=("$took")
	at_most "$took" "$ENDED_LIMIT_MS" "verdict to the end of the last call, ms"
}

# refused_well ROUND: at once, and nothing of it reaches the wire. The probes of a dead peer, which
# the kernel repeats by itself, may fall into the same moment.
refused_well() {
	local longest
	[ "$(of refused "$1" .refused)" -eq "$(of refused "$1" .calls)" ] ||
		fail "a call to the dead is not refused: $(of refused "$1" .error)" || return 1
	longest=$(of refused "$1" .longest_us)
	refused_us+=("$longest")
	at_most "$longest" "$REFUSED_LIMIT_US" "slowest refusal, us" || return 1
	[ "$(of refused "$1" .connects)" -eq 0 ] || fail "refused calls dial" || return 1
	at_most "$(of refused "$1" .segments)" 10 "segments sent while $(of refused "$1" .calls) calls were refused"
}

# left_nothing ROUND: no call, no connection to h3; and neither descriptors nor memory grow from cut to
# cut.
left_nothing() {
	local left
	at_most "$(of settled "$1" .in_flight)" 50 "calls in flight after the cut" || return 1
	left=$(lab exec h1 ss -Htn state established dst "$(lab addr h3)" | wc -l)
	[ "$left" -eq 0 ] || fail "$left connections to h3 stay open" || return 1
	at_most "$(of settled "$1" .fds)" $(($(of settled 1 .fds) + 4)) "descriptors after the cut" || return 1
	at_most "$(($(of settled "$1" .rss_kib) - $(of settled 1 .rss_kib)))" "$LEAK_KIB" "more memory than after the first cut, KiB"
}

# samples_us COLUMN-1 COLUMN-2: how long the calls to h2 took that began between those columns of
# spans; one that failed is as bad as can be.
samples_us() {
	printf '%s\n' "${spans[@]}" | awk -v from="$1" -v to="$2" '
		NR == FNR { a[NR] = $from; b[NR] = $to; n = NR; next }
		{ for (i = 1; i <= n; i++) if ($1 >= a[i] && $1 < b[i]) print ($3 == "OK" ? $2 : 9e9) }' - "$cluster_dir/samples"
}

others_do_not_notice() {
	# Two cuts of a short run: the worst hundredth of it is what else the machine has to do.
	local before during rank
	rank=$(in_mode 50 99 99)
	mapfile -t before < <(samples_us 1 2)
	mapfile -t during < <(samples_us 2 3)
	[ ${#before[@]} -gt 1000 ] && [ ${#during[@]} -gt 500 ] ||
		fail "too few calls to h2: ${#before[@]} before, ${#during[@]} during" || return 1
	figure other_call_us lan before us "${before[@]}"
	figure other_call_us lan during us "${during[@]}"
	echo "# calls to h2, us     n     p50     p99     max"
	row before "${before[@]}"
	row during "${during[@]}"
	at_most "$(printf '%s\n' "${during[@]}" | percentile 100)" 9e8 "a call to h2 failed" &&
		at_most "$(printf '%s\n' "${during[@]}" | percentile "$rank")" \
			"$(awk -v a="$(printf '%s\n' "${before[@]}" | percentile "$rank")" -v b="$NOTICE_LIMIT_US" 'BEGIN { print a + b }')" \
			"p$rank of the calls to h2 during the cut, us"
}

# row NAME VALUE...
row() {
	local name=$1
	shift
	printf '# %-14s %8d %7.0f %7.0f %7.0f\n' "$name" $# "$(printf '%s\n' "$@" | percentile 50)" \
		"$(printf '%s\n' "$@" | percentile 99)" "$(printf '%s\n' "$@" | percentile 100)"
}

all_end() {
	local cuts=$1 i
	for ((i = 1; i <= cuts; i++)); do
		[ "$i" -eq 1 ] || cluster_reboot h3 >/dev/null
		one_cut "$i" || return 1
	done
	figure calls_ended_ms lan "$CALLS in flight" ms "${ended_ms[@]}"
	figure refused_call_us lan "slowest of $(of refused 1 .calls)" us "${refused_us[@]}"
	kill "$(cat "$cluster_dir/h1.pid")"
	wait_for 10 is_gone "$(cat "$cluster_dir/h1.pid")" || fail "lab_calls does not stop"
}

spans=()
ended_ms=()
refused_us=()
cuts=$(in_mode 2 10 20)
run "three nodes" start
run "$CALLS calls end with UNAVAILABLE within $ENDED_LIMIT_MS ms of the verdict, the next ones are refused ($cuts cuts)" \
	all_end "$cuts"
run "calls to the other node do not notice" others_do_not_notice
finish
