#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3_tree.sh - whole trees and large objects through S3 clients that nobody here wrote: rclone, s3cmd,
# aws, and the clients of npm. A tree goes up, is changed, goes up again as far as it differs, and
# comes back; a large object goes up in parts. What comes back is compared.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/s3.sh"
. "$(dirname "$0")/s3_clients.sh"

TREE_FILES=$(in_mode 100 2000 2000)
LARGE_MIB=$(in_mode 16 1024 1024)
readonly TREE_FILES LARGE_MIB

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
