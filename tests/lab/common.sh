# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# common.sh - what every lab test needs. Source it first, then call `run CASE FUNCTION` for each case
# and `finish` last. One line per case: `ok - text`, `not ok - text`, `skip - text: reason`; tests/run
# counts them. Exit status 0, 1, or 77 when all was skipped.
#
# KNELL_MODE says how long to look: check (short, the default), bench or soak (in full).
set -uo pipefail

tests_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
KNELL_MODE=${KNELL_MODE:-check}
# shellcheck source=tools/lab/cluster.sh
. "$tests_root/tools/lab/cluster.sh"
figures_file=${KNELL_FIGURES:-$tests_root/build/figures.jsonl}

passed=0
failed=0
skipped=0
why=

# in_mode CHECK BENCH SOAK: the value for the present mode.
in_mode() {
	case $KNELL_MODE in
	check) echo "$1" ;;
	bench) echo "$2" ;;
	*) echo "$3" ;;
	esac
}

# fail TEXT: remember why, for use as `fail "..." ; return 1`.
fail() {
	why="$*"
	return 1
}

# need_root_and_lab: skips the whole file where it cannot run.
need_root_and_lab() {
	[ "$(id -u)" -eq 0 ] || skip_all "needs root for network namespaces"
	[ -x "$KNELL_BUILD/knell-wire" ] || skip_all "$KNELL_BUILD is not built: make"
}

skip_all() {
	echo "skip - $(basename "$0"): $1"
	exit 77
}

# run TEXT FUNCTION [ARGS]: one case. FUNCTION returns 0, 77 (skip) or else; `why` tells the reason.
run() {
	local text=$1 status=0
	shift
	why=
	"$@" || status=$?
	case $status in
	0)
		passed=$((passed + 1))
		echo "ok - $text"
		;;
	77)
		skipped=$((skipped + 1))
		echo "skip - $text: $why"
		;;
	*)
		failed=$((failed + 1))
		echo "not ok - $text: ${why:-status $status}"
		[ -z "$cluster_dir" ] || tail -n 3 "$cluster_dir"/h*.log | sed 's/^/# /'
		;;
	esac
}

# each_case TEXT COMMAND...: a program that prints `ok - ` and `not ok - ` lines; each is a case here.
each_case() {
	local text=$1 line seen=0 bad=0 status=
	shift
	while read -r line; do
		case $line in
		"ok - "*) passed=$((passed + 1)) ;;
		"not ok - "*) failed=$((failed + 1)) bad=1 ;;
		"status "*)
			status=${line#status }
			continue
			;;
		*)
			echo "# $line"
			continue
			;;
		esac
		seen=$((seen + 1))
		echo "${line%% - *} - $text: ${line#* - }"
	done < <(
		"$@" 2>&1
		echo "status $?"
	)
	if [ "$seen" -eq 0 ]; then
		run "$text" fail "the program said nothing"
	elif [ "$bad" -eq 0 ] && [ "$status" != 0 ]; then
		run "$text" fail "the program ended with status $status"
	fi
}

finish() {
	if [ "$failed" -gt 0 ]; then
		exit 1
	elif [ "$passed" -eq 0 ] && [ "$skipped" -gt 0 ]; then
		exit 77
	fi
	exit 0
}

# percentile P: of the numbers on standard input (nearest rank).
percentile() {
	sort -g | awk -v p="$1" '{ v[NR] = $1 } END { i = int((NR * p + 99) / 100); if (i < 1) i = 1; print v[i] }'
}

# figure NAME PROFILE CASE UNIT VALUE...: one JSON line, printed and kept for tools/figures.
figure() {
	local name=$1 profile=$2 case=$3 unit=$4 line
	shift 4
	line=$(printf '%s\n' "$@" | jq -sc --arg f "$name" --arg p "$profile" --arg c "$case" --arg u "$unit" \
		--arg m "$KNELL_MODE" 'sort as $v | ($v | length) as $n |
		def rank(q): $v[([(($n * q) | ceil), 1] | max) - 1];
		{figure: $f, profile: $p, case: $c, n: $n, p50: rank(0.5), p99: rank(0.99), max: $v[-1], unit: $u, mode: $m}')
	echo "# $line"
	mkdir -p "$(dirname "$figures_file")"
	echo "$line" >>"$figures_file"
}

# at_most VALUE LIMIT TEXT: numbers may have a fraction.
at_most() {
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }' || fail "$3: $1 > $2"
}

# verdicts HOST PEER STATE AFTER_NS: how often HOST said STATE of PEER after that moment.
verdicts() {
	jq -rn --arg peer "$2" --arg to "$3" --argjson after "$4" \
		'[inputs | select(.event == "verdict" and .peer == $peer and .to == $to and .ts_ns > $after)] | length' \
		"$cluster_dir/$1.events"
}

# since_ms STAMP_NS CUT_NS
since_ms() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", (a - b) / 1e6 }'
}

trap cluster_down EXIT
trap 'exit 130' INT TERM
