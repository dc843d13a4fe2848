#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: what the hooks are for. Files read into buffers that are mapped anew each
# time are read right; with --unsafe-no-hooks the same program gets wrong data, which
# shows that the other tests would see it, and --verify sees why.
set -u
# shellcheck source=test/run/run_common.sh
. "${top_srcdir:-.}/test/run/run_common.sh"
require_run

"$scenes" fresh_buffers "$work/file" > "$work/plain" || fail "the scene cannot be played"

with_hooks_the_data_is_right() {
    report -- "$scenes" fresh_buffers "$work/file"
    [ "$status" = 0 ] || fail "$what: status $status"
    cmp -s "$work/plain" "$work/out" || fail "$what: wrong data"
    at_least cached 8
    at_least invalidations 8
    noted 'no invalidation' && fail "$what: notes: $(grep notes "$work/json")"
}

without_hooks_it_is_wrong() {
    report --unsafe-no-hooks -- "$scenes" fresh_buffers "$work/file"
    cmp -s "$work/plain" "$work/out" && fail "$what: the data is right: this test cannot see what it is for"
    at_least hits 7
    [ "$(figure invalidations)" = 0 ] || fail "$what: $(figure invalidations) invalidations"
    noted 'no invalidation' || fail "$what: not said: $(grep notes "$work/json")"
    grep -q '^NOTE: no registration was invalidated' "$work/err" || fail "$what: not said: $(cat "$work/err")"
    grep -q 'unsafe .*nobody noticed releases' "$work/err" || fail "$what: not said that it is unsafe"
}

threads_are_told_of_each_other() {
    report --unsafe-no-hooks -- "$scenes" threads_release "$work/file"
    [ "$(cat "$work/out")" != 'wrong 0' ] || fail "$what: the data is right: the scene cannot see what it is for"
    report -- "$scenes" threads_release "$work/file"
    [ "$(cat "$work/out")" = 'wrong 0' ] || fail "$what: $(cat "$work/out")"
}

frames_are_compared() {
    [ "$(id -u)" = 0 ] || { echo "not root: --verify is not tested"; return; }
    "$run" --verify true > /dev/null 2>&1
    [ $? != 125 ] || { echo "no page frames to be seen here: --verify is not tested"; return; }
    report --verify -- "$scenes" read_to_the_end "$work/file"
    [ "$status" = 0 ] || fail "$what: status $status: $(cat "$work/err")"
    [ "$(figure wrong)" = 0 ] || fail "$what: wrong: $(cat "$work/json")"
    grep -q '^    "hits": 8,' "$work/json" || fail "$what: not 8 hits were verified: $(cat "$work/json")"
    at_least pages 29
    report --unsafe-no-hooks --verify -- "$scenes" fresh_buffers "$work/file"
    [ "$status" = 124 ] || fail "$what: status $status, not 124"
    at_least wrong 7
    noted 'wrong frames' || fail "$what: not said: $(grep notes "$work/json")"
    grep -q '^ERROR: stale registrations were used: process [0-9]*, address 0x' "$work/err" || fail "$what: $(cat "$work/err")"
}

with_hooks_the_data_is_right
without_hooks_it_is_wrong
threads_are_told_of_each_other
frames_are_compared
finish
