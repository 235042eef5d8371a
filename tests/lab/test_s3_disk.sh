#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3_disk.sh - objects on a drive that is full, broken, read-only or frozen: the right error, what
# was acknowledged stays and stays readable, and the node says that it is degraded, and why. Then 1,000
# uploads at once, which a node must have the memory for.
#
# The drive is a small ext4 on a loop device. Broken is done by the backing file: it is sparse and lies
# on a tmpfs that is smaller than itself, so that from some moment on each write of the loop device
# fails with EIO, as a dying disk's do, while what it has can be read. (No device mapper is needed;
# errors of the index alone are tests/unit/test_dir_full.c.)
. "$(dirname "$0")/common.sh"

DRIVE_MIB=64
UPLOADS=1000
RSS_MIB_MAX=256
readonly DRIVE_MIB UPLOADS RSS_MIB_MAX
export KNELL_ROOT_USER=knelltest KNELL_ROOT_PASSWORD=knellsecretpassword PYTHONDONTWRITEBYTECODE=1

need_root_and_lab
[ -x "$KNELL_BUILD/lab_s3_trickle" ] || skip_all "$KNELL_BUILD is not built: make tests"
type -P python3 mkfs.ext4 fsfreeze >/dev/null || skip_all "python3, mkfs.ext4 or fsfreeze is missing: tools/setup"
work=$(mktemp -d /tmp/knell-s3-disk-XXXXXX)
drive=$work/drive
notes=$work/notes

thaw() { ! mountpoint -q "$drive" || fsfreeze -u "$drive" 2>/dev/null; }

# A loop device is let go of some time after its file system.
is_unmounted() { ! mountpoint -q "$1" || umount "$1"; }

drive_down() {
	thaw
	wait_for 10 is_unmounted "$drive" || umount -l "$drive"
	wait_for 10 is_unmounted "$work/backing"
}

end_all() {
	thaw # a frozen one lets nobody die
	cluster_down
	drive_down
	rm -rf "$work"
}
trap end_all EXIT

# drive_up [BACKING_MIB]: a fresh drive, perhaps on a tmpfs of that size.
drive_up() {
	mkdir -p "$drive" "$work/backing"
	rm -f "$work/backing/image"
	[ -z "${1:-}" ] || mount -t tmpfs -o "size=$1m" knell-test "$work/backing" || return 1
	truncate -s "${DRIVE_MIB}M" "$work/backing/image" &&
		mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 "$work/backing/image" &&
		mount -o loop,errors=remount-ro "$work/backing/image" "$drive" 2>/dev/null
}

is_gone() { ! kill -0 "$1"; }

agent_down() {
	local pid
	pid=$(cat "$cluster_dir/h1.pid")
	kill "$pid" 2>/dev/null
	wait_for 20 is_gone "$pid" || fail "the agent does not end"
}

serves() { lab exec h1 curl -s -o /dev/null "http://$at/"; }

agent_up() {
	cluster_start_host h1 >/dev/null || fail "no agent" || return 1
	wait_for 10 serves || fail "no S3: $(tail -n 1 "$cluster_dir/h1.log")" || return 1
	wait_for 20 state_is online || fail "not online: $(knell_on h1 cluster info)"
}

# A fresh drive with some objects on it, and an agent over it.
fresh() {
	agent_down && drive_down && drive_up "$@" || fail "no drive" || return 1
	rm -f "$notes"
	agent_up && s3 begin
}

s3() {
	lab exec h1 "$tests_root/tests/lab/s3_disk.py" "$at" "$notes" "$@" >"$work/out" 2>&1 ||
		fail "$1: $(tail -n 1 "$work/out")"
}

state_is() {
	knell_on h1 -j cluster info | jq -e --arg state "$1" '.servers[0].state == $state' >/dev/null
}

drive_is() {
	knell_on h1 -j cluster storage |
		jq -e --arg why "$1" '.servers[0].drives[0] | .state == "faulty" and (.reason | test($why))' >/dev/null
}

# says REASON: the node is degraded, and its drive faulty for that reason.
says() {
	wait_for 30 drive_is "$1" || fail "storage: $(knell_on h1 cluster storage)" || return 1
	{ state_is degraded && knell_on h1 cluster info | grep -Eq "$1"; } || fail "info: $(knell_on h1 cluster info)"
}

tmp_is_empty() { [ -z "$(find "$drive/tmp" -type f)" ]; }
nothing_half_written() { wait_for 20 tmp_is_empty || fail "temporary files are left"; }

full() {
	fresh || return 1
	s3 fill large 1000000 507 XKnellStorageFull && s3 fill medium 100000 507 XKnellStorageFull &&
		s3 fill small 5000 507 XKnellStorageFull && s3 refused 507 XKnellStorageFull && s3 check &&
		nothing_half_written && says full && s3 free && s3 write && s3 check &&
		{ wait_for 30 state_is online || fail "room again, but not online"; }
}

frozen() {
	local asking
	fresh || return 1
	s3 frozen "$drive" "$work/frozen" "$work/go-on" &
	asking=$!
	wait_for 20 test -e "$work/frozen" || fail "not frozen" || return 1
	says "does not take a write"
	local said=$?
	touch "$work/go-on"
	wait "$asking" || fail "$(tail -n 1 "$work/out")" || return 1
	[ "$said" -eq 0 ] || return 1
	s3 thawed && nothing_half_written && { wait_for 30 state_is online || fail "thawed, but not online"; }
}

# Some MiB reach the disk, then it fails. What was acknowledged before is there after a repair.
broken() {
	fresh 24 || return 1
	s3 fill more 1000000 503 ServiceUnavailable && s3 refused 503 ServiceUnavailable 5000 && s3 check &&
		says 'Input/output error|read-only' && agent_down &&
		wait_for 10 is_unmounted "$drive" && mount -o "remount,size=$((2 * DRIVE_MIB))m" "$work/backing" || return 1
	fsck.ext4 -p "$work/backing/image" >/dev/null 2>&1
	mount -o loop "$work/backing/image" "$drive" && agent_up && s3 check && s3 write && nothing_half_written
}

read_only() {
	local device
	fresh || return 1
	device=$(basename "$(findmnt -no SOURCE "$drive")")
	[ -w "/sys/fs/ext4/$device/trigger_fs_error" ] || { why="ext4 cannot be told to fail here" && return 77; }
	echo knell-test >"/sys/fs/ext4/$device/trigger_fs_error"
	s3 refused 503 ServiceUnavailable 5000 && s3 check && says read-only || return 1
	agent_down && wait_for 10 is_unmounted "$drive" && mount -o loop "$work/backing/image" "$drive" && agent_up &&
		s3 write && s3 check && nothing_half_written
}

# Every client has 1 MiB to send and sends it in drops, so that all are under way at once. On a
# directory: it is memory that is looked at.
many_uploads() {
	local mib pid
	agent_down && drive_down && mkdir -p "$drive" && agent_up && rm -f "$notes" && s3 begin || return 1
	pid=$(cat "$cluster_dir/h1.pid")
	lab exec h1 "$KNELL_BUILD/lab_s3_trickle" "${at%:*}" "${at##*:}" /disk/many- "$UPLOADS" $((1 << 20)) "$pid" \
		>"$work/out" 2>&1 || fail "$(tail -n 1 "$work/out")" || return 1
	mib=$(awk '/^rss_kib/ { printf "%.1f", $2 / 1024 }' "$work/out")
	figure s3_1000_uploads_rss_mib "" "$UPLOADS uploads of 1 MiB at once" MiB "$mib"
	at_most "$mib" "$RSS_MIB_MAX" "MiB of memory" || return 1
	[ "$(find "$drive/data" -type f -size 1024k | wc -l)" -eq "$UPLOADS" ] || fail "an upload is missing" || return 1
	nothing_half_written
}

drive_up || skip_all "cannot mount an ext4 on a loop device"
drive_down
cluster_up 1 lan || skip_all "no cluster"
at=$(cluster_addr h1):9000
cat >>"$cluster_dir/h1.conf" <<-END
	[store]
	drive = $drive
	[s3]
	listen = $at
	tls = no
	access_key = $KNELL_ROOT_USER
	secret_key = $KNELL_ROOT_PASSWORD
END
run "full: 507, nothing is lost, the node is degraded; with room again it goes on" full
run "frozen: SlowDown in time, reads go on, the node is degraded; thawed it goes on" frozen
run "broken: 503, nothing is lost, the node is degraded; all is there after a repair" broken
run "read-only under a running agent: 503, reads go on, the node is degraded" read_only
run "$UPLOADS uploads at once" many_uploads
finish
