# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# s3_clients.sh - the S3 clients that nobody here wrote, all with the same five functions. Source it
# after s3.sh; they speak to $url, which s3_at sets.
#
# shellcheck disable=SC2034,SC2154 # for who sources this; see common.sh

s3_clients="rclone s3cmd aws minio sdk"

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
