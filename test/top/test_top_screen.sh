#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-top on a terminal, which tmux provides: what it shows, its keys, changes of size, the end of the process.
set -u
. "${top_srcdir:-.}/test/top/top_common.sh"
"$top" --help > /dev/null || exit 99
[ -z "${TEST_CFLAGS:-}" ] || skip "a build with a sanitizer: ncurses keeps memory to the end"
command -v tmux > /dev/null || skip "tmux is missing (Debian package: tmux)"
grep -q '^#define OPALMEM_HAVE_NCURSES 1' "$top_builddir/opalmem_private_config.h" || skip "this build has no ncurses"

# Each terminal has a server of its own: one that ends is not waited for.
servers=0
terminal() { tmux -L "opalmem-top-$$-$servers" "$@"; }
# on_terminal COLUMNS ROWS COMMAND: run it, and keep what it leaves on the terminal.
on_terminal() {
    servers=$((servers + 1))
    terminal -f /dev/null new-session -d -x "$1" -y "$2" "$3; echo status \$?; exec sleep 1000"
}
trap 'terminal kill-server 2> /dev/null; cleanup' EXIT

# shows PATTERN: some line matches soon.
shows() {
    tries=0
    while ! terminal capture-pane -p > "$work/screen" 2>&1 || ! grep -q -e "$1" "$work/screen"; do
        tries=$((tries + 1))
        if [ $tries -gt 1200 ]; then
            fail "no line matches '$1' in: $(cat "$work/screen")"
            return
        fi
        sleep 0.05
    done
}

lacks() { ! grep -q -e "$1" "$work/screen" || fail "a line matches '$1' in: $(cat "$work/screen")"; }

start_subject
say cache alpha
say register 4
say hit 40
say put
say cache beta
say register 1
say hit 5
say put
say release

on_terminal 140 30 "env TERM=screen '$top' --delay 0.1 $pid"
terminal list-sessions > /dev/null 2>&1 || skip "tmux does not run here"
shows "^$pid top_subject: 2 caches, 1 registrations, 16 KiB pinned"
shows '^CACHE .* HITS/s .* 99%<'
shows '^alpha .* 97.6% .* 16 KiB .* 16 KiB'
shows '^alpha (grdma): 40 hits, 1 misses'
shows '^  from .* 16 KiB #* 1$'

terminal send-keys Down
shows '^beta (grdma): 5 hits, 1 misses (0 bypassed), 1 registered, 1 deregistered'
shows '^  invalidated: 1, munmap 1'
terminal send-keys Up
shows '^alpha (grdma)'
terminal send-keys s s
shows 's sort (by pinned)'

# Paused: what happens then is not shown, until the next key.
terminal send-keys p
shows 'PAUSED'
say cache gamma
say register 1
sleep 0.5
terminal capture-pane -p > "$work/screen"
lacks '3 caches'
terminal send-keys p
shows '3 caches'

# Narrow, tiny, and wide again.
terminal resize-window -x 42 -y 12
shows '^CACHE .*HITS/s *MISSES/s$'
lacks 'PINNED'
terminal resize-window -x 10 -y 3
shows '^CACHE *$'
terminal resize-window -x 1 -y 1
terminal resize-window -x 140 -y 30
shows '^CACHE .* 99%<'
terminal send-keys q
shows '^status 0'
terminal kill-server

# The process ends while it is shown: the last figures stay on the terminal.
on_terminal 200 30 "env TERM=screen '$top' --delay 0.1 $pid"
shows '^alpha '
say_last abort
shows '^status 0'
shows "process $pid has ended; these figures are its last ones"
shows 'cache="alpha" component="grdma" hits=40 misses=1'
terminal kill-server

# Terminals that nobody knows.
start_subject
say cache alone
for setting in TERM=bogus TERM= ; do
    on_terminal 100 10 "env $setting '$top' $pid"
    shows '^status 1'
    shows 'TERM is .*no terminal that is known here: use --batch'
    terminal kill-server
done
on_terminal 100 10 "env -u TERM '$top' $pid"
shows 'TERM is not set'
finish
