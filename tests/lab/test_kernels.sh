#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_kernels.sh - the detector on other kernels than this machine's: Debian's kernels boot in QEMU
# (software emulation is enough, some seconds each) with an initramfs of busybox and knell. Inside,
# every feature is tried, an instance is loaded, plain connections to an address where nobody answers
# must make that address dead, and unloading must leave nothing.
. "$(dirname "$0")/common.sh"

kernels_dir=$KNELL_BUILD/kernels
boot_limit_s=180

for tool in qemu-system-x86_64 busybox cpio; do
	command -v "$tool" >/dev/null || skip_all "$tool is not installed"
done
[ "$(uname -m)" = x86_64 ] || skip_all "the kernels are for x86_64"

# The initramfs: nothing but busybox, knell and the libraries that it needs.
make_initramfs() {
	local root=$1/root library
	mkdir -p "$root"/{bin,proc,sys,dev,run,tmp}
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$KNELL_BUILD/knell" "$root/bin/knell"
	while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done < <(ldd "$KNELL_BUILD/knell" | grep -o '/[^ ]*')
	cat >"$root/init" <<'END'
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
# An address on loopback that drops what is sent to it: a host that never answers.
ip route add 10.9.0.2/32 dev lo src 127.0.0.1
echo
echo "KERNEL $(uname -r)"
knell -j feature | sed 's/^/FEATURES /'
knell load --profile rack && echo LOADED
knell watch add 10.9.0.0/24
nc -w 20 10.9.0.2 99 </dev/null &
nc -w 20 10.9.0.2 98 </dev/null &
tries=0
while [ $tries -lt 200 ]; do
	knell -j peer show | grep -q '"state":"dead"' && break
	tries=$((tries + 1))
	usleep 100000
done
knell -j peer show | sed 's/^/PEERS /'
knell unload && echo UNLOADED
[ -e /sys/fs/bpf/knell ] || echo CLEAN
poweroff -f
END
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$1/initramfs"
}

# fetch_kernel META: the kernel that Debian's package META names today; downloaded once.
fetch_kernel() {
	local package
	package=$(apt-cache depends -i "$1" 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }')
	[ -n "$package" ] || return 1
	if [ ! -e "$kernels_dir/$package/boot" ]; then
		mkdir -p "$kernels_dir"
		(cd "$kernels_dir" && apt-get download "$package" >/dev/null 2>&1 &&
			dpkg-deb -x "$package"_*.deb "$package" && rm -f "$package"_*.deb) || return 1
	fi
	echo "$kernels_dir/$package"/boot/vmlinuz-*
}

boots() {
	local meta=$1 work kernel log status=0
	kernel=$(fetch_kernel "$meta") || {
		why="Debian does not offer $meta here"
		return 77
	}
	work=$(mktemp -d)
	log=$work/console
	make_initramfs "$work"
	timeout "$boot_limit_s" qemu-system-x86_64 -M q35 -m 512 -nographic -no-reboot -nic none \
		-kernel "$kernel" -initrd "$work/initramfs" -append "console=ttyS0 panic=-1 quiet" \
		</dev/null >"$log" 2>&1
	tr -d '\r' <"$log" >"$log.txt"
	judge "$log.txt" || status=$?
	rm -rf "$work"
	return "$status"
}

judge() {
	local absent
	grep -q '^KERNEL' "$1" || fail "the kernel did not boot: $(tail -n 1 "$1")" || return 1
	echo "# $(grep -o '^KERNEL.*' "$1")"
	absent=$(sed -n 's/^FEATURES //p' "$1" |
		jq -r '[.. | objects | select(.needed == true and .present == false) | .name] | join(", ")')
	[ -z "$absent" ] || fail "absent: $absent" || return 1
	grep -q '^LOADED' "$1" || fail "knell load failed: $(grep -m 1 -i error "$1")" || return 1
	sed -n 's/^PEERS //p' "$1" | jq -e '.peers[0].state == "dead"' >/dev/null ||
		fail "the silent address is not dead: $(grep '^PEERS' "$1")" || return 1
	{ grep -q '^UNLOADED' "$1" && grep -q '^CLEAN' "$1"; } || fail "unload left something behind"
}

run "Debian 12's kernel, Linux 6.1" boots linux-image-cloud-amd64
run "Debian 12's backported kernel" boots linux-image-6.12-cloud-amd64
finish
