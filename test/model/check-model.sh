#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-model.sh: the models hold, and stop holding when any one ingredient of
# the protocol is taken away.
set -eu
models=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || { echo "SKIP: spin is missing (Debian package: spin)"; exit 77; }
[ "${OPALMEM_TEST_LONG:-yes}" != no ] || { echo "SKIP: OPALMEM_TEST_LONG is no"; exit 77; }
[ -z "${OPALMEM_TEST_VARIANT:-}" ] || { echo "SKIP: the build $OPALMEM_TEST_VARIANT has the same models as the first one"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0
# run MODEL SWITCHES OPTIMIZE: prints the number of errors. Optimizing takes longer than finding an error does.
run() {
    # shellcheck disable=SC2086 # switches are words
    spin -a $2 "$models/$1" > spin.out 2>&1 || { cat spin.out >&2; exit 1; }
    ${CC:-cc} "$3" -w -DSAFETY -DCOLLAPSE -DMEMLIM=1024 -o pan pan.c
    ./pan -m100000 > pan.out
    grep -q 'errors:' pan.out || { cat pan.out >&2; exit 1; }
    grep -qE 'max search depth too small|MEMLIM|out of memory' pan.out && { echo "check-model: search not complete: $1 $2" >&2; exit 1; }
    sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out
}
# holds MODEL SWITCHES / breaks MODEL SWITCHES
holds() {
    errors=$(run "$1" "$2" -O1)
    # shellcheck disable=SC2086 # switches are words
    [ "$errors" = 0 ] || { echo "check-model: $1 $2 fails:"; spin -t -p $2 "$models/$1" | tail -n 60; exit 1; }
    passed=$((passed + 1))
}
breaks() {
    errors=$(run "$1" "$2" -O0)
    [ "$errors" != 0 ] || { echo "check-model: $1 $2 holds, but must not: the model checks nothing there"; exit 1; }
    passed=$((passed + 1))
}
holds windows.pml ""
breaks windows.pml -DNO_CLAIM_BARRIER
breaks windows.pml -DNO_ANNOUNCE_BARRIER
breaks windows.pml -DNO_WINDOW
breaks windows.pml -DNO_INVALID_CHECK
holds windows.pml -DUNREGISTER
breaks windows.pml "-DUNREGISTER -DNO_CLAIM_BARRIER"
breaks windows.pml "-DUNREGISTER -DNO_MARK_BARRIER"
breaks windows.pml "-DUNREGISTER -DNO_WAIT"
# The registration cache (docs/rcache-protocol.md). WEAK allows all that x86 does, and more.
holds rcache-references.pml -DWEAK
holds rcache-references.pml "-DWEAK -DREUSE"
holds rcache-references.pml -DPRECHECK
for switch in NO_MEMBARRIER BUSY_UNSETTLED NO_SECOND_LOOK COUNT_AFTER_FLAGS GETS_BEFORE_PUTS NO_PUT_CHECK \
    CHECK_BEFORE_PUT NO_FAILED_HIT_CHECK NO_COUNT COUNT_BEFORE_PUT RESET_AFTER_SUM DUE_LATE WEAK_PUT "PRECHECK -DNO_PRECHECK_BARRIER"; do
    breaks rcache-references.pml "-D$switch"
done
for switch in BOUNDS_BEFORE_COUNT READY_WHILE_FREE WEAK_FLAGS WEAK_READY; do
    breaks rcache-references.pml "-DREUSE -D$switch"
done
holds rcache-alone.pml ""
for switch in TAKE_UNLOCKED ALONE_BEFORE_LOCK MARK_AFTER_UNLOCK SKIP_FREE_BLOCKS NEVER_OTHERS WEAK_LEAVE \
    NEVER_WORK REAP_ALWAYS_ALONE; do
    breaks rcache-alone.pml "-D$switch"
done
holds rcache-pending.pml ""
for switch in NO_ATTENTION ATTENTION_LAST LOWER_FIRST ATTENTION_BOOL RAISE_LAST NO_HOLDER_RECHECK NO_HOOK_RECHECK \
    NO_UNLOCK_BARRIER POSTED_FIRST NO_OVERFLOW RETURNS_UNSEEN; do
    breaks rcache-pending.pml "-D$switch"
done
holds rcache-register.pml ""
for switch in NO_CLAIM_BARRIER NO_ANNOUNCE_BARRIER NO_WINDOW FILTER_LAST UNFILTER_FIRST READY_STORE MARK_STORE \
    COUNT_AFTER_READY MAKERS_IN_LIMBO; do
    breaks rcache-register.pml "-D$switch"
done
holds rcache-mutex.pml ""
for switch in PLAIN_TRY NO_MARK GOT_AS_HELD WAIT_UNCHECKED WAKE_NONE; do
    breaks rcache-mutex.pml "-D$switch"
done
holds rcache-growth.pml ""
for switch in NOT_ASKED_AGAIN OPENED_LATER NOT_ALL_ASKED RAISED_FIRST LOWERED; do
    breaks rcache-growth.pml "-D$switch"
done
# The component userfaultfd (docs/userfaultfd.md).
holds userfaultfd-lookup.pml ""
holds userfaultfd-lookup.pml -DHANDOVER
holds userfaultfd-lookup.pml "-DHANDOVER -DENDING"
for switch in NO_BUSY BUSY_LAST NO_CHANGED OVERLAPS_UNLOCKED NO_SECOND_LOOK COUNT_AFTER_READ TAKE_OUT_FIRST \
    SAMPLE_LAST "HANDOVER -DGIVE_FIRST"; do
    breaks userfaultfd-lookup.pml "-D$switch"
done
for switch in NO_WINDOW WATCH_UNLOCKED END_UNLOCKED; do
    breaks userfaultfd-lookup.pml "-DHANDOVER -DENDING -D$switch"
done
holds userfaultfd-discard.pml ""
for switch in NO_QUARANTINE ADD_AFTER_UNLOCK LIFT_ALL LOOK_FIRST ANNOUNCE_LAST PIN_FIRST; do
    breaks userfaultfd-discard.pml "-D$switch"
done
echo "check-model: $passed passed, 0 failed"
