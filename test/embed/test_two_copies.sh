#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# Two copies of the library in one process, with different prefixes: libopalmem.so of this build and the copy that
# test_embedded.sh has built within another project. Each keeps to itself, in every order of start and stop. And a
# library that contains a copy stays loaded, once the copy has replaced code of libc.
set -eu
embedded=$top_builddir/test/embed/outer.d/opalmem
skip() { echo "SKIP: $*"; exit 77; }
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer"
[ "${OPALMEM_TEST_LONG:-yes}" != no ] || skip "OPALMEM_TEST_LONG is no"
[ -e "$embedded/.libs/libopalmem_embedded.a" ] || skip "test_embedded.sh has built no other copy"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=$top_srcdir/test/embed
cflags="-g -O1 -Wall -Wextra -Werror -pthread"
prefix=$(sed -n 's/^#define OPALMEM_SYMBOL_PREFIX "\(.*\)"/\1/p' "$top_builddir/include/opal/opalmem_config.h")
[ "$prefix" != myrt_ ] || skip "this build has the prefix of the other copy"
libs=$(sed -n "s/^dependency_libs='\(.*\)'/\1/p" "$embedded/libopalmem_embedded.la")

# shellcheck disable=SC2086 # lists of options
{
    ${CC:-cc} $cflags -fPIC -shared -DSIDE=side_installed -I"$top_builddir/include" -I"$top_srcdir/include" \
        -o "$work/libside_installed.so" "$sources/side.c" "$top_builddir/.libs/libopalmem.so"
    ${CC:-cc} $cflags -fPIC -shared -DSIDE=side_embedded -I"$embedded/include" \
        -o "$work/libside_embedded.so" "$sources/side.c" "$embedded/.libs/libopalmem_embedded.a" $libs
    ${CC:-cc} $cflags -o "$work/unload" "$sources/unload.c" -ldl
    for order in "installed embedded" "embedded installed"; do
        ${CC:-cc} $cflags -o "$work/two_copies_${order%% *}" "$sources/two_copies.c" \
            "$work/libside_${order%% *}.so" "$work/libside_${order##* }.so" -Wl,-rpath-link,"$top_builddir/.libs"
    done
}
export LD_LIBRARY_PATH=$work:$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# The copies share what the component linux replaces. The kernel tells each of them by itself.
export OPALMEM_MCA_memory=linux,noop
rc=0
# Nobody linked that library with -z nodelete: it must not be unloaded even so.
"$work/unload" "$work/libside_embedded.so" > "$work/out" 2>&1 || { echo "unload: exit status $?"; cat "$work/out"; rc=1; }
for linked in installed embedded; do
    for first in installed embedded; do
        for scenario in $("$work/two_copies_$linked"); do
            status=0
            "$work/two_copies_$linked" "$scenario" "$first" > "$work/out" 2>&1 || status=$?
            # The path to the installed copy's DSOs is read by the other copy, too, which has its own linked in and says so.
            sed -i '/opalmem: warning: .*the one that is linked in comes first$/d' "$work/out"
            case $status in
                0) [ ! -s "$work/out" ] || { echo "$scenario, $first first, $linked linked first, says:"; cat "$work/out"; rc=1; } ;;
                77) cat "$work/out"; exit 77 ;;
                *) echo "$scenario, $first first, $linked linked first: exit status $status"; cat "$work/out"; rc=1 ;;
            esac
        done
    done
done
exit $rc
