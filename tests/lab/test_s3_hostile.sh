#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3_hostile.sh - requests that nobody should send to S3, byte by byte (s3_hostile.py): the right
# error, nothing written, the connection ended where it must be, and no memory kept.
. "$(dirname "$0")/common.sh"

HOSTILE_RSS_MIB_MAX=32 # more than before
readonly HOSTILE_RSS_MIB_MAX
export KNELL_ROOT_USER=knelltest KNELL_ROOT_PASSWORD=knellsecretpassword PYTHONDONTWRITEBYTECODE=1

[ -x "$KNELL_BUILD/lab_s3_serve" ] || skip_all "$KNELL_BUILD is not built: make tests"
type -P python3 >/dev/null || skip_all "no python3: tools/setup installs it"
work=$(mktemp -d /tmp/knell-s3-hostile-XXXXXX)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT

# serve NAME: S3 out of a directory of that name, with one object in it; sets `port`.
serve() {
	mkdir -p "$work/$1"
	"$KNELL_BUILD/lab_s3_serve" "$work/$1" 0 >"$work/$1.out" 2>&1 &
	servers+=($!)
	wait_for 10 grep -q '^port' "$work/$1.out" || skip_all "cannot serve: $(tail -n 1 "$work/$1.out")"
	port=$(awk '/^port/ { print $2 }' "$work/$1.out")
	signed -o /dev/null -X PUT "http://127.0.0.1:$port/kept"
	printf kept >"$work/kept"
	signed -o /dev/null -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T "$work/kept" "http://127.0.0.1:$port/kept/k"
}

signed() {
	curl -sS -m 60 --aws-sigv4 aws:amz:us-east-1:s3 --user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" "$@"
}

rss_kib() { awk '/VmRSS/ { print $2 }' "/proc/${servers[0]}/status"; }

# What there is: the keys, and files behind them.
listing() { signed "http://127.0.0.1:$1/kept" | grep -o '<Key>[^<]*</Key>'; }
data_files() { find "$work/$1/data" -type f | wc -l; }
nothing_half_written() { [ -z "$(find "$work/$1/tmp" -type f)" ]; }
one_data_file() { [ "$(data_files "$1")" -eq 1 ]; }

# nothing_left NAME PORT
nothing_left() {
	local keys
	wait_for 10 nothing_half_written "$1" ||
		fail "left in tmp/: $(find "$work/$1/tmp" -type f | head -n 3)" || return 1
	keys=$(listing "$2")
	[ "$keys" = "<Key>k</Key>" ] || fail "the listing has changed: $keys" || return 1
	wait_for 10 one_data_file "$1" || fail "$(data_files "$1") files instead of 1 in data/" || return 1
	[ "$(signed "http://127.0.0.1:$2/kept/k")" = kept ] || fail "the object has changed"
}

hostile() {
	"$tests_root/tests/lab/s3_hostile.py" "$port" "$1" >"$work/out" 2>&1 ||
		fail "$(tail -n 1 "$work/out")" || return 1
	nothing_left store "$port"
}

slow_ones() {
	wait "$slow" || fail "$(tail -n 1 "$work/slow")" || return 1
	nothing_left slow-store "$slow_port"
}

memory_is_given_back() {
	local now
	now=$(rss_kib)
	at_most $((now - before_kib)) $((HOSTILE_RSS_MIB_MAX * 1024)) "KiB of memory more than before"
}

ends_clean() {
	local pid
	for pid in "${servers[@]}"; do
		kill "$pid" && wait "$pid" || fail "status $?" || return 1
	done
	{ nothing_half_written store && nothing_half_written slow-store; } || fail "temporary files are left"
}

serve store
# The slow ones take their time beside the others, with a server that nobody else disturbs.
store_port=$port
serve slow-store
slow_port=$port
port=$store_port
"$tests_root/tests/lab/s3_hostile.py" "$slow_port" slow >"$work/slow" 2>&1 &
slow=$!
before_kib=$(rss_kib)
run "wrong signatures, wrong clocks, what was not signed" hostile signatures
run "wrong checksums, in the head and behind the body" hostile checksums
run "bodies that are longer or shorter than was said" hostile lengths
run "keys that lead elsewhere, are no text, or are too long" hostile keys
run "heads without an end" hostile heads
run "smuggling: two lengths, odd codings, folded lines, bad chunks" hostile smuggling
run "XML: entities, depth, size" hostile xml
run "connections go on after an error, or end" hostile connections
run "fields of the answer from the query" hostile reading
run "uploads in parts: too small, out of order, completed twice, copied ranges" hostile uploads
run "slow: no head in time, no body in time; slow and steady comes through" slow_ones
run "memory is given back" memory_is_given_back
run "the server ends in order, with no temporary file left" ends_clean
finish
