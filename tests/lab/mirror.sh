# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # cluster_dir: see cluster.sh
# mirror.sh - a cluster that keeps objects, for tests that look at them. Source it after common.sh.
#
# Every host has a drive of its own, which outlives its power-off, and speaks S3 in the clear on port
# 9000. Requests are put from inside a host: `s3 HOST CURL-ARGUMENTS...`.

export KNELL_ROOT_USER=knelltest KNELL_ROOT_PASSWORD=knellsecretpassword
export AWS_ACCESS_KEY_ID=$KNELL_ROOT_USER AWS_SECRET_ACCESS_KEY=$KNELL_ROOT_PASSWORD
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER=''
unset AWS_CA_BUNDLE AWS_PROFILE

cluster_more() {
	mkdir -p "$cluster_dir/$1.drive"
	echo "[store]"
	echo "drive = $cluster_dir/$1.drive"
	echo "[s3]"
	echo "listen = $(lab addr "$1" 4):9000"
	echo "tls = no"
	echo "access_key = $KNELL_ROOT_USER"
	echo "secret_key = $KNELL_ROOT_PASSWORD"
}

s3_url() {
	echo "http://$(lab addr "$1" 4):9000"
}

# s3_from CLIENT HOST ARGUMENTS FOR CURL..., the last one a path: signed, from inside CLIENT.
s3_from() {
	local client=$1 host=$2
	shift 2
	lab exec "$client" curl -sS -m 120 --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "$KNELL_ROOT_USER:$KNELL_ROOT_PASSWORD" "${@:1:$#-1}" "$(s3_url "$host")${*: -1}"
}

s3() {
	s3_from "$1" "$@"
}

# s3_status HOST ARGUMENTS...: the HTTP status; the body goes to $cluster_dir/answer.
s3_status() {
	local host=$1
	shift
	s3 "$host" -o "$cluster_dir/answer" -w '%{http_code}' "$@"
}

# s3_is STATUS HOST ARGUMENTS...
s3_is() {
	local want=$1 got
	shift
	got=$(s3_status "$@")
	[ "$got" = "$want" ] || fail "$* answers $got instead of $want: $(head -c 200 "$cluster_dir/answer")"
}

# s3_put HOST FILE PATH
s3_put() {
	s3_is 200 "$1" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T "$2" "$3"
}

# s3_same HOST FILE PATH: the object is the file, byte by byte.
s3_same() {
	s3_is 200 "$1" "$3" || return 1
	cmp -s "$2" "$cluster_dir/answer" || fail "$3 on $1 is not $2"
}

# s3_keys HOST BUCKET: all keys, one per line.
s3_keys() {
	s3 "$1" "/$2?list-type=2" | grep -o '<Key>[^<]*' | sed 's/<Key>//'
}

# repaired HOST: nothing is missing there, and it has read everybody's journal.
repaired() {
	knell_on "$1" -j cluster repair |
		jq -e '.away_count == 0 and ([.peers[] | select(.unread_theirs > 0 or (.met | not))] | length == 0)' >/dev/null
}

# tidy HOST: no file begun and not finished is left on its drive.
tidy() {
	[ -z "$(ls -A "$cluster_dir/$1.drive/tmp" 2>/dev/null)" ]
}

# uploading HOST BYTES: an upload there has taken so many.
uploading() {
	knell_on "$1" -j upload show | jq -e --argjson bytes "$2" 'map(select(.bytes >= $bytes)) | length > 0' >/dev/null
}
