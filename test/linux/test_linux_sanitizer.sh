#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154,SC2086 # the upper Makefile sets top_builddir and top_srcdir; lists of options
# Programs that were built with a sanitizer, with the library that was not: what its allocator gives back, by system calls of
# its own, is told before it goes; a block that is freed twice is reported as without us. The twin with the component noop
# hands out registrations of blocks that are gone. Sanitizers that the compiler does not have are named.
set -eu
. "$top_srcdir/test/linux/linux_common.sh"
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "$OPALMEM_TEST_EMULATOR: sanitizers do not run in it"
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer: the library needs one that is whole"
# Freed blocks go at once, and errors end the program.
export ASAN_OPTIONS=quarantine_size_mb=0:thread_local_quarantine_size_kb=0:exitcode=9 LSAN_OPTIONS=exitcode=9
cc="${CC:-cc} -D_GNU_SOURCE -g -O1 -Wall -Wextra -Werror -pthread -I$top_builddir/include -I$top_srcdir/include"
fault() { echo "FAIL: $*: exit status $status"; cat "$work/out"; rc=1; }
# build OPTION...
build() {
    $cc "$@" -o "$work/program" "$top_srcdir/test/linux/sanitizer_program.c" -L"$libs" -lopalmem -ldl 2> "$work/build"
}
# run COMPONENT SCENE [SETTING...]
run() {
    component=$1 scene=$2 status=0
    shift 2
    env OPALMEM_MCA_memory="$component" "$@" "$work/program" "$scene" > "$work/out" 2>&1 || status=$?
}
# Without arguments the program ends with status 3.
starts() {
    status=0
    "$work/program" > "$work/out" 2>&1 || status=$?
    [ $status = 3 ]
}
play() {
    run linux stale
    ! grep -q 'linux.*cannot run here' "$work/out" || skip "the component linux cannot run here: $(cat "$work/out")"
    [ $status = 0 ] || fault "$sanitizer"
    echo "$sanitizer: $(cat "$work/out")"
    run noop stale OPALMEM_MCA_rcache_base_unsafe=1
    if [ $status != 1 ] || ! grep -qE 'same ([0-9]+) stale \1$' "$work/out"; then fault "$sanitizer, twin"; fi
    run linux nested
    [ $status = 0 ] || fault "$sanitizer, a callback that frees"
    # Then nothing is kept, and it is said why.
    run linux full
    if ! grep -q 'takes no more hooks of free' "$work/out" || ! grep -q '^hits 0 same [0-9]* stale 0$' "$work/out"; then
        fault "$sanitizer, all hooks taken"
    fi
}
build || { cat "$work/build"; exit 1; }
seen=
# Not memory: it would have to see every store of the library.
for sanitizer in address thread leak; do
    if ! build -fsanitize=$sanitizer || ! starts; then
        echo "missing: -fsanitize=$sanitizer, or it does not run here"
        continue
    fi
    play
    if [ $sanitizer = address ]; then
        run linux double ASAN_OPTIONS=exitcode=9
        grep -q 'attempting double-free' "$work/out" || fault "$sanitizer, a block freed twice"
    fi
    seen="$seen $sanitizer"
done
[ -n "$seen" ] || skip "a compiler with a sanitizer whose programs run here"
exit $rc
