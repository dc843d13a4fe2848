#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154,SC2086 # the upper Makefile sets top_builddir and top_srcdir; lists of options
# Allocators of others, preloaded, linked and linked statically: what they give back is told before it goes. The kernel
# says what is gone (allocator_program.c). The twins do the same with the component noop, where all is missed.
# What is not installed is named; without any allocator but libc's the test is skipped.
set -eu
. "$top_srcdir/test/linux/linux_common.sh"
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "$OPALMEM_TEST_EMULATOR: it moves what becomes smaller: libc gives back more than it asked for"
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer, which is an allocator itself"
cc="${CC:-cc} -D_GNU_SOURCE -g -O1 -Wall -Wextra -Werror -pthread -fno-builtin-malloc -rdynamic
    -I$top_builddir/include -I$top_srcdir/include"
# build NAME LIBRARIES...: the program; silently not, where a library is missing.
build() {
    output=$work/$1
    shift
    $cc -o "$output" "$top_srcdir/test/linux/allocator_program.c" "$@" -L"$libs" -lopalmem -ldl 2> "$work/build"
}
build libc || { cat "$work/build"; exit 1; }
OPALMEM_MCA_memory=linux "$work/libc" libc big > "$work/out" 2>&1 || {
    grep -q '^gone' "$work/out" || skip "the component linux cannot run here: $(cat "$work/out")"
}
fault() { echo "FAIL: $*: exit status $status, $(cat "$work/out")"; rc=1; }
# run COMPONENT NAME SCENE COMMAND...: what the program says, in $work/out and status. Some allocators give back after a
# time, or not: an attempt in which everything was kept is no answer.
run() {
    component=$1 name=$2 scene=$3
    shift 3
    for attempt in 1 2 3 4 5; do
        status=0
        OPALMEM_MCA_memory=$component "$@" "$name" "$scene" > "$work/out" 2>&1 || status=$?
        kept_everything && [ "$attempt" -lt 5 ] || return 0
    done
}
kept_everything() { [ $status = 2 ] && grep -qx 'gone 0 missed 0 late 0' "$work/out"; }
# play WHAT NAME SCENE COMMAND...: with the component all is told, with noop nothing. Sets proven to 0 where the
# allocator has kept everything.
play() {
    what=$1 name=$2 scene=$3 proven=1
    shift 3
    run linux "$name" "$scene" "$@"
    if kept_everything; then proven=0; return; fi
    [ $status = 0 ] || fault "$what, $scene"
    run noop "$name" "$scene" "$@"
    if kept_everything; then proven=0; return; fi
    if [ $status != 1 ] || ! grep -qE '^gone ([0-9]+) missed \1 late 0$' "$work/out"; then fault "$what, $scene, twin"; fi
}
# all WHAT NAME COMMAND...: all scenes. Some allocators keep much, but most scenes must prove something.
all() {
    what=$1 name=$2 kept=
    shift 2
    for scene in big huge small realloc thread own; do
        play "$what" "$name" "$scene" "$@"
        [ $proven = 1 ] || kept="$kept $scene"
    done
    echo "$what:${kept:+ kept everything in$kept}"
    case $kept in ' '*' '*' '*) echo "FAIL: $what: too little is given back to prove anything"; rc=1 ;; esac
}
missing() { echo "missing: $*"; }
# Can ld.so preload it?
has() { ! LD_PRELOAD=$1 "$work/libc" none none 2>&1 | grep -q 'cannot be preloaded'; }

all "libc" libc "$work/libc"
others=0
# preloaded NAME LIBRARY PACKAGE [VARIABLE...]
preloaded() {
    allocator=$1 library=$2 package=$3
    shift 3
    if ! has "$library"; then missing "$library (Debian package: $package)"; return; fi
    others=$((others + 1))
    all "$library preloaded" "$allocator" env LD_PRELOAD="$library" "$work/libc"
    for setting; do
        all "$library preloaded, $setting" "$allocator" env "$setting" LD_PRELOAD="$library" "$work/libc"
    done
}
preloaded tcmalloc libtcmalloc_minimal.so.4 libtcmalloc-minimal4 TCMALLOC_AGGRESSIVE_DECOMMIT=1
preloaded tcmalloc libtcmalloc.so.4 libgoogle-perftools4
preloaded jemalloc libjemalloc.so.2 libjemalloc2 MALLOC_CONF=retain:false,dirty_decay_ms:0,muzzy_decay_ms:0
preloaded mimalloc libmimalloc.so.2 libmimalloc2.0 MIMALLOC_DECOMMIT_DELAY=0
# linked NAME LIBRARY PACKAGE OPTIONS...
linked() {
    allocator=$1 library=$2 package=$3
    shift 3
    if [ "$($cc -print-file-name="$library")" = "$library" ]; then missing "$library (Debian package: $package)"; return; fi
    if ! build program "$@"; then echo "FAIL: linking $library"; cat "$work/build"; rc=1; return; fi
    others=$((others + 1))
    all "$library linked" "$allocator" "$work/program"
}
# The program calls none of their own functions, so that it would not need them.
dynamic=-Wl,--no-as-needed
linked tcmalloc libtcmalloc_minimal.so libgoogle-perftools-dev $dynamic -ltcmalloc_minimal
linked tcmalloc libtcmalloc.so libgoogle-perftools-dev $dynamic -ltcmalloc
linked jemalloc libjemalloc.so libjemalloc-dev $dynamic -ljemalloc
linked mimalloc libmimalloc.so libmimalloc-dev $dynamic -lmimalloc
whole="-Wl,--whole-archive -Wl,-Bstatic"
end="-Wl,-Bdynamic -Wl,--no-whole-archive -lstdc++ -lm"
linked tcmalloc libtcmalloc_minimal.a libgoogle-perftools-dev $whole -ltcmalloc_minimal $end
linked tcmalloc libtcmalloc.a libgoogle-perftools-dev $whole -ltcmalloc $end -l:libunwind.so.8
linked jemalloc libjemalloc.a libjemalloc-dev $whole -ljemalloc $end
linked mimalloc libmimalloc.a "Debian 12 has none" $whole -lmimalloc $end
[ $others != 0 ] || [ $rc != 0 ] || skip "no allocator but libc's"
exit $rc
