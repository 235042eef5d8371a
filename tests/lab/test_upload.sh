#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_upload.sh - a slow upload as `knell upload` shows it, and cancelled by hand; `knell cluster repair`
# of nodes that are in step, of one that was away, and of one that keeps its objects alone. Requests by
# curl, unmodified.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/mirror.sh"
need_root_and_lab

readonly LARGE_BYTES=$((32 << 20)) RATE=2M ENOUGH_BYTES=$((2 << 20)) RETURN_S=60

# begin_slowly HOST PATH: in the background; its status goes to $cluster_dir/status.
begin_slowly() {
	s3_status "$1" --limit-rate "$RATE" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
		-T "$cluster_dir/large" "$2" >"$cluster_dir/status" 2>"$cluster_dir/curl.err" &
	slow=$!
	wait_for 20 uploading "$1" "$ENOUGH_BYTES" || fail "the upload does not begin"
}

# shows HOST FILTER: the first upload, as JSON, satisfies it.
shows() {
	knell_on "$1" -j upload show >"$cluster_dir/uploads"
	jq -e ".[0] | $2" "$cluster_dir/uploads" >/dev/null || fail "not $2: $(cat "$cluster_dir/uploads")"
}

no_uploads() {
	[ "$(knell_on "$1" -j upload show)" = '[]' ]
}

shown_with_its_replica() {
	begin_slowly h1 /bucket/slow || return 1
	shows h1 ".bucket == \"bucket\" and .key == \"slow\" and .part == null and .state == \"receiving\" and
		.expected_bytes == $LARGE_BYTES and .bytes < .expected_bytes and .age_ms > 0 and .rate_bytes_per_s > 0 and
		(.replicas | length == 1) and .replicas[0].node == \"h2\" and .replicas[0].state == \"writing\" and
		.replicas[0].bytes > 0" || return 1
	knell_on h1 upload show >"$cluster_dir/table"
	grep -Eq ' bucket/slow .* receiving +h2 writing [0-9.]+ [KM]iB$' "$cluster_dir/table" ||
		fail "$(cat "$cluster_dir/table")"
}

cancelled() {
	local id
	id=$(knell_on h1 -j upload show | jq '.[0].id')
	! knell_on h1 upload cancel $((id + 1000)) 2>"$cluster_dir/err" && grep -q "no upload $((id + 1000))" "$cluster_dir/err" ||
		fail "another's ID: $(cat "$cluster_dir/err")" || return 1
	knell_on h1 upload cancel "$id" || fail "not cancelled" || return 1
	wait "$slow"
	[ "$(cat "$cluster_dir/status")" = 503 ] ||
		fail "the client gets $(cat "$cluster_dir/status" "$cluster_dir/curl.err")" || return 1
	wait_for 10 no_uploads h1 || fail "it is still listed" || return 1
	! knell_on h1 upload cancel "$id" 2>/dev/null || fail "cancelled twice" || return 1
	s3_is 404 h1 /bucket/slow && s3_is 404 h2 /bucket/slow || return 1
	{ wait_for 10 tidy h1 && wait_for 10 tidy h2; } || fail "something of it is left"
}

part_shown() {
	local id
	id=$(s3 h1 -X POST '/bucket/parts?uploads=' | grep -o '<UploadId>[^<]*' | sed 's/<UploadId>//')
	begin_slowly h1 "/bucket/parts?partNumber=7&uploadId=$id" && shows h1 '.key == "parts" and .part == 7' || return 1
	knell_on h1 upload cancel "$(jq '.[0].id' "$cluster_dir/uploads")"
	wait "$slow"
	[ "$(cat "$cluster_dir/status")" = 503 ] || fail "the client gets $(cat "$cluster_dir/status")" || return 1
	s3_is 204 h1 -X DELETE "/bucket/parts?uploadId=$id"
}

in_step() {
	knell_on "$1" -j cluster repair | jq -e '.in_step and (.alone | not) and .away_count == 0' >/dev/null
}

repair_in_step() {
	s3_put h1 "$cluster_dir/small" /bucket/a || return 1
	wait_for "$RETURN_S" in_step h1 && wait_for "$RETURN_S" in_step h2 ||
		fail "$(knell_on h1 cluster repair; knell_on h2 cluster repair)" || return 1
	knell_on h1 cluster repair | grep -q '^in step: ' || fail "no words for it"
}

# One of two is off: of its journal nothing is known to the one that starts anew meanwhile.
repair_never_met() {
	lab cut h2 >/dev/null
	lab cut h1 >/dev/null
	cluster_reboot h1 >/dev/null
	wait_for "$RETURN_S" cluster_answers h1 || fail "h1 does not return" || return 1
	knell_on h1 -j cluster repair >"$cluster_dir/repair"
	jq -e '(.in_step | not) and .peers == [{peer: "h2", met: false, unread_theirs: null, unread_ours: null}]' \
		"$cluster_dir/repair" >/dev/null || fail "$(cat "$cluster_dir/repair")"
}

repair_alone() {
	sed -i 's/^\[store\]$/&\nmirror = no/' "$cluster_dir/h2.conf"
	cluster_reboot h2 >/dev/null
	wait_for "$RETURN_S" cluster_answers h2 || fail "h2 does not return" || return 1
	knell_on h2 -j cluster repair | jq -e '.alone' >/dev/null || fail "not alone" || return 1
	[ "$(knell_on h2 cluster repair)" = 'alone: h2 keeps its objects without any peer' ] || fail "no words for it" || return 1
	begin_slowly h2 /bucket/slow && shows h2 '.replicas == []' || return 1
	knell_on h2 upload cancel "$(jq '.[0].id' "$cluster_dir/uploads")"
	wait "$slow"
	wait_for 10 tidy h2 || fail "something of it is left"
}

without_drive() {
	lab cut h2 >/dev/null
	sed -i '/^\[store\]$/,$d' "$cluster_dir/h2.conf"
	cluster_reboot h2 >/dev/null
	wait_for "$RETURN_S" cluster_answers h2 || fail "h2 does not return" || return 1
	local verb
	for verb in "upload show" "upload cancel 1" "cluster repair"; do
		# shellcheck disable=SC2086 # two words or three
		! knell_on h2 $verb >"$cluster_dir/out" 2>&1 && grep -q 'set drive in \[store\]' "$cluster_dir/out" ||
			fail "$verb: $(cat "$cluster_dir/out")" || return 1
	done
}

run "two nodes come together" cluster_up 2 lan 2
head -c "$LARGE_BYTES" /dev/urandom >"$cluster_dir/large"
head -c 5000 /dev/urandom >"$cluster_dir/small"
run "they keep objects" wait_for 20 s3_is 200 h1 -X PUT /bucket
run "an upload is shown, with its replica" shown_with_its_replica
run "it is cancelled: its client may try again, and nothing of it stays" cancelled
run "a part is shown as one" part_shown
run "nodes that have the same are in step" repair_in_step
run "what is not known of a peer is not told" repair_never_met
run "a node that mirrors with nobody is alone" repair_alone
run "without a drive all of it is refused, and why" without_drive
finish
