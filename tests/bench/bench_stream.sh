#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# bench_stream.sh - MB/s of streaming calls between two nodes, over TLS on the loopback: one stream and
# eight on one connection, messages of 64 KiB, up with acknowledgements and down; and how long a small
# call beside them takes. See bench_stream.c.
. "$(dirname "$0")/../lab/common.sh"

# streams SECONDS: of each case.
streams() {
	local line
	mkdir -p "$(dirname "$figures_file")"
	"$KNELL_BUILD/knell" cert ca "$work" >/dev/null || fail "no authority" || return 1
	"$KNELL_BUILD/knell" cert node "$work" a 127.0.0.1 >/dev/null || fail "no certificate" || return 1
	"$KNELL_BUILD/knell" cert node "$work" b 127.0.0.1 >/dev/null || fail "no certificate" || return 1
	"$KNELL_BUILD/bench_stream" "$work" "$1" >"$work/figures" 2>"$work/log" || fail "$(cat "$work/log")" || return 1
	while read -r line; do
		line=$(jq -c --arg mode "$KNELL_MODE" '. + {profile: "lan", mode: $mode}' <<<"$line")
		echo "# $line"
		echo "$line" >>"$figures_file"
	done <"$work/figures"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run "streams carry objects" streams "$(in_mode 2 10 10)"
finish
