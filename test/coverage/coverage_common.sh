# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# For the shell tests of opalmem-coverage; read with ".". Sets $coverage (the program)
# and $work (a folder that goes at exit), and counts failures.

top_builddir=$(cd "${top_builddir:-.}" && pwd)
coverage=$top_builddir/opalmem-coverage
failures=0
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

if [ "$(getconf PAGESIZE)" != 4096 ]; then
    echo "SKIP: pages of $(getconf PAGESIZE) bytes: opalmem-coverage knows only those of 4096"
    exit 77
fi

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

skip() {
    echo "SKIP: $*"
    exit 77
}

# Page frames, and the order in which a kernel takes them away, are what is looked at.
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "$OPALMEM_TEST_EMULATOR stands between the rows and the kernel"

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
    what="opalmem-coverage $*"
    "$coverage" "$@" > "$work/out" 2> "$work/err"
    status=$?
    [ "$status" = "$expected" ] || fail "$what: exit status $status, not $expected: $(cat "$work/err" "$work/out")"
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

# count SET KIND VERDICT: rows of the TSV in $work/out with it in the first column of verdicts. SET "": both.
count() {
    awk -F '\t' -v set="$1" -v kind="$2" -v verdict="$3" '
        NR > 1 && (set == "" || $4 == set) && $3 == kind && $5 == verdict { n++ } END { print n + 0 }' "$work/out"
}

# verdict ROW RANGE: of the TSV in $work/out.
verdict() {
    awk -F '\t' -v row="$1" -v range="$2" '$1 == row && $2 == range { print $5 }' "$work/out"
}

# Sanitizers put functions of their own before libc's, which no scene and no hook expects.
require_no_sanitizer() {
    libraries=$(LD_LIBRARY_PATH=$top_builddir/.libs ldd "$top_builddir/.libs/opalmem-coverage" 2>/dev/null)
    case $libraries in
        *libasan* | *libtsan* | *libclang_rt*) skip "built with a sanitizer, which replaces malloc or mmap" ;;
    esac
    case ${TEST_CFLAGS:-} in *-fsanitize*) skip "built with a sanitizer, which replaces malloc or mmap" ;; esac
}

require_helper() {
    [ -e "$top_builddir/.libs/coverage_helper.so" ] || skip "no shared objects were built (--disable-shared)"
}

# The component runs here?
require_linux() {
    "$top_builddir/opalmem-info" --parsable | grep -q '^mca:memory:linux:available:yes$' ||
        skip "the component linux cannot run here: $("$top_builddir/opalmem-info" --parsable | grep '^mca:memory:linux:reason')"
}
