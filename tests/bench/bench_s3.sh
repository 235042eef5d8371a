#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# bench_s3.sh - objects put and got per second: knell's S3 beside nginx with WebDAV's PUT, whose files
# the client then syncs to disk as knell has done when it answers, and beside `rclone serve s3` where
# rclone has it. Small and large objects, on one connection and on several, in turns; what is told is
# the ratio of each turn.
#
# All of it is in the clear on the loopback, out of the same file system. knell's requests are presigned,
# and it makes an MD5 of what it takes, since S3 promises one; nginx does neither.
. "$(dirname "$0")/../lab/common.sh"
. "$(dirname "$0")/../lab/s3.sh"
PATH=$PATH:/usr/sbin
type -P nginx >/dev/null || skip_all "no nginx: tools/setup installs it"

readonly AT_LEAST_PERCENT=80
declare -A address=() # HOST:PORT of each side

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listens() {
	[ -n "$(ss -Htln "sport = $1")" ]
}

start_nginx() {
	local port dir=$work/nginx
	port=$(free_port)
	mkdir -p "$dir/root/bench"
	cat >"$dir/nginx.conf" <<-END
		user root;
		worker_processes auto;
		daemon off;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 512; }
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			tcp_nodelay on;
			keepalive_requests 1000000;
			client_max_body_size 0;
			client_body_temp_path $dir/body;
			server {
				listen 127.0.0.1:$port;
				root $dir/root;
				location / {
					dav_methods PUT DELETE;
					create_full_put_path on;
				}
			}
		}
	END
	nginx -c "$dir/nginx.conf" -e "$dir/error.log" &
	servers+=($!)
	wait_for 10 listens "$port" || fail "nginx: $(tail -n 1 "$dir/error.log")" || return 1
	address[nginx]=127.0.0.1:$port
}

start_rclone() {
	local port
	rclone serve s3 --help 2>&1 | grep -q '^Serve remote:path over s3' ||
		{ why="$(rclone version | head -n 1) has no \`serve s3\`" && return 77; }
	port=$(free_port)
	mkdir -p "$work/rclone/bench"
	rclone --config /dev/null serve s3 --addr "127.0.0.1:$port" "$work/rclone" >"$work/rclone.log" 2>&1 &
	servers+=($!)
	wait_for 10 listens "$port" || fail "rclone: $(tail -n 1 "$work/rclone.log")" || return 1
	address[rclone]=127.0.0.1:$port
}

start_knell() {
	serve "$work/store"
	address[knell]=127.0.0.1:$port
	curl -sS -f --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
		-X PUT "http://127.0.0.1:$port/bench" || fail "no bucket"
}

# urls SIDE METHOD FOLDER COUNT: of objects in that folder.
urls() {
	local keys
	mapfile -t keys < <(printf "bench/$3/%s\n" $(seq "$4"))
	if [ "$1" = nginx ]; then
		printf "http://${address[$1]}/%s\n" "${keys[@]}"
	else
		"$tests_root/tests/bench/presign.py" "$2" "${address[$1]}" "${keys[@]}"
	fi
}

# load SIDE METHOD FOLDER OBJECTS COUNT CONNECTIONS BYTES: prints requests per second.
load() {
	local dir=()
	[ "$1" != nginx ] || dir=("$work/nginx/root")
	[ "$1" != rclone ] || dir=("$work/rclone")
	urls "$1" "$2" "$3" "$4" >"$work/urls"
	"$KNELL_BUILD/lab_http_load" "$2" "$5" "$6" "$7" "$work/urls" "${dir[@]}"
}

connections() {
	printf '%2d connection%s' "$1" "$([ "$1" -eq 1 ] || echo s)"
}

# ratios NAME CONNECTIONS OURS THEIRS: tells both and how they compare, turn by turn.
ratios() {
	local i list=() ours theirs
	read -ra ours <<<"$3"
	read -ra theirs <<<"$4"
	for i in "${!ours[@]}"; do
		list+=("$(awk -v a="${ours[i]}" -v b="${theirs[i]}" 'BEGIN { printf "%.3f", a / b }')")
	done
	figure "s3_$1_ratio" "knell to nginx" "$(connections "$2")" "" "${list[@]}"
	median=$(printf '%s\n' "${list[@]}" | percentile 50)
}

# compare SIZE BYTES OBJECTS GETS CONNECTIONS REPEATS: what is put in a turn is got in the same.
compare() {
	local size=$1 bytes=$2 objects=$3 gets=$4 connections=$5 repeats=$6 i side rate method short=
	local -A rates=()
	for ((i = 0; i < repeats; i++)); do
		for side in "${!address[@]}"; do
			rate=$(load "$side" PUT "$size-$connections-$i" "$objects" "$objects" "$connections" "$bytes") ||
				fail "$side: PUT" || return 1
			rates[$side put]+="$rate "
		done
		for side in "${!address[@]}"; do
			rate=$(load "$side" GET "$size-$connections-$i" "$objects" "$gets" "$connections" "$bytes") ||
				fail "$side: GET" || return 1
			rates[$side get]+="$rate "
		done
	done
	for method in put get; do
		for side in "${!address[@]}"; do
			# shellcheck disable=SC2086 # as many words as repeats
			figure "s3_${method}_${size}_per_s" "$side" "$(connections "$connections")" objects/s ${rates[$side $method]}
		done
		ratios "${method}_$size" "$connections" "${rates[knell $method]}" "${rates[nginx $method]}"
		at_most "$AT_LEAST_PERCENT" "$(awk -v r="$median" 'BEGIN { print r * 100 }')" "$method, percent of nginx" ||
			short+="$why; "
	done
	[ -z "$short" ] || fail "${short%; }"
}

repeats=$(in_mode 3 9 9)
run "knell serves" start_knell
run "nginx serves" start_nginx
run "rclone serves S3" start_rclone
run "64 KiB, 1 connection" compare 64k $((64 << 10)) 200 2000 1 "$repeats"
run "64 KiB, 16 connections" compare 64k $((64 << 10)) 800 4000 16 "$repeats"
run "64 MiB, 1 connection" compare 64m $((64 << 20)) 3 12 1 "$repeats"
run "64 MiB, 4 connections" compare 64m $((64 << 20)) 4 16 4 "$repeats"
finish
