#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_bad_input.sh - whatever is wrong with configuration, certificates, rights, disk or kernel:
# one line that names the thing and the way out, an exit status that is not 0, and nothing left behind.
# Runs in network and mount namespaces of its own, with a BPF file system of its own.
. "$(dirname "$0")/common.sh"
need_root_and_lab
if [ -z "${KNELL_BAD_INPUT_INSIDE-}" ]; then
	unshare --mount --net true 2>/dev/null || skip_all "cannot make namespaces here"
	KNELL_BAD_INPUT_INSIDE=1 exec unshare --mount --propagation private --net -- "$0" "$@"
fi

knelld=$KNELL_BUILD/knelld
knell=$KNELL_BUILD/knell
bpftool=$(type -P bpftool || echo /usr/sbin/bpftool)
first_agent=
work=$(mktemp -d)
chmod 755 "$work"
conf=$work/knelld.conf
socket=$work/run/knelld.sock
pins=$work/bpf/knell

cleanup() {
	[ -z "$first_agent" ] || kill -9 "$first_agent" 2>/dev/null
	umount -l "$work/bpf" "$work/tiny" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

ip link set lo up
mkdir "$work/bpf" "$work/tiny" "$work/run" "$work/tls"
mount -t bpf bpf "$work/bpf"
"$knell" cert ca "$work/tls" >/dev/null
"$knell" cert node "$work/tls" n1 127.0.0.1 >/dev/null
"$knell" cert node "$work/tls" n2 127.0.0.2 >/dev/null

# config [SED SCRIPT]: a good configuration, then spoilt.
config() {
	sed "${1:-}" >"$conf" <<-END
		[node]
		name = n1
		listen = 127.0.0.1:7400
		pin = $pins
		socket = $socket
		link = lo
		[tls]
		cert = $work/tls/n1.pem
		key = $work/tls/n1.key
		ca = $work/tls/ca.pem
		[cache]
		per_peer = 2
		[peer n2]
		address = 127.0.0.2:7400
	END
}

# nothing_left: no pins, also no half-made ones, and no socket. The kernel itself puts two files
# into every BPF file system.
nothing_left() {
	local left
	left=$(find "$work/bpf" "$work/run" -mindepth 1 ! -name maps.debug ! -name progs.debug)
	[ -z "$left" ] || fail "left behind: $left"
}

# says THING WAY_OUT COMMAND...: it fails, in one line, with both in it.
says() {
	local thing=$1 way_out=$2 said status=0
	shift 2
	said=$(timeout 20 "$@" 2>&1 >/dev/null) || status=$?
	[ "$status" -gt 0 ] && [ "$status" -lt 124 ] || fail "status $status, said: $said" || return 1
	[ "$(wc -l <<<"$said")" -eq 1 ] || fail "not one line: $said" || return 1
	[[ $said == *"$thing"* ]] || fail "does not name \"$thing\": $said" || return 1
	[[ $said == *"$way_out"* ]] || fail "no way out \"$way_out\": $said"
}

refused() {
	says "$@" && nothing_left
}

# spoilt SED THING WAY_OUT: knelld does not take that configuration.
spoilt() {
	config "$1"
	refused "$2" "$3" "$knelld" -c "$conf"
}

# A shell command after these words runs with something taken out of its view of the machine.
hidden=(unshare --mount --propagation private -- sh -c)

expired_certificate() {
	: >"$work/tls/index"
	cat >"$work/tls/ca.conf" <<-END
		[ca]
		default_ca = authority
		[authority]
		database = $work/tls/index
		new_certs_dir = $work/tls
		rand_serial = yes
		default_md = sha256
		policy = any
		[any]
		commonName = supplied
	END
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=n1 \
		-keyout "$work/tls/old.key" -out "$work/tls/old.csr" 2>/dev/null
	openssl ca -batch -notext -config "$work/tls/ca.conf" -cert "$work/tls/ca.pem" \
		-keyfile "$work/tls/ca.key" -startdate 20200101000000Z -enddate 20210101000000Z \
		-in "$work/tls/old.csr" -out "$work/tls/old.pem" 2>/dev/null || fail "openssl ca" || return 1
	spoilt "s#n1\.pem#old.pem#; s#n1\.key#old.key#" "old.pem: expired on 2021-01-01" "knell cert"
}

bad_settings() {
	spoilt '/^link/a colour = red' "$conf:7: unknown key \"colour\" in [node]" "knelld(8)" &&
		spoilt '/^per_peer/a [colours]\nred = 1' "$conf:13: unknown section [colours]" "knelld(8)" &&
		spoilt '/^address/a weight = 1' "$conf:15: unknown key \"weight\" in [peer n2]" "only \"address\"" &&
		spoilt 's/^profile.*//; /^link/a profile = slow' 'profile "slow"' "lan, rack, fast, safe or wan" &&
		spoilt 's/^per_peer.*/per_peer = 0/' "$conf:12: per_peer \"0\"" "from 1 to" &&
		spoilt '/^link/a ring_bytes = 5000' "ring_bytes 5000" "power of two" &&
		spoilt '/^link/a nonsense' "$conf:7: not a setting" "KEY = VALUE" &&
		spoilt '/^name/d' "no name" "set name in [node]" &&
		spoilt '/^address/d' "peer n2 has no address" "" &&
		spoilt 's/^\[peer n2/[peer n1/' "n1 is this node itself" "take [peer n1] out"
}

bad_addresses() {
	spoilt 's/^address.*/address = 300.1.1.1/' "$conf:14: address \"300.1.1.1\" of peer n2" "ADDRESS:PORT" &&
		spoilt 's/^address.*/address = 127.0.0.2:99999/' '127.0.0.2:99999' "ADDRESS:PORT" &&
		spoilt 's/^address.*/address = db1.example:7400/' "db1.example:7400" "names are not looked up" &&
		spoilt 's/^listen.*/listen = n1/' 'listen "n1"' "ADDRESS:PORT" &&
		spoilt 's/^listen.*/listen = 192.0.2.1:7400/' "cannot listen on 192.0.2.1:7400" "set \`listen\` in [node]"
}

bad_certificates() {
	spoilt 's#n1\.pem#none.pem#' "$work/tls/none.pem: cannot read" "knell cert" &&
		spoilt 's#n1\.key#n2.key#' "$work/tls/n2.key: does not fit the certificate" "[tls] in $conf" &&
		spoilt 's#n1\.pem#n1.key#' "$work/tls/n1.key: not a usable certificate" "[tls] in $conf" &&
		spoilt 's#ca\.pem#ca.key#' "$work/tls/ca.key: not a usable certificate" "[tls] in $conf" &&
		spoilt '/^ca =/d' "no certificate" "set cert, key and ca in [tls]"
}

no_configuration() {
	refused "$work/none.conf: No such file" "-c" "$knelld" -c "$work/none.conf" &&
		refused "$work: cannot read: Is a directory" "-c" "$knelld" -c "$work"
}

without_capability() {
	local as=(setpriv --bounding-set=-all --inh-caps=-all)
	config
	refused "not permitted to load BPF programs" "run as root" "${as[@]}" "$knelld" -c "$conf" &&
		refused "not permitted to load BPF programs" "run as root" "${as[@]}" "$knell" --pin "$pins" load &&
		refused "cannot mount bpffs on /sys/fs/bpf" "run as root" \
			"${hidden[@]}" "umount -l /sys/fs/bpf; exec ${as[*]} $knell --pin /sys/fs/bpf/$$/knell load" || return 1
	chmod 644 "$work"/tls/*.key
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	refused "not permitted to load BPF programs" "run as root" "${as[@]}" "$knelld" -c "$conf" ||
		return 1
	chmod 600 "$work"/tls/*.key
	refused "$work/tls/n1.key: cannot read: Permission denied" "[tls] in $conf" "${as[@]}" "$knelld" -c "$conf"
}

no_bpffs() {
	config "s#^pin.*#pin = $work/plain/knell#"
	refused "$work/plain/knell is not on a bpf file system" "mount -t bpf" "$knelld" -c "$conf" &&
		refused "$work/plain/knell is not on a bpf file system" "mount -t bpf" \
			"$knell" --pin "$work/plain/knell" load
}

no_cgroup() {
	local v2
	v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	config
	refused "no cgroup v2" "mount -t cgroup2" "${hidden[@]}" "umount -l $v2; exec $knelld -c $conf" &&
		refused "no cgroup v2" "nsenter --net" "${hidden[@]}" "umount -l $v2; exec $knell --pin $pins load"
}

# Without type information no hook can be attached; libbpf also looks for a kernel image in /boot.
no_hook() {
	local hide="mount -t tmpfs none /sys/kernel/btf; mount -t tmpfs none /boot"
	config
	refused "tcp_retransmit_skb" "CONFIG_DEBUG_INFO_BTF" "${hidden[@]}" "$hide; exec $knelld -c $conf" &&
		refused "tcp_retransmit_skb" "CONFIG_DEBUG_INFO_BTF" "${hidden[@]}" "$hide; exec $knell --pin $pins load"
}

full_disk() {
	local full=$work/tiny/full i=0
	mount -t tmpfs -o size=64k,nr_inodes=8 none "$work/tiny" || return 77
	head -c 65536 /dev/zero >"$full"
	refused "$work/tiny/ca.key: No space left" "" "$knell" cert ca "$work/tiny" || return 1
	[ "$(ls "$work/tiny")" = full ] || fail "half a pair of files: $(ls "$work/tiny")" || return 1
	while : 2>/dev/null >"$work/tiny/$i"; do i=$((i + 1)); done
	config "s#^socket.*#socket = $work/tiny/knelld.sock#"
	refused "$work/tiny/knelld.sock: No space left" "set \`socket\` in [node]" "$knelld" -c "$conf"
	umount "$work/tiny"
}

# other_version ABI BYTES: as a knell with other maps would have pinned it.
other_version() {
	local i zeros=()
	for ((i = 4; i < $2; i++)); do
		zeros+=(0)
	done
	mkdir "$pins" &&
		"$bpftool" map create "$pins/config" type array key 4 value "$2" entries 1 name config &&
		"$bpftool" map update pinned "$pins/config" key 0 0 0 0 value "$1" 0 0 0 "${zeros[@]}"
}

another_version() {
	local size before
	config
	for size in 8 80; do
		other_version 7 "$size" || fail "bpftool" || return 1
		before=$(find "$work/bpf" | sort)
		says "$pins holds pins of version 7" "knell --pin $pins unload" "$knelld" -c "$conf" &&
			says "$pins speaks ABI 7" "unload" "$knell" --pin "$pins" peer show &&
			says "already loaded at $pins" "knell --pin $pins unload" "$knell" --pin "$pins" load || return 1
		[ "$before" = "$(find "$work/bpf" | sort)" ] || fail "touched the other version's pins" || return 1
		"$knell" --pin "$pins" unload && nothing_left || fail "the way out leads nowhere" || return 1
	done
}

another_namespace() {
	unshare --net -- "$knell" --pin "$pins" load || fail "load" || return 1
	config
	says "$pins watches another network namespace" "unload" "$knelld" -c "$conf" || return 1
	"$knell" --pin "$pins" unload && nothing_left
}

answers() {
	"$knell" --socket "$socket" conn show >/dev/null
}

# A second agent is refused, whatever they share, and the first one does not notice.
two_agents() {
	local second=$work/second.conf
	config
	"$knelld" -c "$conf" 2>"$work/first.log" &
	first_agent=$!
	wait_for 10 answers || fail "$(cat "$work/first.log")" || return 1
	says "another knelld uses the detector at $pins" "set \`pin\` in [node]" "$knelld" -c "$conf" || return 1
	config "s#^pin.*#pin = $pins-second#"
	mv "$conf" "$second"
	says "cannot listen on 127.0.0.1:7400" "set \`listen\` in [node]" "$knelld" -c "$second" || return 1
	config "s#^pin.*#pin = $pins-second#; s#^listen.*#listen = 127.0.0.1:7401#"
	mv "$conf" "$second"
	says "$socket: another knelld answers there" "set \`socket\` in [node]" "$knelld" -c "$second" || return 1
	[ ! -e "$pins-second" ] || fail "the second one's detector is left behind" || return 1
	kill -STOP "$first_agent"
	says "$socket: another knelld answers there" "set \`socket\` in [node]" "$knelld" -c "$second" || return 1
	kill -CONT "$first_agent"
	answers || fail "the first agent does not answer any more" || return 1
}

# Killed without warning, and started again at once: what it left behind does not stand in the way.
left_by_a_kill() {
	local i
	config
	for ((i = 0; i < 10; i++)); do
		kill -9 "$first_agent"
		wait "$first_agent" 2>/dev/null
		"$knelld" -c "$conf" 2>"$work/first.log" &
		first_agent=$!
		wait_for 10 answers || fail "start $i: $(cat "$work/first.log")" || return 1
	done
	kill "$first_agent"
	wait "$first_agent" || fail "status $? after SIGTERM" || return 1
	first_agent=
	[ ! -e "$socket" ] && "$knell" --pin "$pins" unload && nothing_left
}

test_only() {
	config
	"$knelld" -t -c "$conf" && nothing_left
}

# next TEXT FUNCTION: one case; what it left behind, when it failed, is not the next one's trouble.
next() {
	run "$@"
	[ -n "$first_agent" ] || "$knell" --pin "$pins" unload 2>/dev/null
}

next "a good configuration passes -t, and that touches nothing" test_only
next "settings: unknown, misspelt, missing, out of range" bad_settings
next "addresses: malformed, host names, not this host's" bad_addresses
next "certificates: missing, not fitting, not certificates" bad_certificates
next "own certificate expired" expired_certificate
next "configuration missing or a directory" no_configuration
next "no capability" without_capability
next "pin directory on no BPF file system" no_bpffs
next "no cgroup v2 in sight" no_cgroup
next "kernel without the needed hooks" no_hook
next "full disk: certificates, control socket" full_disk
next "pins of another version" another_version
next "a detector that watches another namespace" another_namespace
next "a second agent: same detector, same port, same control socket" two_agents
next "killed with -9 and started again at once, ten times" left_by_a_kill
finish
