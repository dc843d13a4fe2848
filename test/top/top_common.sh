# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# For the tests of opalmem-top; read with ".". Starts top_subject on request, and has it obey.

top_builddir=$(cd "${top_builddir:-.}" && pwd)
top=$top_builddir/opalmem-top
failures=0
work=$(mktemp -d) || exit 99
unset OPALMEM_MCA_rcache_base_stats_page OMPI_MCA_rcache_base_stats_page

cleanup() {
    exec 3>&- 4<&- # The subject ends with its input.
    rm -rf "$work"
}
trap cleanup EXIT

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

# Start the subject: it reads descriptor 3 and writes 4.
start_subject() {
    exec 3>&- 4<&-
    rm -f "$work/in" "$work/answers"
    mkfifo "$work/in" "$work/answers"
    "$top_builddir/test/top/top_subject" < "$work/in" > "$work/answers" 2> "$work/subject.err" &
    subject_job=$!
    exec 3> "$work/in" 4< "$work/answers"
}

# say COMMAND [VALUE]: done when it returns; sets $pid.
say() {
    echo "$*" >&3
    # shellcheck disable=SC2034 # for the tests
    read -r pid <&4 || { echo "FAIL: no answer to: $*: $(cat "$work/subject.err")"; exit 1; }
}

# The same for what ends the subject.
say_last() {
    echo "$*" >&3
    wait "$subject_job"
}

# run EXPECTED-STATUS ARGUMENT...: output in $work/out and $work/err.
run() {
    expected=$1
    shift
    what="opalmem-top $*"
    "$top" "$@" > "$work/out" 2> "$work/err" < /dev/null
    status=$?
    [ "$status" = "$expected" ] || fail "$what: exit status $status, not $expected: $(cat "$work/err")"
}

# is LINE NAME VALUE: a figure of that line of the output.
is() {
    found=$(sed -n "${1}p" "$work/out" | tr ' ' '\n' | sed -n "s|^$2=||p")
    [ "$found" = "$3" ] || fail "$what: line $1: $2 is \"$found\", not \"$3\": $(cat "$work/out")"
}

# refused EXPECTED-STATUS PATTERN ARGUMENT...: one message, which matches, and no output.
refused() {
    expected=$1
    pattern=$2
    shift 2
    run "$expected" "$@"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "$what: not one message: $(cat "$work/err")"
    grep -q -e "$pattern" "$work/err" || fail "$what: no '$pattern' in: $(cat "$work/err")"
    [ ! -s "$work/out" ] || fail "$what: output: $(head -c 500 "$work/out")"
}
