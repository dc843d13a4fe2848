#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-coverage: every row is proven to release, or not to, and is missed where nobody notices; the component
# linux misses nothing that it promises, and what is switched off is seen to be missed.
set -u
# shellcheck source=test/coverage/coverage_common.sh
. "${top_srcdir:-.}/test/coverage/coverage_common.sh"
require_no_sanitizer
require_helper

# Rows that this machine cannot play (an old kernel, no io_uring) are named, and are not counted.
tell_what_is_not_possible() {
    awk -F '\t' '$5 == "not possible" { print "not possible here: " $1 }' "$work/out"
}

# all_missed ARGUMENT...: all that can be played here is proven, and nothing is heard.
all_missed() {
    run 0 --tsv "$@"
    tell_what_is_not_possible
    possible=$((53 - $(count reference release 'not possible')))
    [ "$(count reference release missed)" = "$possible" ] ||
        fail "$what: not $possible of 53 releases are missed: $(awk -F '\t' '$3 == "release" && $5 != "missed"' "$work/out")"
    [ "$possible" -ge 40 ] || fail "$what: only $possible releases can be played"
    quiet=$((14 - $(count reference control 'not possible')))
    [ "$(count reference control quiet)" = "$quiet" ] || fail "$what: not $quiet of 14 controls are quiet"
    for bad in unproven failed caught late partial false; do
        [ "$(cut -f 5 "$work/out" | grep -c "^$bad\$")" = 0 ] || fail "$what: $bad: $(grep "	$bad	" "$work/out")"
    done
}

every_release_is_proven_and_missed_where_nobody_notices() {
    all_missed --monitor none
    all_missed --mca memory noop
}

# As above, where page frames are not told.
content_is_a_proof_too() {
    [ "$(id -u)" = 0 ] || return
    command -v setpriv > /dev/null || { echo "no setpriv: the proof by content is not tested"; return; }
    # The build tree may be closed to others, and a child looks for its files there.
    cp -L "$top_builddir/.libs/opalmem-coverage" "$top_builddir/.libs/"*.so "$top_builddir/.libs/libopalmem.so.0" "$work" || exit 99
    chmod -R a+rX "$work"
    LD_LIBRARY_PATH=$work setpriv --reuid 65534 --regid 65534 --clear-groups \
        "$work/opalmem-coverage" --monitor none --tsv > "$work/out" || fail "as nobody: status $?"
    what="as nobody"
    grep -q '	content$' "$work/out" || fail "$what: no proof by content"
    ! grep '	frames$' "$work/out" || fail "$what: a proof by frames"
    [ "$(cut -f 5 "$work/out" | grep -c '^\(unproven\|failed\)$')" = 0 ] || fail "$what: $(grep -e unproven -e failed "$work/out")"
    [ "$(count '' release missed)" -ge 40 ] || fail "$what: only $(count '' release missed) releases are proven"
}

linux_misses_nothing_that_it_promises() {
    run 0 --tsv --mca memory linux
    [ "$(count reference release caught)" -ge 45 ] || fail "$what: only $(count reference release caught) of 53 caught"
    [ "$(count '' release late)" = 0 ] || fail "$what: late: $(grep '	late	' "$work/out")"
    [ "$(count reference control false)" = 0 ] || fail "$what: false: $(grep '	false	' "$work/out")"
    # One process with one site more or less is worth a look at each of these.
    for row in munmap mmap-fixed mremap-move madv-dontneed shmdt brk-lower dlclose free-big stack-munmap; do
        [ "$(cut -f 1,5 "$work/out" | grep -c "^$row	caught\$")" = 1 ] || fail "$what: $row is $(cut -f 1,5 "$work/out" | grep "^$row	")"
    done
}

# A mask that takes munmap away leaves the component nothing to promise: all is missed, and no promise is broken.
a_call_that_is_left_alone_is_missed() {
    run 0 --tsv --mca memory linux,noop --mca memory_linux_disable_sites munmap --row munmap --row munmap-thread --row dlclose --row free-big
    [ "$(count '' release missed)" = 4 ] || fail "$what: $(cat "$work/out")"
    run 0 --tsv --mca memory linux,noop --mca memory_linux_disable_sites shmdt --row shmdt --row munmap
    [ "$(verdict shmdt all)" = missed ] || fail "$what: shmdt is $(verdict shmdt all)"
    [ "$(verdict munmap all)" = caught ] || fail "$what: munmap is $(verdict munmap all)"
}

# Where addresses are not random, the heap begins at once behind the program, whose stubs must not stop it from growing.
the_heap_grows_where_addresses_are_not_random() {
    setarch -R true 2> /dev/null || { echo "setarch -R is refused: fixed addresses are not tested"; return; }
    what="at fixed addresses"
    setarch -R "$coverage" --tsv --mca memory linux --row free-heap-top --row malloc-trim --row brk-lower > "$work/out" || fail "$what: status $?"
    [ "$(count '' release caught)" = 3 ] || fail "$what: $(cat "$work/out")"
}

# What it promises, alone and beside linux: there all is seen but what the kernel, or somebody else, does.
userfaultfd_misses_nothing_that_it_promises() {
    "$top_builddir/opalmem-info" --parsable | grep -q '^mca:memory:userfaultfd:available:yes$' ||
        { echo "the component userfaultfd cannot run here: not tested"; return; }
    run 0 --tsv --mca memory userfaultfd
    [ "$(count '' release late)" -ge 40 ] || fail "$what: only $(count '' release late) noticed"
    [ "$(count '' control false)" = 0 ] || fail "$what: false: $(grep '	false	' "$work/out")"
    run 0 --tsv --mca memory linux+userfaultfd
    noticed=$(($(count '' release caught) + $(count '' release late)))
    others=$(awk -F '\t' '$3 == "release" && $5 == "missed" { print $1 }' "$work/out" |
        grep -cx -e uring-ftruncate -e direct-write -e file-elsewhere)
    possible=$(($(grep -c '	release	' "$work/out") - $(count '' release 'not possible')))
    [ $((noticed + others)) = $possible ] || fail "$what: $noticed noticed of $possible: $(grep -e '	missed	' -e '	partial	' "$work/out")"
    [ $noticed -ge 45 ] || fail "$what: only $noticed noticed"
}

every_release_is_proven_and_missed_where_nobody_notices
content_is_a_proof_too
require_linux
linux_misses_nothing_that_it_promises
userfaultfd_misses_nothing_that_it_promises
the_heap_grows_where_addresses_are_not_random
a_call_that_is_left_alone_is_missed
finish
