#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_certs.sh - a node with a bad certificate is refused on both sides, whoever dials, in words that
# can be read; nobody calls its host dead for it, and the good part of the cluster does not notice.
. "$(dirname "$0")/common.sh"
need_root_and_lab

VALID_S=5 # the certificate that is to expire must last until its agent has started

others_dir=
cleanup() {
	cluster_down
	[ -z "$others_dir" ] || rm -rf "$others_dir"
}
trap cleanup EXIT

node_cert() {
	"$KNELL_BUILD/knell" cert node "$@" >/dev/null
}

take_pair() {
	mv -f "$1.pem" "$cluster_dir/bad.pem"
	mv -f "$1.key" "$cluster_dir/bad.key"
}

make_stranger() {
	node_cert "$others_dir" h3 "$(lab addr h3)" && take_pair "$others_dir/h3"
}

make_self() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=h3 \
		-addext subjectAltName=DNS:h3 -keyout "$cluster_dir/bad.key" \
		-out "$cluster_dir/bad.pem" 2>/dev/null
}

make_name() {
	node_cert "$cluster_dir" h9 "$(lab addr h3)" && take_pair "$cluster_dir/h9"
}

# By the cluster's own authority, and valid for some seconds more.
make_expired() {
	local dir=$others_dir
	: >"$dir/index"
	cat >"$dir/ca.conf" <<-END
		[ca]
		default_ca = authority
		[authority]
		database = $dir/index
		new_certs_dir = $dir
		rand_serial = yes
		default_md = sha256
		policy = any
		x509_extensions = node
		[any]
		commonName = supplied
		[node]
		subjectAltName = DNS:h3
		extendedKeyUsage = serverAuth,clientAuth
	END
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=h3 \
		-keyout "$cluster_dir/bad.key" -out "$dir/h3.csr" 2>/dev/null
	expiry_s=$(($(date +%s) + VALID_S))
	openssl ca -batch -notext -config "$dir/ca.conf" -cert "$cluster_dir/ca.pem" \
		-keyfile "$cluster_dir/ca.key" -startdate 20200101000000Z \
		-enddate "$(date -u -d "@$expiry_s" +%Y%m%d%H%M%SZ)" -in "$dir/h3.csr" \
		-out "$cluster_dir/bad.pem" 2>/dev/null
}

has_expired() {
	[ "$(date +%s)" -gt "$expiry_s" ]
}

is_gone() {
	! kill -0 "$1" || grep -q '^State:.*Z' "/proc/$1/status"
}

# h3_with CERT: h3's agent starts anew with that certificate and key.
h3_with() {
	local pid text host
	pid=$(cat "$cluster_dir/h3.pid")
	kill -9 "$pid"
	wait_for 5 is_gone "$pid"
	text=$(sed "s#^cert = .*#cert = $cluster_dir/$1.pem#; s#^key = .*#key = $cluster_dir/$1.key#" \
		"$cluster_dir/h3.conf")
	echo "$text" >"$cluster_dir/h3.conf"
	for host in $(cluster_all); do
		: >"$cluster_dir/$host.log"
	done
	cluster_agent h3
	wait_for 10 cluster_answers h3 || fail "h3 does not start: $(tail -n 1 "$cluster_dir/h3.log")"
}

logged() {
	grep -qF -- "$2" "$cluster_dir/$1.log"
}

# says HOST TEXT: the log has, or soon will have, a line with that text.
says() {
	wait_for 10 logged "$1" "$2" || fail "$1 never says: $2; but: $(tail -n 1 "$cluster_dir/$1.log")"
}

conn_ids() {
	knell_on "$1" -j conn show | jq -c --arg peer "$2" '[.[] | select(.peer == $peer) | .id] | sort'
}

has_no_conn() {
	knell_on "$1" -j conn show | jq -e --arg peer "$2" \
		'all(.peer != $peer or .state == "connecting")' >/dev/null
}

# refused KIND REASON_OF_H1_AS_SERVER REASON_OF_H1_AS_CLIENT ALERT
refused() {
	local kind=$1 host before since
	"make_$kind" || fail "cannot make the certificate" || return 1
	before=$(conn_ids h1 h2)
	since=$(now_ns)
	h3_with bad || return 1
	if [ "$kind" = expired ]; then
		wait_for $((VALID_S + 5)) has_expired
		knell_on h3 conn clear >/dev/null
	fi
	says h1 "connection turned away from=$(lab addr h3):" && says h1 "$2" &&
		says h1 "peer refused peer=h3 reason=\"$3" &&
		says h3 "connection turned away from=$(lab addr h1):" &&
		says h3 "peer refused our certificate: alert $4" || return 1
	for host in h1 h2; do
		wait_for 10 has_no_conn "$host" h3 || fail "$host keeps a connection to h3" || return 1
		[ "$(verdicts "$host" h3 dead "$since")$(verdicts "$host" h3 lost "$since")" = 00 ] ||
			fail "$host takes the host of h3 for dead" || return 1
		[[ $(cluster_state "$host" h3) =~ ^(alive|degraded)$ ]] ||
			fail "h3 is $(cluster_state "$host" h3) on $host" || return 1
	done
	[ "$before" = "$(conn_ids h1 h2)" ] || fail "h1 and h2 were disturbed" || return 1
	{ h3_with h3 && wait_for 20 cluster_whole; } || fail "h3 is not taken back with its good certificate"
}

# Whoever shows no certificate at all gets nowhere.
anonymous() {
	local answer
	: >"$cluster_dir/h1.log"
	answer=$(lab exec h3 timeout 10 openssl s_client -connect "$(lab addr h1):7400" -alpn h2 \
		-CAfile "$cluster_dir/ca.pem" -ign_eof </dev/null 2>&1)
	grep -q 'alert certificate required' <<<"$answer" || fail "no alert: $(tail -n 1 <<<"$answer")" || return 1
	says h1 "connection turned away from=$(lab addr h3):" && says h1 "peer did not return a certificate"
}

cluster_up 3 lan 2 || skip_all "no cluster"
others_dir=$(mktemp -d)
"$KNELL_BUILD/knell" cert ca "$others_dir" >/dev/null
run "certificate of another authority: refused on both sides, nobody is called dead" \
	refused stranger "unable to get local issuer certificate" "unable to get local issuer certificate" "unknown CA"
run "self-signed certificate: refused on both sides, nobody is called dead" \
	refused self "self-signed certificate" "self-signed certificate" "unknown CA"
run "certificate of another name: refused on both sides, nobody is called dead" \
	refused name "certificate is of 'h9', which is no peer of ours" "name mismatch: expected h3, got h9" "bad certificate"
run "certificate that expired while in use: refused on both sides, nobody is called dead" \
	refused expired "certificate has expired" "certificate has expired" "certificate expired"
run "no certificate: turned away" anonymous
finish
