# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# s3.sh - what lab tests with S3 clients need: S3 out of a directory, and the clients that Debian and
# npm have. Source it after common.sh. Everything is made below `work` and goes with it.
#
# shellcheck disable=SC2034,SC2154 # for who sources this; see common.sh

s3_programs=$tests_root/tests/s3
export KNELL_ROOT_USER=knelltest KNELL_ROOT_PASSWORD=knellsecretpassword
export AWS_ACCESS_KEY_ID=$KNELL_ROOT_USER AWS_SECRET_ACCESS_KEY=$KNELL_ROOT_PASSWORD
unset AWS_CA_BUNDLE AWS_PROFILE
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER='' AWS_MAX_ATTEMPTS=2

[ -x "$KNELL_BUILD/lab_s3_serve" ] || skip_all "$KNELL_BUILD is not built: make tests"
work=$(mktemp -d /tmp/knell-s3-XXXXXX)
export HOME=$work AWS_CONFIG_FILE=$work/aws AWS_SHARED_CREDENTIALS_FILE=$work/aws-credentials
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT

# serve DIR [CERT KEY]: S3 out of DIR; sets `port`.
serve() {
	local out=$work/serve-${#servers[@]}
	mkdir -p "$1"
	"$KNELL_BUILD/lab_s3_serve" "$1" 0 "${@:2}" >"$out" 2>&1 &
	servers+=($!)
	wait_for 10 grep -q '^port' "$out" || skip_all "cannot serve: $(tail -n 1 "$out")"
	port=$(awk '/^port/ { print $2 }' "$out")
}

# make_certificate: for 127.0.0.1, as $work/cert.pem and $work/key.pem.
make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
}

# ends_clean: an orderly end of every server, and nothing left half-written.
ends_clean() {
	local pid
	for pid in "${servers[@]}"; do
		kill "$pid" && wait "$pid" || fail "status $?" || return 1
	done
	[ -z "$(find "$work"/store*/tmp -type f 2>/dev/null)" ] || fail "temporary files are left"
}

# ---- contents ----

# make_tree COUNT: files in folders below $work/tree, from none to some 70 KiB.
make_tree() {
	local i
	for ((i = 0; i < $1; i++)); do
		mkdir -p "$work/tree/d$((i % 7))"
		head -c $((i * 37)) /dev/urandom >"$work/tree/d$((i % 7))/file $i+ü&.bin"
	done
}

same() { cmp -s "$1" "$2" || fail "$2 differs from $1"; }

# same_tree DIR: as $work/tree.
same_tree() { diff -r "$work/tree" "$1" >"$work/diff" || fail "$(head -n 1 "$work/diff")"; }

# ---- the clients; all speak to $url ----

s3cmd_config() {
	cat >"$work/s3cfg" <<-END
		[default]
		access_key = $KNELL_ROOT_USER
		secret_key = $KNELL_ROOT_PASSWORD
		host_base = ${url#http://}
		host_bucket = ${url#http://}
		use_https = False
		multipart_chunk_size_mb = 5
		check_ssl_certificate = False
	END
}

s3() { s3cmd -q --config "$work/s3cfg" "$@" 2>"$work/s3cmd.err" || fail "s3cmd $1: $(tail -n 1 "$work/s3cmd.err")"; }

rc() {
	rclone --config /dev/null --s3-provider Other --s3-endpoint "$url" --s3-access-key-id "$KNELL_ROOT_USER" \
		--s3-secret-access-key "$KNELL_ROOT_PASSWORD" --s3-chunk-size 5M --s3-upload-cutoff 5M \
		--no-check-certificate --retries 1 "$@" 2>"$work/rclone.err" ||
		fail "rclone $1: $(grep -v NOTICE "$work/rclone.err" | head -n 1)"
}

aws_cli() {
	/usr/bin/aws --endpoint-url "$url" --no-verify-ssl "$@" >"$work/aws.out" 2>"$work/aws.err" ||
		fail "aws $1 $2: $(grep -v Warning "$work/aws.err" | head -c 300)"
}

# has_npm: 0, or 77 with `why`.
has_npm() {
	export NODE_PATH=$KNELL_BUILD/s3/node_modules NODE_NO_WARNINGS=1
	type -P node >/dev/null || { why="no Node.js: tools/setup installs it" && return 77; }
	[ -d "$NODE_PATH" ] || { why="no npm packages in $KNELL_BUILD/s3: tests/install_npm could not get them" && return 77; }
}

# s3_js PROGRAM ARGS...
s3_js() { timeout -k 5 300 node "$s3_programs/$1.js" "${@:2}"; }
