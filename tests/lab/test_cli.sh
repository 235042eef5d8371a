#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line as a user meets it: words and exit statuses, JSON, an instance that is loaded,
# watched, looked at and unloaded around real traffic, and help, man page and completion compared.
# Works on its own BPF file system and in its own network namespaces: everything it makes is gone
# when it ends. Needs root, jq, python3 and a built knell.
#
# Prints one line per case: ok, not ok or skip. Exit status: 0 all ok, 1 one failed, 77 skipped.
#
# shellcheck disable=SC2317 # the cases are called by name, through check
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
source=$here/../../tools/knell
knell=$(readlink -f "${KNELL_BUILD:-$here/../../build}")/knell
a=cli-a-$$ b=cli-b-$$
failed=0
pids=()

skip_all() {
	echo "skip - the command line: $1"
	exit 77
}

((EUID == 0)) || skip_all 'needs root'
[[ -x $knell ]] || skip_all "no $knell"
for tool in jq python3 openssl nsenter setpriv; do
	command -v $tool >/dev/null || skip_all "needs $tool"
done
# In a mount namespace of our own, what is mounted and pinned leaves with us.
if [[ -z ${KNELL_TEST_CLI_MOUNTS-} ]]; then
	unshare --mount --net true 2>/dev/null || skip_all 'cannot make namespaces here'
	KNELL_TEST_CLI_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi

work=$(mktemp -d)
chmod 755 "$work"
export KNELL_PIN=/sys/fs/bpf/knell-test-$$ KNELL_SOCKET=$work/agent.sock

teardown() {
	local pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	"$knell" unload >/dev/null 2>&1
	ip netns del "$a" 2>/dev/null
	ip netns del "$b" 2>/dev/null
	rm -rf "$work"
}
trap teardown EXIT
trap 'exit 1' INT TERM

# check TEXT COMMAND...: one case.
check() {
	local text=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		echo "ok - $text"
	else
		echo "not ok - $text"
		sed 's/^/# /' "$work/log"
		failed=1
	fi
}

# within SECONDS COMMAND...: until it succeeds.
within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

# gives STATUS PATTERN COMMAND...: exit status, and what was said in one line on stderr.
gives() {
	local status=$1 pattern=$2 got
	shift 2
	"$@" >"$work/out" 2>"$work/err"
	got=$?
	cat "$work/out" "$work/err"
	((got == status)) || { echo "exit status $got, expected $status"; return 1; }
	[[ -z $pattern ]] && return 0
	(($(wc -l <"$work/err") == 1)) || { echo 'not one line'; return 1; }
	grep -Eq -- "$pattern" "$work/err" || { echo "nothing like '$pattern'"; return 1; }
}

# refuses STATUS PATTERN ARGS...: the same, in text and in JSON.
refuses() {
	local status=$1 pattern=$2
	shift 2
	gives "$status" "$pattern" "$knell" "$@" || return 1
	[[ ! -s $work/out ]] || { echo 'wrote to stdout'; return 1; }
	gives "$status" '' "$knell" -j "$@" || return 1
	[[ ! -s $work/err ]] || { echo 'JSON mode wrote to stderr'; return 1; }
	jq -e --arg pattern "$pattern" '.error | test($pattern)' "$work/out"
}

# json FILTER ARGS...: one JSON value, for which the filter is true.
json() {
	local filter=$1
	shift
	"$knell" -j "$@" >"$work/out" || { cat "$work/out"; return 1; }
	jq -c . "$work/out" || return 1
	(($(wc -l <"$work/out") == 1)) || { echo 'not one line'; return 1; }
	jq -es 'length == 1' "$work/out" >/dev/null && jq -e "$filter" "$work/out"
}

in_a() {
	nsenter --net="/run/netns/$a" "$@"
}

# --- words -------------------------------------------------------------------------------------

every_help_prints() {
	local object
	"$knell" help || return 1
	for object in $("$knell" -j help | jq -r '.objects[].name'); do
		"$knell" "$object" help | grep -q "knell $object" || return 1
		"$knell" --help "$object" | grep -q "knell $object" || return 1
		json ".name == \"$object\"" "$object" help || return 1
	done
}

pretty_is_the_same_value() {
	"$knell" -p version | jq -S . >"$work/pretty" && "$knell" -j version | jq -S . >"$work/plain" &&
		cmp "$work/pretty" "$work/plain" && (($("$knell" -p version | wc -l) > 3))
}

full_disk() {
	! "$knell" version >/dev/full
}

# --- help, man page, completion ------------------------------------------------------------------

# The three as sorted lines: "object", "object command", "object --option"; "--option" for all.
table_words() {
	local object
	"$knell" -j help | jq -r '"help", .objects[].name, "--" + .options[].name'
	for object in $("$knell" -j help | jq -r '.objects[].name'); do
		"$knell" -j "$object" help | jq -r '.name as $object
			| (.commands[] | select(.name != "") | $object + " " + .name),
			  (.options[] | $object + " --" + .name)'
	done
}

man_words() {
	awk '
		/^\.Ss knell / { object = $3; print object }
		/^\.Sh / { object = "" }
		/^\.It Nm Cm / && $5 ~ /^[a-z]+$/ && object != "load" && object != "event" { print object, $5 }
		/^\.It (Fl [a-zA-Z] , )?Fl Fl / {
			for (i = 2; i < NF; i++)
				if ($i == "Fl" && $(i + 1) == "Fl")
					print (object == "" ? "" : object " ") "--" $(i + 2)
		}
	' "$source/man/knell.8"
}

# shellcheck disable=SC2154 # _knell_objects comes from the completion
completion_words() (
	complete() { :; }
	# shellcheck disable=SC1091
	source "$source/completion/knell"
	_knell_options | tr ' ' '\n'
	for object in $_knell_objects; do
		echo "$object"
		[[ $object == help ]] && continue
		for word in $(_knell_commands "$object"); do
			[[ $word == help ]] || echo "$object $word"
		done
		comm -23 <(_knell_options "$object" | tr ' ' '\n' | sort) \
			<(_knell_options | tr ' ' '\n' | sort) | sed "s/^/$object /"
	done
)

same_words() {
	table_words | sort -u >"$work/table"
	"$1" | sort -u >"$work/other"
	(($(wc -l <"$work/table") > 20)) && diff -u "$work/table" "$work/other"
}

man_page_is_clean() {
	command -v groff >/dev/null || return 0
	groff -mandoc -ww -Tutf8 "$source/man/knell.8" 2>&1 >/dev/null | (! grep .)
}

completion_completes() {
	PATH=$(dirname "$knell"):$PATH bash -c '
		source "$1"
		try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); COMPREPLY=(); _knell; echo "${COMPREPLY[*]}"; }
		[[ $(try knell pe) == peer ]] && [[ $(try knell -j peer d) == dump ]] &&
			[[ $(try knell load --prof) == --profile ]] &&
			[[ $(try knell load --profile r) == rack ]] &&
			[[ $(try knell cert --days 3 n) == node ]] &&
			[[ $(try knell watch del 10.77) == 10.77.0.0/24 ]]
	' bash "$source/completion/knell"
}

# --- an instance around real traffic ---------------------------------------------------------------

make_hosts() {
	ip netns add "$a" && ip netns add "$b" &&
		ip link add port netns "$a" type veth peer name port netns "$b" &&
		ip -n "$a" addr add 10.77.0.1/24 dev port && ip -n "$b" addr add 10.77.0.2/24 dev port &&
		ip -n "$a" link set port up && ip -n "$b" link set port up
}

start_traffic() {
	nsenter --net="/run/netns/$b" python3 -c '
import socket, threading
def echo(conn):
    while conn.recv(4096):
        conn.sendall(b"pong")
server = socket.create_server(("10.77.0.2", 7400))
while True:
    threading.Thread(target=echo, args=server.accept()[:1], daemon=True).start()
' &
	pids+=($!)
	nsenter --net="/run/netns/$a" python3 -c '
import socket, time
def connect():
    while True:
        try:
            return socket.create_connection(("10.77.0.2", 7400))
        except ConnectionRefusedError:
            time.sleep(0.05)
conns = [connect() for _ in range(3)]
while True:
    for conn in conns:
        conn.sendall(b"ping")
    time.sleep(0.05)
' &
	pids+=($!)
}

is_peer() {
	"$knell" -j peer show | jq -e ".peers[0] | $1" >/dev/null
}

watch_prefixes() {
	"$knell" watch add 10.77.0.0/24 && "$knell" watch add fd00::/64 &&
		"$knell" watch add ::ffff:10.78.0.0/112 shared && "$knell" watch add 10.79.0.1 &&
		"$knell" watch show &&
		json 'map(.prefix) | sort == ["10.77.0.0/24", "10.78.0.0/16", "10.79.0.1", "fd00::/64"]' \
			watch show &&
		json 'map(select(.shared).prefix) == ["10.78.0.0/16"]' watch show &&
		"$knell" watch add 10.79.0.1 shared && "$knell" watch del 10.78.0.0/16 &&
		json 'map(select(.shared).prefix) == ["10.79.0.1"]' watch show
}

peer_alive() {
	within 5 is_peer '.addr == "10.77.0.2" and .state == "alive" and .connections == 3'
	"$knell" peer show
	is_peer '.state == "alive" and .connections == 3 and .heard_age_us < 5000000 and .name == null'
}

peer_table() {
	"$knell" peer show >"$work/table"
	cat "$work/table"
	for word in name address state since heard phi unanswered tuples reason conns srtt loss tau \
		retrans resets keepalive stalls flaps hold; do
		head -1 "$work/table" | grep -qw "$word" || { echo "no column $word"; return 1; }
	done
	grep -Eq '^node: *connected  peers 1  silent 0  link up' "$work/table"
}

narrow_table() {
	command -v script >/dev/null || return 0
	script -qec "stty cols 80; $knell peer show" /dev/null </dev/null | tr -d '\r' >"$work/narrow"
	cat "$work/narrow"
	grep -q 10.77.0.2 "$work/narrow" && (($(grep 10.77.0.2 "$work/narrow" | wc -L) <= 80))
}

# The host loses its address, so nobody answers any more, while the cable stays up: a port without
# carrier would be this host's own fault. The verdicts must come, and end in dead.
follow_a_death() {
	local text json
	"$knell" event --count 2 >"$work/events" 2>"$work/remark" &
	text=$!
	"$knell" -j event --count 2 >"$work/events.json" 2>"$work/remark.json" &
	json=$!
	pids+=("$text" "$json")
	within 5 grep -q 'no agent runs' "$work/remark" && within 5 test -s "$work/remark.json" || return 1
	ip -n "$b" addr del 10.77.0.2/24 dev port
	wait "$text" && wait "$json" || return 1
	cat "$work/events" "$work/events.json"
	within 10 is_peer '.state == "dead"'
	"$knell" peer show
	(($(wc -l <"$work/events.json") == 2)) &&
		jq -es '.[0].from == "alive" and .[0].to == "suspect" and .[1].from == "suspect" and
			all(.event == "verdict" and .addr == "10.77.0.2" and .seq > 0 and .missed >= 0 and
				.reason == "retransmission unanswered" and (.wall | test("Z$")))' \
			"$work/events.json" &&
		grep -Eq 'alive -> suspect .* retransmission unanswered  phi ' "$work/events" &&
		is_peer '.state == "dead" and .phi_md >= 12000 and .unanswered >= 4 and .tuples >= 2'
}

recover() {
	ip -n "$b" addr add 10.77.0.2/24 dev port
	within 10 is_peer '.state == "alive"' && json '.peers[0].flaps == 1' peer show
}

unload_leaves_nothing() {
	"$knell" unload && [[ ! -e $KNELL_PIN ]] && [[ -z $(find /sys/fs/bpf -name 'knell*') ]]
}

unload_ends_follow() {
	local follower
	"$knell" -j event >"$work/last" 2>"$work/last.remark" &
	follower=$!
	pids+=("$follower")
	within 5 test -s "$work/last.remark" && unload_leaves_nothing || return 1
	! wait "$follower" && cat "$work/last" && jq -e '.error | test("was unloaded")' "$work/last"
}

forget_peers() {
	"$knell" watch del 10.77.0.0/24 && json '.peers == []' peer show
}

load_with_everything() {
	in_a "$knell" load --profile wan --all-netns --ring-bytes 65536 --peers-max 16 \
		--cgroup "$(findmnt -nt cgroup2 -o TARGET | head -1)" &&
		json '.profile == "wan" and .all_netns' version && unload_leaves_nothing
}

failed_load_leaves_nothing() {
	refuses 1 'cgroup /nowhere' load --cgroup /nowhere && [[ -z $(find /sys/fs/bpf -name 'knell*') ]]
}

without_capability() {
	cp "$knell" "$work/knell"
	gives 1 'run as root|no permission' setpriv --bounding-set=-all "$work/knell" --pin "$KNELL_PIN-2" load &&
		gives 1 'no permission' setpriv --reuid=65534 --clear-groups "$work/knell" peer show &&
		gives 1 'no permission' setpriv --reuid=65534 --clear-groups "$work/knell" watch add 10.0.0.1 &&
		[[ ! -e $KNELL_PIN-2 ]]
}

# --- an agent, played by a script ------------------------------------------------------------------

start_agent() {
	rm -f "$KNELL_SOCKET"
	python3 -c '
import json, socket, sys
peers = [{"name": "b", "addr": "10.77.0.2", "port": 7400}]
conn = {"id": 7, "peer": "b", "addr": "10.77.0.2:7400", "role": "heartbeat", "state": "ready",
        "age_ms": 1500, "calls": 3, "local_port": 40112, "rtt_us": 180, "retransmits": 0,
        "last_heard_ms": 12, "bytes_in": 1, "bytes_out": 2}
event = {"event": "verdict", "ts_ns": 1, "wall": "2026-01-02T03:04:05.678Z", "node": "a", "peer": "b",
         "addr": "10.77.0.2", "netns": 1, "seq": 5, "epoch": 1, "from": "lost", "to": "dead",
         "reason": "retransmission unanswered", "phi_md": 12345, "unanswered": 6, "tuples": 2,
         "loss_ppm": 1000, "heard_age_us": 512000, "silence_us": 480000, "flaps": 0,
         "conns_evicted": 2, "reaction_us": 180}
stalled = dict(event, event="stalled", seq=6)
drive = {"path": "/mnt/d1", "state": "offline", "reason": "dead", "uuid": None, "total_bytes": 3 << 39,
         "used_bytes": 3 << 29, "available_bytes": 1023, "inodes": 7, "inodes_used": 3, "read_only": False}
offline = {"name": "b", "state": "offline", "reason": "dead", "endpoint": "10.77.0.2:7400", "self": False,
           "verdict": "dead", "since_age_ms": 1500, "answered": False, "known_age_ms": 9, "drives": [drive],
           "version": "0.1.0", "started": 1, "pid": 5, "cpus": 2, "memory_bytes": 1 << 30,
           "network": {"a": "alive"}, "uptime_s": None, "connections": None}
new = dict(offline, name="c", state="initializing", verdict="new", reason="never heard", drives=[],
           network={}, known_age_ms=None, version=None, started=None, pid=None, cpus=None, memory_bytes=None)
cluster = {"node": "a", "isolated": False, "total": 2, "online": 0, "offline": 1, "unknown": 1,
           "degraded": 0, "initializing": 1, "took_us": 300, "servers": [offline, new],
           "drives": {"total": 1, "ok": 0, "offline": 1, "faulty": 0, "unknown": 0, "total_bytes": 0,
                      "used_bytes": 0, "available_bytes": 0}}
upload = {"id": 17, "bucket": "photos", "key": "a cat.jpg", "part": 3, "bytes": 5 << 20,
          "expected_bytes": 9 << 20, "age_ms": 2500, "rate_bytes_per_s": 2 << 20, "state": "receiving",
          "replicas": [{"node": "b", "state": "writing", "bytes": 4 << 20},
                       {"node": "c", "state": "lost", "bytes": 10}]}
begun = {"id": 18, "bucket": "photos", "key": "dog", "bytes": 0, "age_ms": 0, "state": "committing",
         "replicas": []}
repair = {"node": "a", "alone": False, "in_step": False, "away_count": 3, "away_bytes": 4096,
          "mended_count": 5, "mended_bytes": 3 << 29, "failed_count": 7,
          "peers": [{"peer": "b", "met": True, "unread_theirs": 8, "unread_ours": 9},
                    {"peer": "c", "met": False}]}
repairs = [{"node": "a", "alone": True, "in_step": True, "peers": []},
           {"node": "a", "alone": False, "in_step": True, "away_count": 0, "away_bytes": 0, "mended_count": 1,
            "mended_bytes": 10, "failed_count": 0,
            "peers": [{"peer": "b", "met": True, "unread_theirs": 0, "unread_ours": 0}]}, repair, repair]
def answer(request):
    command = request["cmd"]
    if command == "upload.show": return {"ok": True, "data": [upload, begun]}
    if command == "upload.cancel" and request["id"] == 17: return {"ok": True, "data": {"cancelled": 1}}
    if command == "upload.cancel": return {"ok": False, "error": "no upload 16"}
    if command == "cluster.repair": return {"ok": True, "data": repairs.pop()}
    if command == "peers": return {"ok": True, "data": peers}
    if command == "conn.show": return {"ok": True, "data": [conn] * 1000}
    if command == "conn.clear": return {"ok": True, "data": {"evicted": 3}}
    if command in ("cluster.info", "cluster.storage"): return {"ok": True, "data": cluster}
    if command == "event": return {"ok": True}
    if request.get("peer") == "b" or request.get("id") == 7: return {"ok": True, "data": {"evicted": 1}}
    if request.get("peer") == "mute": return None
    if request.get("peer") == "garbled": return "what"
    return {"ok": False, "error": "no such peer or connection"}
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    client = server.accept()[0]
    stream = client.makefile("rw")
    try:
        for line in stream:
            request = json.loads(line)
            reply = answer(request)
            if reply is None: break
            stream.write(json.dumps(reply) + "\n")
            if request["cmd"] == "event":
                stream.write(json.dumps(event) + "\n" + json.dumps(stalled) + "\n")
                stream.flush()
                break
            stream.flush()
    except OSError:
        pass
    stream.close()
    client.close()
' "$KNELL_SOCKET" &
	pids+=($!)
	within 5 test -S "$KNELL_SOCKET"
}

agent_events() {
	"$knell" event --count 2 >"$work/events" && cat "$work/events" || return 1
	grep -Eq 'a  -> b  10.77.0.2 .*lost -> dead .*phi 12.3 .*unanswered 6 .*reaction 180 us' "$work/events" &&
		grep -Eq 'a connection stalled' "$work/events" &&
		"$knell" -j event --count 2 >"$work/events" && (($(wc -l <"$work/events") == 2)) &&
		jq -es '.[0].reaction_us == 180 and .[0].conns_evicted == 2 and .[1].event == "stalled"' \
			"$work/events"
}

agent_ends() {
	"$knell" -j event >"$work/events"
	(($? == 1)) && jq -es 'length == 3 and (.[2].error | test("ended"))' "$work/events"
}

# Text and JSON of a cluster with one server that is off and one that was never heard.
cluster_info() {
	"$knell" cluster info >"$work/table" && cat "$work/table" || return 1
	grep -Eq '^b +offline +10.77.0.2:7400 +1.50 s .* 1.00 GiB .* dead$' "$work/table" &&
		grep -Eq '^c +initializing .* never heard$' "$work/table" &&
		grep -q '^servers: 0 online (0 degraded), 1 offline, 1 unknown, 2 in all$' "$work/table" &&
		json '.online + .offline + .unknown == .total and .servers[0].network == {"a": "alive"} and
			.servers[0].memory_bytes == 1073741824 and .servers[0].uptime_s == null and
			.servers[1].version == null and .servers[1].drives == []' cluster
}

cluster_storage() {
	"$knell" cluster storage >"$work/table" && cat "$work/table" || return 1
	grep -Eq '^b  offline  10.77.0.2:7400  \(dead\)$' "$work/table" &&
		grep -Eq '^/mnt/d1 +offline +1.50 TiB +1.50 GiB +1.00 KiB ' "$work/table" &&
		grep -q '^no drives known: it was never heard$' "$work/table" &&
		json '.servers[0].drives[0].total_bytes == 1649267441664 and .drives.offline == 1 and
			.servers[1].drives == []' cluster storage
}

upload_show() {
	"$knell" upload show >"$work/table" && cat "$work/table" || return 1
	grep -Eq '^ *id +object +bytes +of +rate +age +state +replicas' "$work/table" &&
		grep -Eq '^17 +photos/a cat.jpg \(part 3\) +5.00 MiB +9.00 MiB +2.00 MiB/s +2.50 s +receiving +b writing 4.00 MiB, c lost$' "$work/table" &&
		grep -Eq '^18 +photos/dog +0 B +- +- .* +committing +none$' "$work/table" &&
		json 'length == 2 and .[0].bytes == 5242880 and .[0].expected_bytes == 9437184 and .[0].part == 3 and
			.[0].rate_bytes_per_s == 2097152 and .[0].replicas[1] == {"node": "c", "state": "lost", "bytes": 10} and
			.[1].expected_bytes == null and .[1].part == null and .[1].rate_bytes_per_s == null and
			.[1].replicas == []' up s
}

# The agent is asked four times: halfway in text and in JSON, then in step, then alone.
cluster_repair() {
	"$knell" cluster repair >"$work/table" && cat "$work/table" || return 1
	grep -Eq '^b +yes +8 +9$' "$work/table" && grep -Eq '^c +- +- +-$' "$work/table" &&
		grep -q '^away: 3 objects, 4.00 KiB, to be brought here still$' "$work/table" &&
		grep -q '^mended: 5 objects, 1.50 GiB, since the agent started; 7 tries failed$' "$work/table" &&
		grep -q '^not in step' "$work/table" &&
		json '.away_count == 3 and .failed_count == 7 and (.in_step or .alone | not) and
			.peers[0].unread_ours == 9 and .peers[1] ==
				{"peer": "c", "met": false, "unread_theirs": null, "unread_ours": null}' cl r &&
		"$knell" cluster repair >"$work/table" && cat "$work/table" && grep -q '^in step: nothing is away' "$work/table" &&
		"$knell" cluster repair >"$work/table" && cat "$work/table" &&
		[[ $(<"$work/table") == 'alone: a keeps its objects without any peer' ]]
}

completion_knows_uploads() {
	[[ $(PATH=$(dirname "$knell"):$PATH bash -c '
		source "$1"
		COMP_WORDS=(knell upload cancel "") COMP_CWORD=3
		_knell
		echo "${COMPREPLY[*]}"
	' bash "$source/completion/knell") == "17 18" ]]
}

# --- certificates ----------------------------------------------------------------------------------

certificates() {
	local pki=$work/pki
	"$knell" cert ca "$pki" && json '.not_after | test("Z$")' cert node "$pki" b 10.77.0.2 fd00::2 \
		--days 9999 || return 1
	[[ $(stat -c %a "$pki/ca.key" "$pki/b.key" | sort -u) == 600 ]] &&
		[[ $(stat -c %a "$pki/b.pem") == 644 ]] &&
		openssl verify -x509_strict -purpose sslserver -verify_hostname b -CAfile "$pki/ca.pem" "$pki/b.pem" &&
		openssl verify -x509_strict -purpose sslclient -verify_ip 10.77.0.2 -CAfile "$pki/ca.pem" "$pki/b.pem" &&
		openssl verify -verify_ip fd00::2 -CAfile "$pki/ca.pem" "$pki/b.pem" &&
		! openssl verify -verify_ip 10.77.0.3 -CAfile "$pki/ca.pem" "$pki/b.pem" &&
		[[ $(openssl x509 -in "$pki/b.pem" -noout -pubkey) == "$(openssl pkey -in "$pki/b.key" -pubout)" ]] &&
		[[ $(openssl x509 -in "$pki/b.pem" -noout -enddate) == "$(openssl x509 -in "$pki/ca.pem" -noout -enddate)" ]]
}

certificates_refused() {
	local pki=$work/pki before
	before=$(sha256sum "$pki"/*)
	refuses 1 'ca.pem exists and is not overwritten' cert ca "$pki" &&
		refuses 1 'b.pem exists and is not overwritten' cert node "$pki" b &&
		refuses 2 "no name for a node" cert node "$pki" ../c &&
		refuses 2 "no name for a node" cert node "$pki" ca &&
		refuses 2 "is not an address" cert node "$pki" c host &&
		refuses 1 "knell cert ca" cert node "$work/nowhere" c &&
		refuses 2 'from 1 to 36500' cert ca "$work/later" --days 0 &&
		[[ ! -e $pki/c.pem && ! -e $pki/c.key && ! -e $work/later ]] &&
		[[ $before == "$(sha256sum "$pki"/*)" ]]
}

# A key that exists without its certificate is left alone, and no half pair is made.
half_a_pair() {
	local pki=$work/pki
	echo mine >"$pki/d.key"
	refuses 1 'd.key exists' cert node "$pki" d && [[ $(<"$pki/d.key") == mine && ! -e $pki/d.pem ]]
}

other_key() {
	"$knell" cert ca "$work/pki2" && cp "$work/pki2/ca.key" "$work/pki/ca.key" &&
		refuses 1 'is not the key of' cert node "$work/pki" e
}

# -----------------------------------------------------------------------------------------------------

check 'every object prints its help, in text and JSON' every_help_prints
check 'no object' refuses 2 "no object given; see 'knell help'"
check 'an unknown object is refused and the known ones named' refuses 2 "no object 'bogus', there are: load," bogus
check 'an ambiguous object is refused and the candidates named' refuses 2 "'c' is ambiguous: conn, cluster, cert" c
check 'an unknown command' refuses 2 "no command 'bogus', there are: show, dump, help" peer bogus
check 'an unambiguous prefix will do' json '.name == "cert"' ce h
check 'an unknown option' refuses 2 "unknown option '--nope'; see 'knell load help'" load --nope
check 'an option without its value' refuses 2 'pin needs a value' --pin
check 'too few arguments' refuses 2 'too few arguments: knell watch add PREFIX' watch add
check 'too many arguments' refuses 2 "'b' is one too many" peer show a b
check 'an unknown profile' refuses 2 "no profile 'slow'.*lan, rack" load --profile slow
check 'a number that is none' refuses 2 'takes a number from' load --peers-max many
check 'version in JSON' json '.knell and .abi and .kernel and .agent == false' version
check 'the letters of flags join, --version is version' json '.instance == "not loaded"' -V
check 'pretty JSON is the same JSON' pretty_is_the_same_value
check 'a full disk is an error' full_disk
check 'feature in JSON' json '(.features | length > 3) and (.loadable | type == "boolean")' feature
check 'man page and help have the same words' same_words man_words
check 'completion and help have the same words' same_words completion_words
check 'the man page is well-formed' man_page_is_clean
check 'certificates that verify, for name and addresses' certificates
check 'certificates: nothing is overwritten, bad names refused' certificates_refused
check 'certificates: a lone key is left alone' half_a_pair
check 'certificates: a key that does not fit is refused' other_key
check 'not loaded: peer show' refuses 1 "nothing is loaded under $KNELL_PIN: run 'knell load'" peer show
check 'not loaded: watch add' refuses 1 'nothing is loaded' watch add 10.77.0.0/24
check 'not loaded: event' refuses 1 'nothing is loaded' event
check 'not loaded: unload' refuses 1 'nothing is loaded' unload
check 'no agent: conn show' refuses 1 'no agent runs at .*start knelld' conn show
check 'no agent: upload show' refuses 1 'no agent runs at .*start knelld' upload show
check 'upload cancel takes a number' refuses 2 "'cat' is no upload's ID" upload cancel cat
check 'no agent: cluster info' refuses 1 'no agent runs at .*start knelld' cluster info

# A BPF file system of our own, which load has to mount.
while mountpoint -q /sys/fs/bpf; do
	umount -l /sys/fs/bpf || break
done
if ! make_hosts >"$work/log" 2>&1; then
	echo "skip - everything with hosts: $(head -1 "$work/log")"
elif ! in_a "$knell" load >"$work/log" 2>&1 && "$knell" -j feature | jq -e '.loadable | not' >/dev/null; then
	echo "skip - everything with an instance: $(head -1 "$work/log")"
else
	check 'load' json '.instance == "loaded" and .profile == "lan" and .all_netns == false' version
	check 'a second load is refused' refuses 1 'already loaded' load
	check 'no peers yet' json '.peers == [] and .node.link == "up"' peer show
	check 'watch add, show, del' watch_prefixes
	check 'host bits are refused and the right prefix named' refuses 2 'write 10.77.0.0/24' watch add 10.77.0.5/24
	check 'a bad address' refuses 2 'neither an address nor a prefix' watch add 10.77
	check 'a prefix that is too long' refuses 2 'number up to 32' watch add 10.77.0.0/33
	check 'a word that is not shared' refuses 2 "'shard' is not understood" watch add 10.0.0.1 shard
	check 'del of what is not watched' refuses 1 'is not watched' watch del 10.1.1.1
	check 'completion completes, also from the running instance' completion_completes
	start_traffic
	check 'peer show: alive, with its connections' peer_alive
	check 'peer show: the table has every column' peer_table
	check 'peer show: the table fits a narrow terminal' narrow_table
	check 'peer show PEER' json '.peers | length == 1 and .[0].addr == "10.77.0.2"' peer show 10.77.0.2
	check 'peer show of a stranger' refuses 1 'nothing is known of 10.77.0.9' peer show 10.77.0.9
	check 'peer show of a name without agent' refuses 1 'give the address' peer show b
	check 'peer dump' json '.peers[0].state_number == 1 and .config.tau_ns == 20000000 and
		.stats.heard > 0 and .node.peers == 1' peer dump
	check 'event follows the map: a host falls silent and dies' follow_a_death
	check 'and comes back' recover
	check 'without capability' without_capability
	start_agent
	check 'names come from the agent' json '.peers[0].name == "b"' peer show b
	check 'an unknown name' refuses 1 "no peer 'zz'" peer show zz
	check 'conn show' json 'length == 1000 and .[0].role == "heartbeat" and .[0].rtt_us == 180' conn show
	check 'conn evict by name' json '.evicted == 1' conn evict b
	check 'conn evict by ID' json '.evicted == 1' conn evict 7
	check 'conn evict of a stranger' refuses 1 'the agent refused: no such peer' conn evict zz
	check 'cluster info' cluster_info
	check 'cluster storage' cluster_storage
	check 'upload show' upload_show
	check 'upload cancel' json '.cancelled == 1' upload cancel 17
	check 'upload cancel of what is not there' refuses 1 'the agent refused: no upload 16' upload cancel 16
	check 'uploads are completed' completion_knows_uploads
	check 'cluster repair' cluster_repair
	check 'conn clear' json '.evicted == 3' conn clear
	check 'an agent that hangs up' refuses 1 'it hung up' conn evict mute
	check 'an agent that talks nonsense' refuses 1 'no JSON object' conn evict garbled
	check 'event from the agent, with its reaction time' agent_events
	check 'event says when the agent ends' agent_ends
	kill "${pids[-1]}"
	wait "${pids[-1]}" 2>/dev/null
	check 'the prefix taken out, its peers are forgotten' forget_peers
	check 'unload leaves no pins, and ends who follows' unload_ends_follow
	check 'load with all options, and unload' load_with_everything
	check 'a load that fails leaves nothing' failed_load_leaves_nothing
fi
exit "$failed"
