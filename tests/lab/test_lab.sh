#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Does the lab do to its hosts what it says? Runs tools/lab/lab as a user would, with two labs of
# its own name, and checks from inside the hosts. Needs root, python3 and a built knell-wire.
#
# Prints one line per case: ok, not ok or skip. Exit status: 0 all ok, 1 one failed, 77 skipped.
#
# shellcheck disable=SC2317 # the cases are called by name, through check
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
lab_command=$here/../../tools/lab/lab
build=${KNELL_BUILD:-$here/../../build}
name=t$$
failed=0
pids=()

skip_all() {
	echo "skip - the lab: $1"
	exit 77
}

((EUID == 0)) || skip_all "needs root"
[[ -x $build/knell-wire ]] || skip_all "no knell-wire in $build"
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || skip_all "needs python3"
unshare --net true 2>/dev/null || skip_all "cannot make network namespaces here"
work=$(mktemp -d)

lab() {
	timeout 20 "$lab_command" --name "$name" "$@"
}

other_lab() {
	timeout 20 "$lab_command" --name "$name-b" "$@"
}

tear_down() {
	lab down
	other_lab down
	rm -rf "$work"
}
trap tear_down EXIT

# check TEXT COMMAND...: one case.
check() {
	local text=$1
	shift
	if "$@"; then
		echo "ok - $text"
	else
		echo "not ok - $text"
		failed=1
	fi
}

# within SECONDS COMMAND...: until it succeeds.
within() {
	local deadline_ms=$(($(date +%s%3N) + $1 * 1000))
	shift
	until "$@"; do
		(($(date +%s%3N) < deadline_ms)) || return 1
		sleep 0.02
	done
}

# ---- what runs on the hosts ----

cat >"$work/echo.py" <<'END'
"""echo.py PORT: answers TCP and UDP, both IP versions, with what it was sent."""
import selectors, socket, sys

port = int(sys.argv[1])
selector = selectors.DefaultSelector()
tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
udp.bind(("::", port))
for server in tcp, udp:
    selector.register(server, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        peer = key.fileobj
        if peer is tcp:
            selector.register(tcp.accept()[0], selectors.EVENT_READ)
        elif peer is udp:
            data, source = udp.recvfrom(2048)
            udp.sendto(data, source)
        else:
            try:
                data = peer.recv(65536)
            except OSError:
                data = b""
            if data:
                peer.sendall(data)
            else:
                selector.unregister(peer)
                peer.close()
END

cat >"$work/stream.py" <<'END'
"""stream.py ADDRESS PORT COUNT INTERVAL_S: numbered datagrams to an echo; prints how many were
sent, how many came back, and the mean length in ms of the gaps in what came back."""
import select, socket, sys, time

target = (sys.argv[1], int(sys.argv[2]))
count, interval = int(sys.argv[3]), float(sys.argv[4])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
sent, heard = [], set()

def listen(wait):
    while select.select([udp], [], [], wait)[0]:
        heard.add(int(udp.recv(64)))

for number in range(count):
    udp.sendto(b"%d" % number, target)
    sent.append(time.monotonic())
    listen(0)
    time.sleep(interval)
listen(0.3)
gaps, start = [], None
for number in range(count):
    if number not in heard:
        start = number if start is None else start
    elif start is not None:
        gaps.append(sent[number] - sent[start])
        start = None
print(count, len(heard), "%.3f" % (1000 * sum(gaps) / max(1, len(gaps))))
END

cat >"$work/talk.py" <<'END'
"""talk.py ADDRESS PORT SOURCE_PORT FIFO: one connection; each line on FIFO is echoed over it,
and the answer printed."""
import socket, sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, ("", int(sys.argv[3])))
connection.settimeout(None)
print("connected", flush=True)
while True:
    with open(sys.argv[4]) as lines:
        for line in lines:
            connection.sendall(line.encode())
            print(connection.recv(64).decode(), end="", flush=True)
END

# serve HOST: the echo on port 7000, until it listens; remembers the pid.
serve() {
	server=$(lab spawn "$1" "$work/$1.log" "$python" "$work/echo.py" 7000) || return
	pids+=("$server")
	within 5 listens "$1"
}

listens() {
	[[ -n $(lab exec "$1" ss -Hltn "sport = 7000") ]]
}

# talk HOST SOURCE_PORT: a lasting connection to h2's echo; say SOURCE_PORT WORD uses it.
talk() {
	mkfifo "$work/$2.in"
	pids+=("$(lab spawn "$1" "$work/$2.out" "$python" "$work/talk.py" 10.77.0.2 7000 "$2" \
		"$work/$2.in")")
	within 5 grep -q connected "$work/$2.out"
}

say() {
	timeout 2 tee "$work/$1.in" <<<"$2" >/dev/null
}

answered() {
	grep -q "^$2$" "$work/$1.out"
}

# reaches HOST ADDRESS: a TCP handshake, tried until it works or not at all.
connects() {
	lab exec "$1" timeout 1 bash -c ": </dev/tcp/$2/7000" 2>/dev/null
}

reaches() {
	within 5 connects "$1" "$2"
}

established() {
	[[ -n $(lab exec h1 ss -Htn state established "sport = $1") ]]
}

# tcp_in HOST: TCP segments that the host has received in its life.
tcp_in() {
	lab exec "$1" cat /proc/net/snmp | awk '$1 == "Tcp:" { segments = $11 } END { print segments }'
}

# field HOST EXPRESSION: a value of `lab status -j`.
field() {
	lab status -j | "$python" -c '
import json, sys
hosts = {host["host"]: host for host in json.load(sys.stdin)["hosts"]}
print(eval(sys.argv[2], hosts[sys.argv[1]]))' "$1" "$2"
}

is() {
	[[ $(field "$1" "$2") == "$3" ]]
}

# holds EXPRESSION: arithmetic truth, with fractions.
holds() {
	awk "BEGIN { exit !($1) }"
}

gone() {
	! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]
}

# ---- cases ----

test_up() {
	lab up 3 && lab status >"$work/status" && [[ $(grep -c '^h[123] ' "$work/status") == 3 ]] &&
		! ip -o link | grep -q " $name" # nothing of it in the machine's own namespace
}

test_reach() {
	serve h2 && reaches h1 10.77.0.2 && reaches h3 10.77.0.2 && reaches h1 fd77::2 &&
		[[ $(lab addr h2) == 10.77.0.2 && $(lab addr h2 6) == fd77::2 ]]
}

# Segments in bulk, and none of them twice: without a fault the cable neither loses nor reorders.
test_clean() {
	local again
	again=$(retransmitted h1)
	lab exec h1 timeout 5 bash -c 'exec 3<>/dev/tcp/10.77.0.2/7000
		head -c 20000000 /dev/zero >&3 & head -c 20000000 <&3 | wc -c' >"$work/bulk" &&
		[[ $(<"$work/bulk") == 20000000 ]] || return
	again=$(($(retransmitted h1) - again))
	echo "# 20 MB there and back, $again retransmitted"
	((again <= 5)) # of some 30000; disorder would make dozens
}

retransmitted() {
	lab exec "$1" cat /proc/net/snmp | awk '$1 == "Tcp:" { segments = $13 } END { print segments }'
}

test_loss() {
	local sent heard
	lab loss h2 10 in >/dev/null || return
	read -r sent heard _ < <(lab exec h1 "$python" "$work/stream.py" 10.77.0.2 7000 4000 0.0001)
	lab clear h2 >/dev/null
	echo "# sent $sent, heard $heard"
	holds "$sent == 4000 && $heard > 0.88 * $sent && $heard < 0.92 * $sent"
}

test_burst() {
	local sent heard gap_ms dropped_out
	dropped_out=$(field h2 'cable["out"]["dropped_by"]["burst"]')
	lab burst h2 5 20 >/dev/null || return
	read -r sent heard gap_ms < <(lab exec h1 "$python" "$work/stream.py" 10.77.0.2 7000 5000 0.0005)
	dropped_out=$(($(field h2 'cable["out"]["dropped_by"]["burst"]') - dropped_out))
	echo "# sent $sent, heard $heard, mean gap $gap_ms ms, replies dropped $dropped_out"
	lab clear h2 >/dev/null
	holds "$heard < 0.92 * $sent && $heard > 0.68 * $sent && $gap_ms > 3 && $gap_ms < 8" &&
		# one state for the port: who was heard gets his answer out
		holds "$dropped_out < 0.02 * $sent"
}

test_oneway() {
	local before passed
	before=$(field h2 'cable["in"]["passed"]')
	lab oneway h2 out >/dev/null
	! connects h1 10.77.0.2 && passed=$(field h2 'cable["in"]["passed"]') &&
		((passed > before)) && lab clear h2 >/dev/null && reaches h1 10.77.0.2
}

test_tuple() {
	talk h1 40001 && talk h1 40002 || return
	say 40001 before && within 2 answered 40001 before || return
	lab tuple h2 10.77.0.1 40001 10.77.0.2 7000 >/dev/null || return
	say 40001 lost && say 40002 flows && within 2 answered 40002 flows || return
	within 1 answered 40001 lost && return 1
	lab clear h2 >/dev/null && within 5 answered 40001 lost
}

test_freeze() {
	say 40002 ready && within 2 answered 40002 ready || return
	lab freeze h2 | grep -q '"fault":"freeze","at_ns":[0-9]*}' && is h2 frozen True || return
	connects h1 10.77.0.2 || return # the kernel still answers
	say 40002 later
	within 1 answered 40002 later && return 1
	lab thaw h2 >/dev/null && within 2 answered 40002 later
}

# In clock ticks of 10 ms.
cpu_ticks() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

test_starve() {
	local pid ticks
	pid=$(lab spawn h3 "$work/busy.log" "$python" -c 'while True: pass')
	pids+=("$pid")
	lab starve h3 10 >/dev/null && is h3 cpu_percent 10 || return
	ticks=$(cpu_ticks "$pid")
	sleep 1.5 # the span over which it is measured
	ticks=$(($(cpu_ticks "$pid") - ticks))
	echo "# $ticks ticks of CPU in 1.5 s"
	kill -KILL "$pid"
	((ticks > 0 && ticks < 45)) && lab starve h3 none >/dev/null && is h3 cpu_percent 100
}

test_linkdown() {
	lab linkdown h1 >/dev/null && is h1 link down && ! connects h1 10.77.0.2 &&
		lab linkup h1 >/dev/null && is h1 link up && reaches h1 10.77.0.2 && reaches h1 fd77::2
}

test_two_labs() {
	other_lab up 2 && other_lab exec h1 true || return
	timeout 5 "$lab_command" --name "$name-b" exec h1 bash -c ': </dev/tcp/10.77.0.2/7000' \
		2>/dev/null && return 1
	connects h1 10.77.0.2 && other_lab down && connects h1 10.77.0.2 &&
		[[ ! -e /run/netns/$name-b-h1 ]]
}

# The control: a kill alone is heard by the survivor. Then the same with the cable pulled first.
test_kill_is_heard() {
	talk h1 40003 && kill -KILL "$server" && within 2 not_established 40003
}

not_established() {
	! established "$1"
}

test_cut() {
	local line heard cut_ns before_ns
	serve h2 && talk h1 40004 && say 40004 hello && within 2 answered 40004 hello || return
	before_ns=$(lab now)
	line=$(lab cut h2) && gone "$server" && is h2 processes 0 && is h2 plugged False || return
	heard=$(tcp_in h1)
	cut_ns=${line##*:}
	[[ $line == '{"host":"h2","fault":"cut","cut_ns":'* ]] || return
	((${cut_ns%\}} < $(lab now) && ${cut_ns%\}} > before_ns)) || return
	sleep 1 # in which a FIN or RST would come, and come again
	established 40004 && [[ $(tcp_in h1) == "$heard" ]]
}

test_restore() {
	lab restore h2 >/dev/null && serve h2 && reaches h1 10.77.0.2 && reaches h1 fd77::2
}

test_reboot() {
	local mac
	mac=$(field h2 mac)
	lab loss h2 50 >/dev/null && lab reboot h2 >"$work/reboot" && gone "$server" || return
	[[ $(field h2 mac) != "$mac" ]] && grep -q "$(field h2 mac)" "$work/reboot" || return
	[[ -z $(lab exec h2 ss -Htan) ]] && is h2 'cable["in"]["loss_percent"]' 0 || return
	serve h2 && reaches h1 10.77.0.2 && reaches h1 fd77::2 && reaches h2 fd77::2
}

# refused STATUS COMMAND...: one line on stderr, nothing on stdout, this status.
refused() {
	local want=$1 got
	shift
	"$@" >"$work/stdout" 2>"$work/stderr" </dev/null
	got=$?
	[[ $got == "$want" && ! -s $work/stdout && $(wc -l <"$work/stderr") == 1 ]] || {
		echo "# status $got: $* says: $(cat "$work/stdout" "$work/stderr")"
		return 1
	}
}

test_bad_input() {
	refused 2 lab && refused 2 lab fly && refused 2 lab up none && refused 2 lab cut &&
		refused 2 lab cut h4 && refused 2 lab cut h0 && refused 2 lab loss h1 101 &&
		refused 2 lab loss h1 5 up && refused 2 lab burst h1 0 5 && refused 2 lab oneway h1 both &&
		refused 2 lab tuple h1 10.77.0.1 1 fd77::2 2 && refused 2 lab starve h1 0 &&
		refused 2 lab addr h1 5 && refused 2 "$lab_command" --name ../x up 1 &&
		refused 1 lab up 2 && refused 1 other_lab cut h1 &&
		refused 1 env KNELL_BUILD=/nonexistent "$lab_command" status
}

nothing_left() {
	local pid
	for pid in "${pids[@]}"; do
		within 2 gone "$pid" || return
	done
	[[ -z $(compgen -G "/run/netns/$name*") && ! -e /run/knell-lab/$name ]] &&
		[[ -z $(find /sys/fs/cgroup -maxdepth 3 -name "knell-lab-$name*") ]]
}

test_down() {
	lab spawn h1 "$work/sleep.log" sleep 1000 >"$work/pid" && pids+=("$(<"$work/pid")") || return
	lab down && nothing_left && lab down
}

# A knell-wire that fails on the way up.
test_half_up() {
	mkdir "$work/build"
	printf '#!/bin/sh\nexit 1\n' >"$work/build/knell-wire"
	chmod +x "$work/build/knell-wire"
	refused 1 env KNELL_BUILD="$work/build" "$lab_command" --name "$name" up 2 && nothing_left
}

check "up 3 makes three hosts" test_up
check "hosts reach each other over IPv4 and IPv6" test_reach
check "a clean cable: bulk data, nothing retransmitted" test_clean
check "loss 10 in loses one in ten" test_loss
check "burst loses both directions together, for its mean time" test_burst
check "oneway out: heard, but not answered" test_oneway
check "tuple loses one connection while another flows" test_tuple
check "freeze stops the programs, not the kernel; thaw" test_freeze
check "starve limits the CPU" test_starve
check "linkdown and linkup, with the IPv6 address kept" test_linkdown
check "two labs side by side do not meet" test_two_labs
check "kill without cut is heard by the survivor" test_kill_is_heard
check "cut: processes gone, and not one segment reaches the survivor" test_cut
check "restore" test_restore
check "reboot: new MAC, no sockets, no faults, reachable at once" test_reboot
check "bad input: one line, status 2; failure: status 1" test_bad_input
check "down leaves nothing, and again" test_down
check "up that fails half way leaves nothing" test_half_up
exit $failed
