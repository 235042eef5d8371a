#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_mirror.sh - three nodes keep the same objects, and one or two of them lose power: what is
# acknowledged is everywhere, an upload survives the death of a replica, and where no majority is left
# the client hears so at once. Requests by curl, unmodified.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/mirror.sh"
need_root_and_lab

SIZE_MIB=$(in_mode 48 1024 1024)
RECEIVER_CUTS=$(in_mode 4 50 50)
readonly SIZE_MIB RECEIVER_CUTS
# So that the upload is well under way when the power goes, and goes on well after it.
readonly RATE=$((SIZE_MIB / 6))M
readonly GAP_LIMIT_MS=1000 REFUSAL_LIMIT_MS=1000 RETURN_S=60

make_files() {
	head -c 5000 /dev/urandom >"$cluster_dir/small"
	head -c 70000 /dev/urandom >"$cluster_dir/other"
	head -c "${SIZE_MIB}M" /dev/urandom >"$cluster_dir/large"
}

# What one node has acknowledged the others show, in the very next request.
read_after_write() {
	s3_is 200 h1 -X PUT /bucket && s3_is 200 h2 -I /bucket && s3_is 409 h3 -X PUT /bucket &&
		s3_put h1 "$cluster_dir/small" /bucket/a && s3_same h2 "$cluster_dir/small" /bucket/a &&
		s3_put h2 "$cluster_dir/other" /bucket/a && s3_same h3 "$cluster_dir/other" /bucket/a &&
		s3_same h1 "$cluster_dir/other" /bucket/a || return 1
	local i host
	for i in {1..20}; do
		host=h$((i % 3 + 1))
		s3_put "$host" "$cluster_dir/small" "/bucket/k$i" || return 1
		host=h$(((i + 1) % 3 + 1))
		s3_keys "$host" bucket | grep -qx "k$i" || fail "k$i is not in the list of $host" || return 1
		s3_is 204 "$host" -X DELETE "/bucket/k$i" || return 1
		host=h$(((i + 2) % 3 + 1))
		! s3_keys "$host" bucket | grep -qx "k$i" || fail "k$i is in the list of $host still" || return 1
		s3_is 404 "$host" "/bucket/k$i" || return 1
	done
}

# An upload in parts, each through another node.
parts_anywhere() {
	local id i etag=() body=
	split -n 3 "$cluster_dir/large" "$cluster_dir/part."
	id=$(s3 h1 -X POST '/bucket/parts?uploads=' | grep -o '<UploadId>[^<]*' | sed 's/<UploadId>//')
	[ -n "$id" ] || fail "no upload" || return 1
	i=0
	for part in "$cluster_dir"/part.a?; do
		i=$((i + 1))
		etag[i]=$(s3 "h$i" -D - -o /dev/null -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T "$part" \
			"/bucket/parts?partNumber=$i&uploadId=$id" | tr -d '\r' | awk 'tolower($1) == "etag:" { print $2 }')
		[ -n "${etag[i]}" ] || fail "part $i has no etag" || return 1
		body+="<Part><PartNumber>$i</PartNumber><ETag>${etag[i]}</ETag></Part>"
	done
	s3_is 200 h2 -X POST -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --data-binary "<CompleteMultipartUpload>$body</CompleteMultipartUpload>" \
		"/bucket/parts?uploadId=$id" && s3_same h3 "$cluster_dir/large" /bucket/parts &&
		s3_same h1 "$cluster_dir/large" /bucket/parts && s3_is 204 h1 -X DELETE /bucket/parts
}

# begin_upload HOST PATH: in the background, at RATE; its status goes to $cluster_dir/status.
begin_upload() {
	s3_status "$1" --limit-rate "$RATE" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
		-D "$cluster_dir/head" -T "$cluster_dir/large" "$2" >"$cluster_dir/status" 2>"$cluster_dir/curl.err" &
	upload=$!
	wait_for 20 uploading "$1" $((SIZE_MIB * 1048576 / 8)) || fail "the upload does not begin"
}

# How far the uploads on h1 are, every 5 ms, into progress.
watch_progress() {
	"$KNELL_BUILD/lab_ask" "$cluster_dir/h1.sock" '{"cmd":"upload.show"}' 300 5 >"$cluster_dir/progress" &
	asking=$!
}

stop_watching() {
	kill "$asking" 2>/dev/null
	wait "$asking"
}

# The longest time, in ms, for which the bytes taken stood still, of all that lab_ask saw.
largest_gap_ms() {
	jq -rn '[inputs | select(.answer.ok and (.answer.data | length > 0)) | {t: .at_ns, b: .answer.data[0].bytes}] as $seen |
		reduce $seen[] as $s ({b: -1, t: null, gap: 0};
			if $s.b != .b then
				(if .t == null then 0 else ($s.t - .t) end) as $g |
				{b: $s.b, t: $s.t, gap: ([.gap, $g] | max)}
			else . end) | .gap / 1e6' "$cluster_dir/progress"
}

replica_dies() {
	local cut dead
	begin_upload h1 /bucket/large || return 1
	watch_progress
	cut=$(lab cut h3 | jq -r .cut_ns)
	wait "$upload"
	stop_watching
	[ "$(cat "$cluster_dir/status")" = 200 ] ||
		fail "the upload ended with $(cat "$cluster_dir/status" "$cluster_dir/curl.err")" || return 1
	wait_for 5 cluster_said h1 h3 dead "$cut" || fail "h3 is not dead" || return 1
	dead=$(cluster_event h1 h3 dead "$cut")
	gap=$(largest_gap_ms)
	figure upload_gap_ms lan "replica off, $SIZE_MIB MiB" ms "$gap"
	at_most "$gap" "$GAP_LIMIT_MS" "the upload stood still" || return 1
	[ "$(jq -rs --argjson dead "$dead" 'map(select(.at_ns > $dead and .answer.ok and (.answer.data | length > 0))) | length' \
		"$cluster_dir/progress")" -gt 0 ] || fail "the upload was over before the verdict" || return 1
	s3_same h1 "$cluster_dir/large" /bucket/large && s3_same h2 "$cluster_dir/large" /bucket/large &&
		s3_put h2 "$cluster_dir/other" /bucket/meanwhile && s3_is 204 h1 -X DELETE /bucket/a
}

# A program that stands still is not a host that is off: it is left behind, and nobody is cut off.
replica_freezes() {
	local since status
	since=$(now_ns)
	begin_upload h1 /bucket/frozen || return 1
	watch_progress
	lab freeze h3 >/dev/null
	wait "$upload"
	stop_watching
	status=$(cat "$cluster_dir/status")
	lab thaw h3 >/dev/null
	[ "$status" = 200 ] || fail "the upload ended with $status" || return 1
	gap=$(largest_gap_ms)
	figure upload_gap_ms lan "replica frozen, $SIZE_MIB MiB" ms "$gap"
	at_most "$gap" "$GAP_LIMIT_MS" "the upload stood still" || return 1
	[ "$(verdicts h1 h3 lost "$since")" = 0 ] || fail "h3 is said to be lost" || return 1
	s3_same h2 "$cluster_dir/large" /bucket/frozen && wait_for "$RETURN_S" repaired h3 ||
		fail "${why:-h3 is not repaired}" || return 1
	s3_same h3 "$cluster_dir/large" /bucket/frozen && s3_is 204 h3 -X DELETE /bucket/frozen
}

# What it missed is there at once, from others; and soon of its own.
replica_returns() {
	cluster_reboot h3 >/dev/null
	wait_for "$RETURN_S" cluster_is h1 h3 alive && wait_for "$RETURN_S" cluster_answers h3 ||
		fail "h3 does not return" || return 1
	wait_for 10 s3_is 200 h3 -I /bucket || return 1
	s3_is 404 h3 /bucket/a && s3_same h3 "$cluster_dir/other" /bucket/meanwhile &&
		wait_for "$RETURN_S" repaired h3 || fail "${why:-h3 is not repaired}" || return 1
	# Alone with its own drive it would not answer: look at the files.
	[ "$(find "$cluster_dir/h3.drive/data" -type f -size "${SIZE_MIB}M" -exec cmp -s {} "$cluster_dir/large" \; -print | wc -l)" -eq 1 ] ||
		fail "the object is not on h3's drive" || return 1
	s3_same h3 "$cluster_dir/large" /bucket/large && tidy h3
}

majority_dies() {
	local cut stamp ended
	begin_upload h1 /bucket/two || return 1
	cut=$(lab cut h2 | jq -r .cut_ns)
	lab cut h3 >/dev/null
	wait "$upload"
	ended=$(now_ns)
	wait_for 5 cluster_said h1 h2 dead "$cut" || wait_for 5 cluster_said h1 h2 isolated "$cut" ||
		fail "no verdict" || return 1
	stamp=$(jq -rn --argjson cut "$cut" '[inputs | select(.event == "verdict" and .ts_ns > $cut and
		(.to == "dead" or .to == "isolated")) | .ts_ns] | min' "$cluster_dir/h1.events")
	figure upload_refused_ms lan "two of three off" ms "$(since_ms "$ended" "$stamp")"
	[ "$(cat "$cluster_dir/status")" = 503 ] || fail "answers $(cat "$cluster_dir/status") instead of 503" || return 1
	grep -qi '^retry-after:' "$cluster_dir/head" || fail "no Retry-After" || return 1
	grep -q '<Code>\(SlowDown\|ServiceUnavailable\)</Code>' "$cluster_dir/answer" ||
		fail "the code is $(head -c 200 "$cluster_dir/answer")" || return 1
	at_most "$(since_ms "$ended" "$stamp")" "$REFUSAL_LIMIT_MS" "refused late" || {
		jq -c --argjson cut "$cut" '[(.ts_ns - $cut) / 1e6, .peer, .to]' "$cluster_dir/h1.events" | tail -n 8 | sed 's/^/# /'
		return 1
	}
	# Nor does anything else wait.
	s3_is 503 h1 /bucket/large && s3_is 503 h1 -X PUT /elsewhere
}

majority_returns() {
	local host
	for host in h2 h3; do
		cluster_reboot "$host" >/dev/null
	done
	for host in h2 h3; do
		wait_for "$RETURN_S" cluster_is h1 "$host" alive || fail "$host does not return" || return 1
	done
	wait_for 20 s3_put h1 "$cluster_dir/large" /bucket/two && s3_same h2 "$cluster_dir/large" /bucket/two &&
		wait_for "$RETURN_S" repaired h3 && s3_same h3 "$cluster_dir/large" /bucket/two && tidy h1 && tidy h2 && tidy h3
}

# put_many: small objects through h1, by a client on h2, one after the other; what was acknowledged is
# noted in acked.
put_many() {
	local i=0
	while [ -e "$cluster_dir/go" ]; do
		i=$((i + 1))
		head -c $((RANDOM * 8)) /dev/urandom >"$cluster_dir/many.$1.$i"
		[ "$(s3_from h2 h1 -m 2 -o /dev/null -w '%{http_code}' -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
			-T "$cluster_dir/many.$1.$i" "/bucket/many.$1.$i" 2>/dev/null)" != 200 ] ||
			echo "many.$1.$i" >>"$cluster_dir/acked"
	done
}

# The receiver loses power in the middle of whatever it does.
receiver_dies() {
	local round name host
	s3_is 204 h2 -X DELETE /bucket/large
	: >"$cluster_dir/acked"
	for ((round = 1; round <= RECEIVER_CUTS; round++)); do
		touch "$cluster_dir/go"
		put_many "$round" &
		putting=$!
		# A random point is what is tested.
		sleep "0.$((RANDOM % 9))$((RANDOM % 9))"
		lab cut h1 >/dev/null
		rm "$cluster_dir/go"
		wait "$putting"
		cluster_reboot h1 >/dev/null
		wait_for "$RETURN_S" cluster_is h2 h1 alive && wait_for "$RETURN_S" s3_is 200 h1 -I /bucket ||
			fail "h1 does not return" || return 1
	done
	[ -s "$cluster_dir/acked" ] || fail "nothing was acknowledged" || return 1
	wait_for "$RETURN_S" repaired h1 && wait_for "$RETURN_S" repaired h2 && wait_for "$RETURN_S" repaired h3 ||
		fail "not repaired" || return 1
	while read -r name; do
		for host in h1 h2 h3; do
			s3_same "$host" "$cluster_dir/$name" "/bucket/$name" || return 1
		done
	done <"$cluster_dir/acked"
	# Whatever is visible is whole, acknowledged or not.
	for name in $(s3_keys h2 bucket | grep '^many'); do
		s3_same h2 "$cluster_dir/$name" "/bucket/$name" || return 1
	done
	for host in h1 h2 h3; do
		wait_for 10 tidy "$host" || fail "something half-written is left on $host" || return 1
	done
}

run "three nodes come together" cluster_up 3 lan 2
make_files
run "what one node acknowledged all show at once" read_after_write
run "parts through different nodes become one object" parts_anywhere
run "a replica's program is frozen: it is left behind, and caught up" replica_freezes
run "a replica loses power in the middle of $SIZE_MIB MiB: the client never notices" replica_dies
run "it returns, and has what it missed" replica_returns
run "two of three lose power: 503 at once" majority_dies
run "they return, and the client's next try succeeds" majority_returns
run "the receiver loses power $RECEIVER_CUTS times: nothing acknowledged is lost, nothing partial visible" receiver_dies
finish
