#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_mirror_clients.sh - each of the S3 clients uploads a large object to a cluster of three, and a
# replica loses power in the middle: no client errs, the bytes never stand still for long, and what is
# kept is the same everywhere, on the third after its return. Then two of three lose power, and the
# client's own retries outlast it.
#
# It runs itself inside a host, as `--client CLIENT VERB...`, to be that client.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/s3.sh"
. "$(dirname "$0")/s3_clients.sh"

if [ "${1:-}" = --client ]; then
	client=$2 url=$3
	s3cmd_config
	has_npm || true
	why=
	"${client}_$4" "${@:5}" || {
		status=$?
		echo "$why"
		exit "$status"
	}
	exit 0
fi

. "$(dirname "$0")/mirror.sh"
need_root_and_lab
trap 'rm -rf "$work"; cluster_down' EXIT

LARGE_MIB=$(in_mode 48 1024 1024)
readonly LARGE_MIB GAP_LIMIT_MS=1000 RETURN_S=120 CLIENT_S=1200
export AWS_RETRY_MODE=standard

# as CLIENT VERB...: on $client_host, speaking to h1.
client_host=h2
as() {
	lab exec "$client_host" timeout "$CLIENT_S" "$0" --client "$1" "$(s3_url h1)" "${@:2}" >"$work/said" 2>&1 || {
		local status=$?
		why=$(tail -n 1 "$work/said")
		return "$status"
	}
}

# Where all uploads on h1 are, every 5 ms.
watch_progress() {
	"$KNELL_BUILD/lab_ask" "$cluster_dir/h1.sock" '{"cmd":"upload.show"}' 1800 5 >"$work/progress" &
	asking=$!
}

stop_watching() {
	kill "$asking" 2>/dev/null
	wait "$asking"
}

# The longest time in ms for which uploads were under way and none of them moved.
largest_gap_ms() {
	jq -rn 'reduce (inputs | select(.answer.ok) | {t: .at_ns, b: [.answer.data[] | [.id, .bytes]]}) as $s
		({b: [], t: 0, gap: 0};
		if $s.b != .b then (if .b == [] then 0 else $s.t - .t end) as $g | {b: $s.b, t: $s.t, gap: ([.gap, $g] | max)} else . end) |
		.gap / 1e6' "$work/progress"
}

# under_way MIB: h1 has received so much of the object, finished parts and all.
under_way() {
	[ "$(du -sm "$cluster_dir/h1.drive" | cut -f1)" -ge $((base_mib + $1)) ]
}

# begin CLIENT BUCKET: the large object, in the background; returns when a quarter of it is there.
begin() {
	base_mib=$(du -sm "$cluster_dir/h1.drive" | cut -f1)
	as "$1" put "$work/large" "$2" large &
	putting=$!
	wait_for 300 under_way $((LARGE_MIB / 4)) || fail "the upload does not begin: $(tail -n 1 "$work/said")"
}

ended_well() {
	wait "$putting" || fail "ended with $?: $(tail -n 2 "$work/said")"
}

comes_back() {
	cluster_reboot "$1" >/dev/null
	wait_for "$RETURN_S" cluster_is h1 "$1" alive || fail "$1 does not return" || return 1
	wait_for "$RETURN_S" cluster_answers "$1" || fail "the agent of $1 does not answer"
}

# same_on HOST BUCKET: the object there is what was sent, read from that very node.
same_on() {
	local sum
	sum=$(lab exec h2 curl -sS -m 300 --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" "$(s3_url "$1")/$2/large" | sha256sum)
	[ "$sum" = "$large_sum" ] || fail "the object on $1 is another"
}

replica_dies() {
	local client=$1 gap
	as "$client" make "$client" || return
	watch_progress
	begin "$client" "$client" || { stop_watching && return 1; }
	lab cut h3 >/dev/null
	ended_well || { stop_watching && return 1; }
	stop_watching
	gap=$(largest_gap_ms)
	figure upload_gap_ms lan "$client, replica off, $LARGE_MIB MiB" ms "$gap"
	at_most "$gap" "$GAP_LIMIT_MS" "the upload stood still" && same_on h1 "$client" && same_on h2 "$client" &&
		comes_back h3 && wait_for "$RETURN_S" repaired h3 || fail "${why:-h3 is not repaired}" || return 1
	same_on h3 "$client" && s3_is 204 h1 -X DELETE "/$client/large"
}

# The SDK is told to try again, does, and succeeds once they are back.
sdk_outlasts() {
	local cut
	client_host=h1
	as sdk make sdk-patient || return
	export S3_ATTEMPTS=30
	begin sdk sdk-patient || return 1
	cut=$(lab cut h2 | jq -r .cut_ns)
	lab cut h3 >/dev/null
	refused() {
		[ "$(verdicts h1 h2 isolated "$cut")" -gt 0 ] || [ "$(verdicts h1 h2 dead "$cut")" -gt 0 ]
	}
	wait_for 10 refused || fail "no verdict" || return 1
	wait_for 2 s3_is 503 h1 -X PUT /elsewhere && kill -0 "$putting" 2>/dev/null ||
		fail "${why:-the client has given up}" || return 1
	comes_back h2 && comes_back h3 && ended_well && wait_for "$RETURN_S" repaired h2 && wait_for "$RETURN_S" repaired h3 ||
		fail "${why:-not repaired}" || return 1
	same_on h2 sdk-patient && same_on h3 sdk-patient
}

cluster_up 3 lan 2 || exit 1
head -c "${LARGE_MIB}M" /dev/urandom >"$work/large"
large_sum=$(sha256sum <"$work/large")
for client in $(in_mode "rclone aws sdk" "$s3_clients" "$s3_clients"); do
	run "$client: $LARGE_MIB MiB while a replica loses power" replica_dies "$client"
done
run "sdk: two of three lose power, and its own retries outlast it" sdk_outlasts
finish
