#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What opalmem-top says where it cannot show anything: one message each.
set -u
. "${top_srcdir:-.}/test/top/top_common.sh"

refused 2 'expected the number of a process, not "abc"' abc
refused 2 'expected the number of a process, not "0"' 0
refused 2 'expected the number of a process, not "-1"' -- -1
refused 2 'one process only' 1 2
refused 2 'no such option' --bogus
refused 2 'a value is missing' --delay
refused 2 'expected seconds' --delay 0
refused 2 'expected seconds' --delay nan
refused 2 'expected seconds' --delay 1x
refused 2 'at least 1, not "0"' --count 0
refused 2 'exclude each other' --batch --json
refused 1 'process 2147483647: there is no such process' --batch 2147483647
refused 1 "process $$: it has no figures" --batch $$
run 0 --help
grep -q '^Usage: opalmem-top ' "$work/out" || fail "$what: $(cat "$work/out")"
run 0 --version
grep -q '^opalmem-top [0-9]' "$work/out" || fail "$what: $(cat "$work/out")"

# The variable turns the page off: the twin of all tests that find one.
OPALMEM_MCA_rcache_base_stats_page=0
export OPALMEM_MCA_rcache_base_stats_page
start_subject
unset OPALMEM_MCA_rcache_base_stats_page
say cache hidden
refused 1 'it has no figures' --batch -n 1 "$pid"
say_last end

start_subject
say cache shown
run 0 --batch -n 1 "$pid"
is 1 cache '"shown"'
refused 1 'is no terminal: use --batch\|made without ncurses' "$pid"
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null && setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$top"; then
    setpriv --reuid 65534 --regid 65534 --clear-groups "$top" --batch -n 1 "$pid" > "$work/out" 2> "$work/err" && fail "another user may read"
    grep -q "process $pid: Permission denied: it belongs to another user (0)" "$work/err" || fail "another user: $(cat "$work/err")"
else
    echo "LEFT OUT: reading as another user (needs root, and setpriv of util-linux)"
fi

# A program that closes all descriptors: root finds the page by its mapping, which it may not within a user namespace.
say close
mapping=$(find "/proc/$$/map_files" -type l 2> /dev/null | head -n 1)
if [ -n "$mapping" ] && head -c 1 "$mapping" > /dev/null 2>&1; then
    run 0 --batch -n 1 "$pid"
    is 1 cache '"shown"'
else
    refused 1 'it has closed the descriptor of its figures; root can read them' --batch -n 1 "$pid"
fi
say_last end

# A program that puts the library away.
start_subject
say cache shown
rm -f "$work/out"
"$top" --batch --delay 0.05 "$pid" > "$work/out" 2> "$work/err" &
watcher=$!
while [ ! -s "$work/out" ]; do sleep 0.05; done
say destroy
say_last end
wait "$watcher" || fail "opalmem-top: exit status $? at the end of the process"
grep -q "^opalmem-top: process $pid has " "$work/err" || fail "nothing is said of the end: $(cat "$work/err")"

# Output that cannot be written.
if [ -c /dev/full ]; then
    "$top" --help > /dev/full 2> "$work/err" && fail "a full disk goes unnoticed"
    grep -q 'cannot be written' "$work/err" || fail "a full disk: $(cat "$work/err")"
fi
finish
