#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# In one process with Open MPI's libopen-pal, whose functions have our source names, both work, and no call of the
# one is bound to the other, in either order of linking and preloading.
set -eu
skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "$*"; exit 1; }
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer"
open_pal=$(${CC:-cc} -print-file-name=libopen-pal.so.40)
[ -e "$open_pal" ] || skip "libopen-pal.so.40 is missing (Debian package: libopenmpi3)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=$top_srcdir/test/embed
ours=$top_builddir/.libs/libopalmem.so

# link NAME LIBRARY...
link() {
    local name=$1
    shift
    ${CC:-cc} -g -Wall -Wextra -Werror -Wl,--no-as-needed -I"$top_builddir/include" -I"$top_srcdir/include" -o "$work/$name" \
        "$sources/open_pal.c" "$@" || fail "$name cannot be linked"
}
link ours_first "$ours" "$open_pal"
link theirs_first "$open_pal" "$ours"
${CC:-cc} -shared -fPIC -o "$work/libimpostor.so" "$sources/impostor.c"
export LD_LIBRARY_PATH=$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# traced PRELOAD PROGRAM ARGUMENT: runs it, and leaves who is bound to whom in $work/bindings ("FROM TO SYMBOL").
traced() {
    rm -f "$work"/trace*
    LD_PRELOAD=$1 LD_BIND_NOW=1 LD_DEBUG=bindings LD_DEBUG_OUTPUT=$work/trace "$work/$2" "$3" > "$work/out" 2>&1 ||
        fail "$2 $3, preloaded ${1:-nothing}: exit status $?: $(cat "$work/out")"
    sed -n 's/.*binding file \(.*\) \[[0-9]*\] to \(.*\) \[[0-9]*\]: [a-z]* symbol `\([^'\'']*\)'\''.*/\1|\2|\3/p' "$work"/trace.* |
        awk -F'|' '{ sub(/.*\//, "", $1); sub(/.*\//, "", $2); print $1, $2, $3 }' > "$work/bindings"
}
# crossings FROM TO: bindings of objects whose names begin so.
crossings() { awk -v from="$1" -v to="$2" 'match($1, "^(" from ")") && match($2, "^(" to ")")' "$work/bindings"; }
our_objects='libopalmem[.]|mca_memory_' their_objects='libopen-pal[.]'

for preload in "" "$ours" "$open_pal"; do
    for program in ours_first theirs_first; do
        for start in ours theirs; do
            traced "$preload" $program $start
            [ -n "$(crossings "$our_objects" "$our_objects")" ] || fail "no binding of ours was seen: the check sees nothing"
            [ -n "$(crossings "$their_objects" "$their_objects")" ] || fail "no binding of theirs was seen: the check sees nothing"
            bad=$(crossings "$our_objects" "$their_objects"; crossings "$their_objects" "$our_objects")
            [ -z "$bad" ] || fail "$program $start, preloaded ${preload:-nothing}: bindings between the two: $bad"
        done
    done
done
cat "$work/out"

# Their memory/patcher starts after ours and takes libc over: our caches go on.
rc=0
"$work/ours_first" patcher > "$work/out" 2>&1 || rc=$?
case $rc in
    0) ! grep -q 'warning' "$work/out" || fail "a warning: $(cat "$work/out")" ;;
    77) echo "not tried: linux, or their memory/patcher, does not run here" ;;
    *) fail "with their memory/patcher: exit status $rc: $(cat "$work/out")" ;;
esac

# The twin: a library of such names without prefix does get their calls, and the check sees it.
traced "$work/libimpostor.so" ours_first nothing
crossings "$their_objects" libimpostor | grep -q ' mca_base_var_register$' ||
    fail "the check does not see that libopen-pal calls an impostor"
[ -z "$(crossings "$our_objects" libimpostor)" ] || fail "calls of ours go to a library without prefix"
