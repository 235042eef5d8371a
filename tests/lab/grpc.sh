# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# grpc.sh - what lab tests with gRPC clients need. Source it after common.sh.
#
# The clients are programs of tests/grpc on Node.js; the npm packages that they use are installed
# into the build directory by the Makefile.
#
# shellcheck disable=SC2034,SC2154 # where is for who sources this; see common.sh

grpc_programs=$tests_root/tests/grpc
export NODE_PATH=$KNELL_BUILD/grpc/node_modules NODE_NO_WARNINGS=1
type -P node >/dev/null || skip_all "no Node.js: tools/setup installs it"
[ -d "$NODE_PATH" ] || skip_all "no npm packages in $KNELL_BUILD/grpc: tests/install_npm could not get them"

# js HOST PROGRAM ARGS...: run it on that host.
js() {
	lab exec "$1" node "$grpc_programs/$2.js" "${@:3}"
}

# js_spawn HOST PROGRAM OUTPUT ARGS...: in the background; prints its pid.
js_spawn() {
	lab spawn "$1" "$3" node "$grpc_programs/$2.js" "${@:4}"
}

# by_tls HOST [NAME]: sets `where` to that node, called with NAME's certificate.
by_tls() {
	where=(--node "$1" --at "$(cluster_endpoint "$1")" --dir "$cluster_dir" --as "${2:-tester}")
}

# by_local HOST: sets `where` to its socket for programs of the same host.
by_local() {
	where=(--local "unix:$cluster_dir/$1.grpc")
}

# has_line FILE FILTER: a line of JSON objects for which jq's FILTER is true is there.
has_line() {
	[ -n "$(jq -c "select($2)" "$1")" ]
}

# end PID: SIGTERM, and it is gone.
end() {
	kill "$1" 2>/dev/null
	wait_for 5 is_gone "$1"
}

is_gone() {
	! kill -0 "$1"
}
