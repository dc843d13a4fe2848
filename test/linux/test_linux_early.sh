#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154,SC2086 # the upper Makefile sets top_builddir and top_srcdir; lists of options
# The hooks start at unusual times: in a constructor before and behind that of libopalmem, before all constructors,
# in a preloaded library, in a running program with threads, when the program exits. From then on all releases are
# told, also those of other libraries' constructors and destructors. The twins run the same with the component noop,
# where all are missed.
set -eu
skip() { echo "SKIP: $*"; exit 77; }
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer, which must start first"
[ -e "$top_builddir/.libs/libopalmem.so" ] || skip "built with --disable-shared"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=$top_srcdir/test/linux
libs=$top_builddir/.libs
cc="${CC:-cc} -D_GNU_SOURCE -g -O1 -Wall -Wextra -Werror -pthread -I$top_builddir/include -I$top_srcdir/include -I$top_srcdir"
# Every library is wanted for what its constructor does.
link="-Wl,--no-as-needed -L$work -L$libs"

$cc -fPIC -shared -o "$work/libcommon.so" "$sources/early_common.c"
$cc -fPIC -shared -o "$work/libother.so" "$sources/early_library.c" $link -lcommon
$cc -fPIC -shared -DEARLY_STARTS=1 -o "$work/libstarts.so" "$sources/early_library.c" $link -lcommon -lopalmem
# It does not say what it needs: its constructor may run before libopalmem's.
$cc -fPIC -shared -DEARLY_STARTS=1 -o "$work/libstarts_first.so" "$sources/early_library.c" $link -lcommon
$cc -fPIC -shared -DEARLY_STARTS=2 -o "$work/libstarts_last.so" "$sources/early_library.c" $link -lcommon -lopalmem
$cc -fPIC -shared -o "$work/loaded.so" "$sources/loaded.c"
program() { name=$1; shift; $cc -o "$work/$name" "$sources/early_program.c" $link -Wl,-rpath-link,"$libs" "$@" -lcommon; }
program plain -lother
program linked -lother -lstarts
program linked_before -lstarts -lother
program opalmem_last -lother -lstarts_first -lopalmem
program opalmem_first -lopalmem -lother -lstarts_first
program preinit -DEARLY_STARTS=1 -lother -lopalmem
program in_main -DEARLY_STARTS=2 -lother -lopalmem
program cleared -DEARLY_STARTS=2 -DEARLY_CLEARS -lother -lopalmem
program at_exit -DEARLY_STARTS=3 -lother -lopalmem
program destructor -lother -lstarts_last
$cc -o "$work/early_dlopen" "$sources/early_dlopen.c" -ldl
cases="plain linked linked_before opalmem_last opalmem_first preinit in_main at_exit destructor"
if [ -e "$libs/libopalmem.a" ]; then # Not in every build. Components that are DSOs find it in the program: -rdynamic.
    dependencies=$(sed -n "s/^dependency_libs='\(.*\)'/\1/p" "$top_builddir/libopalmem.la")
    program static_preinit -rdynamic -DEARLY_STARTS=1 -lother "$libs/libopalmem.a" $dependencies
    program static_at_exit -rdynamic -DEARLY_STARTS=3 -lother "$libs/libopalmem.a" $dependencies
    cases="$cases static_preinit static_at_exit"
else
    echo "no libopalmem.a: the statically linked cases are left out"
fi
export LD_LIBRARY_PATH="$work:$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

OPALMEM_MCA_memory=linux "$work/in_main" > /dev/null 2> "$work/out" ||
    skip "the component linux cannot run here: $(cat "$work/out")"
rc=0
# says CASE COMPONENT AT-LEAST: of the releases, at least so many, all are seen; with noop, none.
says() {
    found=$(sed -n 's/^seen \([0-9]* of [0-9]*\)$/\1/p' "$work/out")
    seen=${found% of *} made=${found#* of }
    expected=$made
    [ "$2" = linux ] || expected=0
    if [ "$(wc -l < "$work/out")" != 1 ] || [ -z "$found" ] || [ "$seen" != "$expected" ] || [ "$made" -lt "$3" ]; then
        echo "FAIL: $1 with $2, at least $3 release(s):"
        cat "$work/out"
        rc=1
    fi
}
# try CASE AT-LEAST COMMAND...
try() {
    name=$1 least=$2
    shift 2
    for component in linux noop; do
        status=0
        OPALMEM_MCA_memory=$component "$@" > "$work/stdout" 2> "$work/out" || status=$?
        [ $status = 0 ] || { echo "FAIL: $name with $component: exit status $status"; rc=1; }
        says "$name" $component "$least"
    done
}
for name in $cases; do
    case $name in
        plain) try preload 5 env LD_PRELOAD="$work/libstarts.so" "$work/plain" ;;
        *at_exit | destructor) try "$name" 1 "$work/$name" ;;
        *preinit) try "$name" 4 "$work/$name" ;; # With the constructor of libother.
        in_main) try "$name" 3 "$work/$name" ;;
        *) try "$name" 5 "$work/$name" ;;
    esac
done
try dlopen 600 "$work/early_dlopen" "$libs/libopalmem.so" "$work/loaded.so"
# The environment is found before libc has it (preinit), but not again once the program has cleared it.
if [ ! -e "$libs/mca_memory_linux.so" ]; then # It is found by a setting in the environment.
    OPALMEM_MCA_memory=noop "$work/cleared" 2> "$work/out"
    says cleared linux 3
fi
# Programs of others, with children and threads, do what they always did.
numbers=$(seq 20000 | sort -R)
[ "$(echo "$numbers" | env LD_PRELOAD="$work/libstarts.so" sort -n --parallel=4 2> "$work/out" | tail -n 1)" = 20000 ] ||
    { echo "FAIL: sort"; cat "$work/out"; rc=1; } # It has closed stderr when the report would come.
[ "$(env LD_PRELOAD="$work/libstarts.so" sh -c '(echo a; exec echo b) | cat; exit 3' 2> "$work/out" | tr '\n' ' ')" = "a b " ] ||
    { echo "FAIL: sh"; cat "$work/out"; rc=1; }
exit $rc
