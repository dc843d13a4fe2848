# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# For the shell tests of opalmem-run; read with ".". Sets $run (the program), $scenes (the
# program that plays scenes) and $work (a folder that goes at exit), and counts failures.

top_builddir=$(cd "${top_builddir:-.}" && pwd)
run=$top_builddir/opalmem-run
# shellcheck disable=SC2034 # tests use it
scenes=$top_builddir/test/run/run_scenes
failures=0
# Not in a memory file system, where some kernels have no O_DIRECT and files of their own kind.
work=$(mktemp -d "$top_builddir/run-test-XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC3045 # where a shell has it
ulimit -c 0 2> /dev/null
# What a shell says of a program that a signal has ended is no message of the program.
LC_ALL=C
export LC_ALL

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

skip() {
    echo "SKIP: $*"
    exit 77
}

# End of a test: its exit status.
finish() {
    [ "$failures" = 0 ] || exit 1
    echo "${0##*/}: all good"
    exit 0
}

# The preload library has to be the first object, and the memory that of a usual program.
require_run() {
    [ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "$OPALMEM_TEST_EMULATOR has no io_uring"
    case ${TEST_CFLAGS:-} in *-fsanitize*) skip "built with a sanitizer, whose runtime must come first" ;; esac
    "$run" true > "$work/out" 2> "$work/err"
    [ $? != 125 ] || skip "opalmem-run does not work here: $(cat "$work/err")"
    "$top_builddir/opalmem-info" --parsable | grep -q '^mca:memory:linux:available:yes$' ||
        skip "the component linux cannot run here: nobody notices releases"
}

# report ARGUMENT...: opalmem-run with a report in $work/json; output in $work/out, messages in $work/err, its status in $status.
report() {
    what="opalmem-run $*"
    rm -f "$work/json"
    "$run" --json "$work/json" "$@" > "$work/out" 2> "$work/err"
    # shellcheck disable=SC2034 # tests use it
    status=$?
}

# figure NAME: a number of the report; of the calls' own figures ("cached") the sum, which comes last.
figure() {
    sed -n "s/^ *\"$1\": \\([0-9]*\\),\\{0,1\\}\$/\\1/p" "$work/json" | tail -n 1
}

# plain CALL REASON: how many calls were plain for it.
plain() {
    awk -v call="\"$1\": {" -v reason="\"$2\": " '
        { sub(/^ */, "") }
        index($0, "\": {") && $0 !~ /^"plain"/ { mine = index($0, call) == 1 }
        mine && index($0, reason) == 1 { sub(/.*: /, ""); sub(/,$/, ""); count = $0 }
        END { print count + 0 }' "$work/json"
}

# noted NOTE: the report says it.
noted() {
    grep -q "^ *\"notes\": .*\"$1\"" "$work/json"
}

# at_least NAME NUMBER
at_least() {
    found=$(figure "$1")
    [ "${found:-0}" -ge "$2" ] || fail "$what: $1 is ${found:-missing}, not $2 or more"
}
