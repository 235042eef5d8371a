# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a lab is made of: its namespaces, cables, cgroups and processes; how they are built, found
# and removed. Sourced by tools/lab/lab, which has the verbs; calls ip, nsenter and knell-wire.
#
# Names are derived from the lab's name, never stored: the state directory holds the size only.

readonly KILL_DEADLINE_S=10
readonly READY_DEADLINE_S=10
readonly SEGMENTS_PER_PACKET=1
readonly STATE_ROOT=/run/knell-lab

die() {
	echo "lab: $*" >&2
	exit 1
}

refuse() {
	echo "lab: $*" >&2
	exit 2
}

# ---- where things are ----

# set_paths NAME: everything about a lab.
set_paths() {
	[[ $1 =~ ^[a-z][a-z0-9-]{0,23}$ ]] ||
		refuse "'$1' is not a lab name: use a to z, 0 to 9 and -, at most 24 characters"
	name=$1
	switch=$name-switch
	state=$STATE_ROOT/$name
	build=${KNELL_BUILD:-$(dirname "$(readlink -f "$0")")/../../build}
	wire=$build/knell-wire
	cgroup2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	cpu1=$(awk '$3 == "cgroup" && ","$4"," ~ /,cpu,/ { print $2; exit }' /proc/self/mounts)
	trees=("$cgroup2/knell-lab-$name")
	[[ -z $cpu1 ]] || trees+=("$cpu1/knell-lab-$name")
}

check_machine() {
	local tool
	((EUID == 0)) || die "must be root: run it with sudo"
	for tool in ip nsenter setsid; do
		type -P "$tool" >/dev/null || die "$tool is missing: install iproute2 and util-linux"
	done
	[[ -x $wire ]] || die "no knell-wire in $build: run make, or set KNELL_BUILD"
	[[ -n $cgroup2 ]] || die "no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup"
}

need_lab() {
	[[ -r $state/size ]] || die "lab '$name' is not up: run \`lab --name $name up 3\`"
	size=$(<"$state/size")
}

# set_host NUMBER: everything about one host.
set_host() {
	local tree
	host=h$1
	ns=$name-h$1
	port=${name:0:10}-$1
	address4=10.77.0.$1
	address6=fd77::$1
	groups=()
	for tree in "${trees[@]}"; do
		groups+=("$tree/$host")
	done
}

pick_host() {
	need_lab
	if [[ ! $1 =~ ^h[1-9][0-9]{0,2}$ ]] || ((${1#h} > size)); then
		refuse "no host '$1' in lab '$name': it has h1 to h$size"
	fi
	set_host "${1#h}"
}

on_switch() {
	nsenter --net="/run/netns/$switch" "$@"
}

on_host() {
	nsenter --net="/run/netns/$ns" "$@"
}

# ---- processes ----

# pids GROUP...: all processes below these cgroups.
pids() {
	find "$@" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un || true
}

# A command that runs on a host would stop or kill itself half way.
refuse_inside() {
	! grep -q "/knell-lab-$name\(/\|$\)" /proc/self/cgroup ||
		die "this shell runs on a host of lab '$name': do it from outside"
}

# kill_groups GROUP...: returns when no process is left below them.
kill_groups() {
	local group left deadline=$((SECONDS + KILL_DEADLINE_S))
	for group in "$@"; do
		[[ ! -w $group/cgroup.kill ]] || echo 1 >"$group/cgroup.kill"
	done
	while mapfile -t left < <(pids "$@") && ((${#left[@]})); do
		((SECONDS < deadline)) || die "still alive after $KILL_DEADLINE_S s: pid ${left[*]}"
		kill -KILL "${left[@]}" 2>/dev/null || true
		sleep 0.005
	done
}

# remove_groups GROUP...: empty ones; the kernel may need a moment to see that they are.
remove_groups() {
	local group deadline=$((SECONDS + KILL_DEADLINE_S))
	for group in "$@"; do
		until [[ ! -d $group ]] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
			((SECONDS < deadline)) || die "cannot remove cgroup $group"
			sleep 0.01
		done
	done
}

# Puts this process into the host's cgroups; whatever it becomes or starts is in them too.
enter_groups() {
	local group
	for group in "${groups[@]}"; do
		echo $$ >"$group/cgroup.procs"
	done
}

# is_stopped PID: by SIGSTOP, or gone.
is_stopped() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	[[ ${stat##*) } == [TtZX]* ]]
}

# ---- building and removing ----

# The switch has no addresses: it must never answer for a host.
make_switch() {
	ip netns add "$switch"
	on_switch sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
	ip -n "$switch" -batch - <<-END
		link set lo up
		link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		link set br0 up
	END
}

# pin_queue NS DEVICE: receive on one CPU, the host's. A cable keeps the order of packets; a veth
# pair does so only while its sender stays on one CPU, and TCP takes disorder for loss.
pin_queue() {
	local cpu=$((${host#h} % $(getconf _NPROCESSORS_ONLN) % 32))
	# shellcheck disable=SC2016 # expanded inside, where /sys shows the namespace's devices
	ip netns exec "$1" sh -c 'cd "/sys/class/net/$0/queues/rx-0" &&
		if [ -e rps_cpus ]; then echo "$1" >rps_cpus; fi' "$2" "$(printf %x $((1 << cpu)))"
}

# One host with its port on the bridge; prints knell-wire's line for the moment of joining.
#
# One segment per packet, as on a real cable: otherwise one lost packet would be up to 64 KiB of
# lost segments. It costs throughput.
make_host() {
	local deadline=$((SECONDS + READY_DEADLINE_S))
	ip netns add "$ns"
	mkdir -p "${groups[@]}"
	on_host sh -c 'cd /proc/sys/net && echo 0 >ipv6/conf/default/accept_dad &&
		echo 1 >ipv6/conf/all/keep_addr_on_down && echo 1 >ipv4/conf/default/arp_notify &&
		echo 1 >ipv6/conf/default/ndisc_notify'
	ip -n "$switch" link add "$port" type veth peer name eth0 netns "$ns"
	pin_queue "$ns" eth0
	pin_queue "$switch" "$port"
	ip -n "$switch" link set "$port" up
	on_switch "$wire" attach "$port"
	on_switch "$wire" join "$port" br0
	ip -n "$ns" -batch - <<-END
		link set lo up
		addr add $address4/24 dev eth0
		addr add $address6/64 dev eth0 nodad
		link set eth0 gso_max_segs $SEGMENTS_PER_PACKET up
	END
	until [[ $(ip -n "$switch" -d -o link show "$port") == *"state forwarding"* &&
		-z $(ip -n "$ns" -6 -o addr show dev eth0 tentative) ]]; do
		((SECONDS < deadline)) || die "$host: not ready after $READY_DEADLINE_S s"
		sleep 0.01
	done
}

mac_of_host() {
	ip -n "$ns" -o link show eth0 | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p'
}

# Tells the peers the MAC, as hosts do when they boot: they would trust the old one for half a
# minute. Setting an address, even the same, is what makes the kernel announce it over ARP and NDP.
announce_host() {
	ip -n "$ns" link set eth0 address "$(mac_of_host)"
}

# remove_ns NS: kills whoever still sits in it by other means than this command, and drops it.
remove_ns() {
	local left
	[[ -e /run/netns/$1 ]] || return 0
	mapfile -t left < <(ip netns pids "$1" 2>/dev/null)
	((${#left[@]} == 0)) || kill -KILL "${left[@]}" 2>/dev/null || true
	ip netns del "$1"
}

# Removes whatever there is of the lab, also when only half of it was built; nothing is fine too.
tear_down() {
	local file
	[[ -d $state || -d ${trees[0]} ]] || return 0
	kill_groups "${trees[@]}"
	remove_groups "${trees[@]}"
	for file in "/run/netns/$name"-*; do
		[[ ! ${file##*/} =~ ^$name-(switch|h[0-9]+)$ ]] || remove_ns "${file##*/}"
	done
	rm -rf "$state"
	rmdir --ignore-fail-on-non-empty "$STATE_ROOT"
}
