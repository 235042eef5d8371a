#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3.sh - S3 clients that nobody here wrote, unmodified as Debian ships them, against one node's
# S3: s3cmd, rclone, aws and curl put, get, list, copy, delete and upload in parts, in the clear and
# over TLS, and what comes back is compared. Then requests that nobody should send.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/s3.sh"

PARTS_MIB=$(in_mode 20 1024 1024)
TREE_FILES=$(in_mode 60 2000 2000)
readonly PARTS_MIB TREE_FILES

make_data() {
	head -c 3000 /dev/urandom >"$work/small"
	: >"$work/empty"
	head -c "${PARTS_MIB}M" /dev/urandom >"$work/large"
	make_tree "$TREE_FILES"
}

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

with_s3cmd() {
	s3cmd_config
	s3 mb s3://s3cmd && s3 put "$work/large" s3://s3cmd/large && s3 get --force s3://s3cmd/large "$work/back" &&
		same "$work/large" "$work/back" &&
		s3 sync "$work/tree/" s3://s3cmd/tree/ && s3 sync s3://s3cmd/tree/ "$work/tree-s3cmd/" &&
		same_tree "$work/tree-s3cmd" &&
		s3 cp s3://s3cmd/large s3://s3cmd/copy && s3 get --force s3://s3cmd/copy "$work/back" &&
		same "$work/large" "$work/back" &&
		[ "$(s3cmd --config "$work/s3cfg" ls -r s3://s3cmd | wc -l)" -eq $((TREE_FILES + 2)) ] &&
		s3 del -r --force s3://s3cmd && s3 rb s3://s3cmd
}

# ---- rclone ----

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
	make_certificate
	serve "$work/store-tls" "$work/cert.pem" "$work/key.pem"
	url=https://127.0.0.1:$port
	signed() {
		curl -sSk -m 60 --aws-sigv4 aws:amz:us-east-1:s3 --user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" "$@"
	}
	with_curl && with_rclone
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
