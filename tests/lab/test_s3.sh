#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3.sh - S3 clients that nobody here wrote, unmodified as Debian ships them, against one node's
# S3: s3cmd, rclone, aws and curl put, get, list, copy, delete and upload in parts, in the clear and
# over TLS, and what comes back is compared. Then requests that nobody should send.
. "$(dirname "$0")/common.sh"

PARTS_MIB=$(in_mode 20 1024 1024)
TREE_FILES=$(in_mode 60 2000 2000)
readonly PARTS_MIB TREE_FILES
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

make_data() {
	local i
	head -c 3000 /dev/urandom >"$work/small"
	: >"$work/empty"
	head -c "${PARTS_MIB}M" /dev/urandom >"$work/large"
	for ((i = 0; i < TREE_FILES; i++)); do
		mkdir -p "$work/tree/d$((i % 7))"
		head -c $((i * 37)) /dev/urandom >"$work/tree/d$((i % 7))/file $i+ü&.bin"
	done
}

same() { cmp -s "$1" "$2" || fail "$2 differs from $1"; }

# refused COMMAND...: it must fail.
refused() { ! "$@" >/dev/null 2>&1 || fail "succeeds: $*"; }

# ---- curl ----

signed() {
	curl -sS -m 60 --aws-sigv4 aws:amz:us-east-1:s3 --user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" "$@"
}

status() { signed -o "$work/answer" -w '%{http_code}' "$@"; }

# answers STATUS CODE [CURL ARGUMENTS]: what a bad request gets.
answers() {
	local want=$1 code=$2 got
	shift 2
	got=$("$@") || true
	[ "$got" = "$want" ] || fail "$got instead of $want: $(head -c 300 "$work/answer")" || return 1
	[ -z "$code" ] || grep -q "<Code>$code</Code>" "$work/answer" || fail "no $code: $(head -c 300 "$work/answer")"
}

with_curl() {
	local unsigned=(-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD')
	answers 200 '' status -X PUT "$url/curl" &&
		answers 409 BucketAlreadyOwnedByYou status -X PUT "$url/curl" &&
		answers 200 '' status "${unsigned[@]}" -T "$work/large" "$url/curl/large" &&
		answers 200 '' status "$url/curl/large" && same "$work/large" "$work/answer" &&
		answers 206 '' status -r 1000-1999 "$url/curl/large" &&
		same <(tail -c +1001 "$work/large" | head -c 1000) "$work/answer" &&
		answers 416 InvalidRange status -r 99999999999- "$url/curl/large" &&
		answers 200 '' status "${unsigned[@]}" -H 'Expect:' -T "$work/small" "$url/curl/small" &&
		answers 304 '' status -H "If-None-Match: \"$(md5sum <"$work/small" | cut -d' ' -f1)\"" "$url/curl/small" &&
		answers 412 PreconditionFailed status -H 'If-Match: "0"' "$url/curl/small" &&
		answers 200 '' status -X PUT -H 'x-amz-copy-source: /curl/small' "$url/curl/copy" &&
		answers 200 '' status "$url/curl/copy" && same "$work/small" "$work/answer" &&
		answers 409 BucketNotEmpty status -X DELETE "$url/curl" &&
		answers 204 '' status -X DELETE "$url/curl/large" &&
		answers 404 NoSuchKey status "$url/curl/large" &&
		answers 404 NoSuchBucket status "$url/nobody/large" &&
		answers 204 '' status -X DELETE "$url/curl/large"
}

# ---- s3cmd ----

s3() { s3cmd -q --config "$work/s3cfg" "$@" 2>"$work/s3cmd.err" || fail "s3cmd $1: $(tail -n 1 "$work/s3cmd.err")"; }

with_s3cmd() {
	cat >"$work/s3cfg" <<-END
		[default]
		access_key = $KNELL_ROOT_USER
		secret_key = $KNELL_ROOT_PASSWORD
		host_base = 127.0.0.1:$port
		host_bucket = 127.0.0.1:$port
		use_https = False
		multipart_chunk_size_mb = 5
		check_ssl_certificate = False
	END
	s3 mb s3://s3cmd && s3 put "$work/large" s3://s3cmd/large && s3 get --force s3://s3cmd/large "$work/back" &&
		same "$work/large" "$work/back" &&
		s3 sync "$work/tree/" s3://s3cmd/tree/ && s3 sync s3://s3cmd/tree/ "$work/tree-s3cmd/" &&
		same_tree "$work/tree-s3cmd" &&
		s3 cp s3://s3cmd/large s3://s3cmd/copy && s3 get --force s3://s3cmd/copy "$work/back" &&
		same "$work/large" "$work/back" &&
		[ "$(s3cmd --config "$work/s3cfg" ls -r s3://s3cmd | wc -l)" -eq $((TREE_FILES + 2)) ] &&
		s3 del -r --force s3://s3cmd && s3 rb s3://s3cmd
}

same_tree() { diff -r "$work/tree" "$1" >"$work/diff" || fail "$(head -n 1 "$work/diff")"; }

# ---- rclone ----

rc() {
	rclone --config /dev/null --s3-provider Other --s3-endpoint "$url" --s3-access-key-id "$KNELL_ROOT_USER" \
		--s3-secret-access-key "$KNELL_ROOT_PASSWORD" --s3-chunk-size 5M --s3-upload-cutoff 5M \
		--no-check-certificate --retries 1 "$@" 2>"$work/rclone.err" ||
		fail "rclone $1: $(grep -v NOTICE "$work/rclone.err" | head -n 1)"
}

with_rclone() {
	rc mkdir :s3:rclone && rc copyto "$work/large" :s3:rclone/large && rc copyto :s3:rclone/large "$work/back" &&
		same "$work/large" "$work/back" &&
		rc sync "$work/tree" :s3:rclone/tree && rc check "$work/tree" :s3:rclone/tree &&
		rc sync :s3:rclone/tree "$work/tree-rclone" && same_tree "$work/tree-rclone" &&
		rc copyto :s3:rclone/large :s3:rclone/copy && rc copyto :s3:rclone/copy "$work/back" &&
		same "$work/large" "$work/back" &&
		rc purge :s3:rclone
}

# ---- aws ----

aws_cli() {
	/usr/bin/aws --endpoint-url "$url" --no-verify-ssl "$@" >"$work/aws.out" 2>"$work/aws.err" ||
		fail "aws $1 $2: $(grep -v Warning "$work/aws.err" | head -c 300)"
}

with_aws() {
	[ -x /usr/bin/aws ] || { why="no aws" && return 77; }
	aws_cli s3 mb s3://aws-cli && aws_cli s3 cp "$work/large" s3://aws-cli/large &&
		aws_cli s3 cp s3://aws-cli/large "$work/back" && same "$work/large" "$work/back" &&
		aws_cli s3 sync "$work/tree" s3://aws-cli/tree &&
		aws_cli s3 sync s3://aws-cli/tree "$work/tree-aws" && same_tree "$work/tree-aws" &&
		aws_cli s3 cp s3://aws-cli/large s3://aws-cli/copy && aws_cli s3 cp s3://aws-cli/copy "$work/back" &&
		same "$work/large" "$work/back" &&
		aws_cli s3api put-object --bucket aws-cli --key sum --body "$work/small" --checksum-algorithm SHA256 \
			--metadata a=b --content-type text/x-test &&
		aws_cli s3api head-object --bucket aws-cli --key sum && grep -q text/x-test "$work/aws.out" &&
		aws_cli s3api list-objects-v2 --bucket aws-cli --max-items 7 --page-size 3 &&
		aws_cli s3 presign s3://aws-cli/large && curl -sSk -o "$work/back" "$(cat "$work/aws.out")" &&
		same "$work/large" "$work/back" &&
		aws_cli s3 rb --force s3://aws-cli
}

# ---- what nobody should send ----

# raw TEXT: the first line of the answer to these bytes.
raw() {
	local line
	exec 9<>"/dev/tcp/127.0.0.1/$port" && printf '%b' "$1" >&9 2>/dev/null && read -r -t 5 line <&9
	exec 9>&-
	echo "${line%$'\r'}"
}

begins() {
	local got
	got=$(raw "$2")
	[ "$got" = "HTTP/1.1 $1" ] || fail "\"$got\" instead of \"$1\""
}

bad_requests() {
	local key bomb='<!DOCTYPE a [<!ENTITY b "c">]><Delete>&b;</Delete>'
	key=$(printf 'k%.0s' {1..1025})
	answers 200 '' status -X PUT "$url/bad" &&
		answers 400 KeyTooLongError status -T "$work/small" "$url/bad/$key" &&
		answers 400 InvalidArgument status --path-as-is -T "$work/small" "$url/bad/../../etc/passwd" &&
		answers 400 InvalidURI status -T "$work/small" "$url/bad/a%00b" &&
		answers 400 InvalidURI status -T "$work/small" "$url/bad/a%zz" &&
		answers 400 XAmzContentSHA256Mismatch status -T "$work/small" "$url/bad/k" \
			-H 'x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' &&
		answers 400 BadDigest status -T "$work/small" "$url/bad/k" -H 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==' \
			-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' &&
		answers 400 BadDigest status -T "$work/small" "$url/bad/k" -H 'x-amz-checksum-crc32: AAAAAA==' \
			-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' &&
		answers 403 SignatureDoesNotMatch status --user "$KNELL_ROOT_USER:wrong" "$url/bad" &&
		answers 403 InvalidAccessKeyId status --user "nobody:wrong" "$url/bad" &&
		answers 403 AccessDenied curl -s -o "$work/answer" -w '%{http_code}' "$url/bad" &&
		answers 400 MalformedXML status -X POST -d "$bomb" "$url/bad?delete=" \
			-H "x-amz-content-sha256: $(printf %s "$bomb" | sha256sum | cut -d' ' -f1)" &&
		answers 200 '' status "$url/bad" && ! grep -q '<Key>' "$work/answer" &&
		answers 204 '' status -X DELETE "$url/bad"
}

bad_http() {
	begins "400 Bad Request" 'PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' &&
		begins "400 Bad Request" 'PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd' &&
		begins "400 Bad Request" 'GET / HTTP/1.1\r\n\r\n' &&
		begins "501 Not Implemented" 'PUT /b/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n' &&
		begins "400 Bad Request" "GET / HTTP/1.1\r\nHost: a\r\nX: $(head -c 40000 /dev/zero | tr '\0' x)\r\n\r\n" &&
		begins "403 Forbidden" 'GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n'
}

with_tls() {
	local port url
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
	serve "$work/store-tls" "$work/cert.pem" "$work/key.pem"
	url=https://127.0.0.1:$port
	signed() {
		curl -sSk -m 60 --aws-sigv4 aws:amz:us-east-1:s3 --user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" "$@"
	}
	with_curl && with_rclone
}

# An orderly end, and nothing left half-written.
ends_clean() {
	local pid
	for pid in "${servers[@]}"; do
		kill "$pid" && wait "$pid" || fail "status $?" || return 1
	done
	[ -z "$(find "$work"/store*/tmp -type f 2>/dev/null)" ] || fail "temporary files are left"
}

make_data
serve "$work/store"
url=http://127.0.0.1:$port
SECONDS=0
run "curl: put, get, ranges, conditions, copy, delete" with_curl
run "s3cmd: $PARTS_MIB MiB in parts, a tree of $TREE_FILES files, copy, delete" with_s3cmd
run "rclone: $PARTS_MIB MiB in parts, a tree of $TREE_FILES files, copy, delete" with_rclone
run "aws: $PARTS_MIB MiB in parts, a tree of $TREE_FILES files, checksums, presigned, copy, delete" with_aws
run "bad S3 requests get the right error and leave nothing" bad_requests
run "bad HTTP requests get the right status" bad_http
run "over TLS, without client certificates" with_tls
run "the server ends in order, with no temporary file left" ends_clean
finish
