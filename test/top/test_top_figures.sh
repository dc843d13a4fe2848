#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What opalmem-top --batch and --json say of a program with known figures: each must match exactly.
set -u
. "${top_srcdir:-.}/test/top/top_common.sh"
case ${TEST_CFLAGS:-} in *thread*) skip "ThreadSanitizer's runtime does not survive patched calls at the end of a thread" ;; esac
page=$(getconf PAGESIZE)

start_subject
say cache 'first cache'
say register 4 # A miss.
say hit 1000
say thread 500
say thread 25 # Threads that ended stay in the sum.
say put
say register 1
say put
say release
say register 2
say put
say evict # The one that was not used again: that of two pages.

run 0 --batch -n 1 "$pid"
[ "$(wc -l < "$work/out")" = 1 ] || fail "$what: not one line: $(cat "$work/out")"
grep -q ' cache="first cache" component="grdma" ' "$work/out" || fail "$what: no name in: $(cat "$work/out")"
check_first() {
    is "$1" pid "$pid"
    is "$1" hits 1525
    is "$1" misses 3
    is "$1" bypasses 0
    is "$1" registrations 3
    is "$1" deregistrations 2
    is "$1" evictions 1
    is "$1" invalidations 1
    is "$1" invalidations.munmap 1
    is "$1" invalidated_in_use 0
    is "$1" unpinned_in_hook 1
    is "$1" count 1
    is "$1" bytes $((4 * page))
    is "$1" peak_count 2
    is "$1" peak_bytes $((6 * page))
    is "$1" "sizes.$page" 1
    is "$1" "sizes.$((2 * page))" 1
    is "$1" "sizes.$((4 * page))" 1
}
check_first 1
is 1 hits/s -

# Two caches, one of which comes and goes: its place is used again, its figures are not.
say cache second
say register 3
say hit 7
run 0 --batch -n 1 "$pid"
check_first 1
is 2 cache '"second"'
is 2 hits 7
is 2 count 1
is 2 "sizes.$((2 * page))" 1 # 3 pages are in the bucket from 2 to 4.
say put
say destroy
run 0 --batch -n 1 "$pid"
[ "$(wc -l < "$work/out")" = 1 ] || fail "the cache that was destroyed is shown: $(cat "$work/out")"
say cache third
run 0 --batch -n 1 "$pid"
is 2 cache '"third"'
is 2 hits 0
is 2 registrations 0

# Rates need two samples; nothing happens between these.
run 0 --batch --count 2 --delay 0.05 "$pid"
is 3 hits/s 0.0
is 3 hits 1525

# The list, and JSON.
run 0
grep -q "^ *$pid .* 2  *1 .*  top_subject\$" "$work/out" || fail "$what: not listed: $(cat "$work/out")"
run 0 --json
grep -q "{\"pid\": $pid, .*\"program\": \"top_subject\", \"caches\": 2, \"registrations\": 1, \"bytes\": $((4 * page))}" "$work/out" ||
    fail "$what: not listed: $(cat "$work/out")"
run 0 --json -n 1 "$pid"
grep -q '"name": "first cache", "component": "grdma", .*"hits": 1525, "misses": 3, .*"munmap": 1, ' "$work/out" ||
    fail "$what: $(cat "$work/out")"

# A fork child counts for itself, from 0, and its parent's figures stay: they are read after the fork.
parent=$pid
say fork
[ "$pid" != "$parent" ] || fail "the subject has not forked"
run 0 --batch -n 1 "$pid"
is 1 hits 0
is 1 count 0
is 1 cache '"first'
say cache fourth
say register 1
say hit 3
run 0 --batch -n 1 "$pid"
is 3 cache '"fourth"'
is 3 hits 3
pid_of_child=$pid
pid=$parent
run 0 --batch -n 1 "$pid"
check_first 1
[ "$(wc -l < "$work/out")" = 2 ] || fail "the child's cache is the parent's: $(cat "$work/out")"

# The end, without putting anything in order: what is read then are the last figures.
pid=$pid_of_child
rm -f "$work/out"
"$top" --batch --delay 0.05 "$pid" > "$work/out" 2> "$work/err" &
watcher=$!
while [ ! -s "$work/out" ]; do sleep 0.05; done
say hit 10
say_last abort
wait "$watcher" || fail "opalmem-top: exit status $? at the end of the process"
grep -q "^opalmem-top: process $pid has ended\$" "$work/err" || fail "nothing is said of the end: $(cat "$work/err")"
what='the last figures'
tail -n 1 "$work/out" > "$work/last" && mv "$work/last" "$work/out"
is 1 cache '"fourth"'
is 1 hits 13
finish
