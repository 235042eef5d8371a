#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3_tree.sh - whole trees and large objects through S3 clients that nobody here wrote: rclone, s3cmd,
# aws, and the clients of npm. A tree goes up, is changed, goes up again as far as it differs, and
# comes back; a large object goes up in parts. What comes back is compared.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/s3.sh"

TREE_FILES=$(in_mode 200 2000 2000)
LARGE_MIB=$(in_mode 48 1024 1024)
readonly TREE_FILES LARGE_MIB

# A client is five functions: CLIENT_make BUCKET, CLIENT_up DIR BUCKET, CLIENT_down BUCKET DIR,
# CLIENT_put FILE BUCKET KEY, CLIENT_get BUCKET KEY FILE.

rclone_make() { rc mkdir ":s3:$1"; }
rclone_up() { rc sync "$1" ":s3:$2"; }
rclone_down() { rc sync ":s3:$1" "$2"; }
rclone_put() { rc copyto "$1" ":s3:$2/$3"; }
rclone_get() { rc copyto ":s3:$1/$2" "$3"; }

s3cmd_make() { s3cmd_config && s3 mb "s3://$1"; }
s3cmd_up() { s3 sync --delete-removed "$1/" "s3://$2/"; }
s3cmd_down() { mkdir -p "$2" && s3 sync "s3://$1/" "$2/"; }
s3cmd_put() { s3 put "$1" "s3://$2/$3"; }
s3cmd_get() { s3 get --force "s3://$1/$2" "$3"; }

aws_make() {
	[ -x /usr/bin/aws ] || { why="no aws" && return 77; }
	aws_cli s3 mb "s3://$1"
}
aws_up() { aws_cli s3 sync --delete "$1" "s3://$2"; }
aws_down() { aws_cli s3 sync "s3://$1" "$2"; }
aws_put() { aws_cli s3 cp "$1" "s3://$2/$3"; }
aws_get() { aws_cli s3 cp "s3://$1/$2" "$3"; }

npm_client() { s3_js mirror "$1" "$url" "${@:2}" >"$work/js.out" || fail "$1: $(head -n 1 "$work/js.out")"; }

minio_make() { has_npm && npm_client minio makeBucket "$1"; }
minio_up() { npm_client minio up "$@"; }
minio_down() { npm_client minio down "$@"; }
minio_put() { npm_client minio put "$@"; }
minio_get() { npm_client minio get "$@"; }

sdk_make() { has_npm && npm_client aws-sdk makeBucket "$1"; }
sdk_up() { npm_client aws-sdk up "$@"; }
sdk_down() { npm_client aws-sdk down "$@"; }
sdk_put() { npm_client aws-sdk put "$@"; }
sdk_get() { npm_client aws-sdk get "$@"; }

# listed BUCKET: its first thousand objects, as they are listed.
listed() {
	curl -sS -m 60 --aws-sigv4 aws:amz:us-east-1:s3 --user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" \
		"$url/$1" | grep -o '<Contents>.*</Contents>'
}

# One file is changed, one is new, one is gone.
change_tree() {
	echo more >>"$work/tree/d1/file 1+ü&.bin"
	echo "$1" >"$work/tree/d2/of $1"
	rm -f "$work/tree/d0/file $((7 * ++changes))+ü&.bin"
}

# tree CLIENT: in a bucket of the same name, with -tree behind it.
tree() {
	local client=$1 bucket=$1-tree before
	"${client}_make" "$bucket" || return
	"${client}_up" "$work/tree" "$bucket" || return 1
	before=$(listed "$bucket")
	"${client}_up" "$work/tree" "$bucket" || return 1
	[ -n "$before" ] && [ "$before" = "$(listed "$bucket")" ] || fail "what is the same is sent again" || return 1
	change_tree "$client"
	"${client}_up" "$work/tree" "$bucket" || return 1
	[ "$before" != "$(listed "$bucket")" ] || fail "a change is not sent" || return 1
	"${client}_down" "$bucket" "$work/back-$client" && same_tree "$work/back-$client" || return 1
	rm -rf "$work/back-$client"
}

# large CLIENT: by its sum, since it is read once for all clients.
large() {
	local client=$1 bucket=$1-large sum
	"${client}_make" "$bucket" || return
	"${client}_put" "$work/large" "$bucket" large && "${client}_get" "$bucket" large "$work/large-back" || return 1
	sum=$(sha256sum <"$work/large-back")
	[ "$sum" = "$large_sum" ] || fail "what comes back is another" || return 1
	rm "$work/large-back"
	rc delete ":s3:$bucket" || return 1
}

make_tree "$TREE_FILES"
head -c "${LARGE_MIB}M" /dev/urandom >"$work/large"
large_sum=$(sha256sum <"$work/large")
changes=0
serve "$work/store"
url=http://127.0.0.1:$port
for client in rclone s3cmd aws minio sdk; do
	run "$client: a tree of $TREE_FILES files goes up, is changed, comes back" tree "$client"
	run "$client: $LARGE_MIB MiB in parts" large "$client"
done
run "the server ends in order, with no temporary file left" ends_clean
finish
