# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# For the shell tests of opalmem-info; read with ".". Sets $info (the program) and
# $work (a folder that goes at exit), and counts failures.

top_builddir=$(cd "${top_builddir:-.}" && pwd)
info=$top_builddir/opalmem-info
failures=0
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

fail() {
    printf "FAIL: %s\n" "$*"
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

# run EXPECTED-STATUS ARGUMENT...: output in $work/out and $work/err.
run() {
    expected=$1
    shift
    "$info" "$@" > "$work/out" 2> "$work/err"
    status=$?
    [ "$status" = "$expected" ] || fail "opalmem-info $*: exit status $status, not $expected: $(cat "$work/err")"
    what="opalmem-info $*"
}

# The same, and nothing on stderr.
run_quietly() {
    run 0 "$@"
    [ ! -s "$work/err" ] || fail "$what: on stderr: $(cat "$work/err")"
}

# has PATTERN: a line of the output matches. lacks PATTERN: none does.
has() {
    grep -q -e "$1" "$work/out" || fail "$what: no line matches '$1' in: $(head -c 2000 "$work/out")"
}

lacks() {
    ! grep -q -e "$1" "$work/out" || fail "$what: a line matches '$1': $(grep -e "$1" "$work/out")"
}

# refused EXPECTED-STATUS PATTERN ARGUMENT...: one message, which matches, and no output.
refused() {
    expected=$1
    pattern=$2
    shift 2
    run "$expected" "$@"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "$what: $(wc -l < "$work/err") messages: $(cat "$work/err")"
    grep -q -e "$pattern" "$work/err" || fail "$what: no '$pattern' in: $(cat "$work/err")"
    [ ! -s "$work/out" ] || fail "$what: output: $(head -c 500 "$work/out")"
}

# A build that cannot load DSOs warns where a path of them is set, as the makefile does.
if "$info" --config --parsable | grep -q '^build:libltdl:no$'; then
    unset OPALMEM_MCA_mca_base_component_path
    can_load=no
else
    can_load=yes
fi

# use_show_component: settings for a run with the component "show", which has a variable of every kind.
# False: it cannot be loaded here.
use_show_component() {
    [ "$can_load" = yes ] || return 1
    OPALMEM_MCA_mca_base_component_path=$top_builddir/test/info/.libs:$top_builddir/.libs
    export OPALMEM_MCA_mca_base_component_path
    run_quietly --parsable
    has '^mca:memory:show:linkage:dso$'
}
