#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source-path=SCRIPTDIR disable=SC1091,SC2154 # the upper Makefile sets top_srcdir; kit_common.sh the rest
# The component kit, as somebody uses it who has the installed library and nothing else: the examples build, are
# installed, listed and selected, and their events reach a cache. Each has a twin without the component: there
# the cache hands out a registration of pages that are gone.
set -eu
. "$top_srcdir/test/kit/kit_common.sh"

# ---- Build and install, with the Makefile alone ----
copy_example
kit all || fail "make all"
kit install || fail "make install"
for name in arena journal; do
    [ -e "$componentdir/mca_memory_$name.so" ] || fail "make install: component $name is not in $componentdir"
done
kit install DESTDIR="$work/other" COMPONENTDIR=/place || fail "make install COMPONENTDIR="
[ -e "$work/other/place/mca_memory_arena.so" ] || fail "make install COMPONENTDIR= DESTDIR= put nothing there"

# ---- Listed ----
journal=$work/journal
demo journal "$journal" --mca memory noop # Makes the journal.
opalmem-info --parsable > "$work/out" 2>&1 || fail "opalmem-info"
has 'mca:memory:arena:.*the program exports no arena_interface' "opalmem-info, a reason"
has 'mca:memory:journal:.*memory_journal_file is not set' "opalmem-info, a reason"
opalmem-info --parsable --mca memory_journal_file "$journal" > "$work/out" 2>&1 || fail "opalmem-info"
has 'mca:memory:journal:priority:20$' "opalmem-info, a priority"

# ---- Selected: not by default, by name, by priority ----
linux=no
! opalmem-info --parsable | grep -q '^mca:memory:linux:available:yes' || linux=yes
if [ $linux = yes ]; then
    demo arena
    has '^linux: selected' "nobody asked for another component"
    has '^caching=1 events=0 stale=1' "nobody asked for another component"
fi
demo arena --mca memory arena
has '^arena: selected' "--mca memory arena"
has '^caching=0 ' "a component that does not cover everything lets no cache rely on it"
demo arena --mca memory_arena_priority 90 --mca memory_arena_covers everything
has '^arena: selected' "a priority above the others"
has '^caching=1 events=1 stale=0' "a priority above the others"
if [ $linux = yes ]; then
    demo arena --mca memory_arena_priority 10
    has '^linux: selected' "a priority below the others"
fi

# ---- Events, and twins without the component ----
demo arena --mca memory arena --mca memory_arena_covers everything
has '^caching=1 events=1 stale=0' "arena"
demo arena --mca memory ^arena,journal --mca rcache_base_unsafe 1
has '^caching=1 events=0 stale=1' "without arena"
has '^arena: not selected: excluded by "^arena,journal"' "the reason of an excluded component"
demo journal "$journal" --mca memory journal --mca memory_journal_file "$journal" --mca memory_journal_covers_everything 1
has '^caching=1 events=1 stale=0' "journal"
demo flood "$journal" --mca memory journal --mca memory_journal_file "$journal" --mca memory_journal_covers_everything 1
has '^caching=1 events=1 stale=0' "more releases than the journal holds: one event, for everything"
demo journal "$journal" --mca memory ^arena,journal --mca memory_journal_file "$journal" --mca rcache_base_unsafe 1
has '^caching=1 events=0 stale=1' "without journal"
if [ $linux = yes ]; then
    demo arena --mca memory linux+arena
    has '^caching=1 events=1 stale=0' "linux+arena"
    demo journal "$journal" --mca memory linux+arena+journal --mca memory_journal_file "$journal"
    has '^caching=1 events=1 stale=0' "linux+arena+journal"
fi

# ---- A registration cache ----
demo arena --mca memory arena --mca memory_arena_covers everything --mca rcache_trace_priority 100
has '^caching=1 events=1 stale=0' "trace"
has '^trace: register 0x[0-9a-f]* + 65536, flags 0, access 0xf: success' "trace"
has '^trace: find 0x[0-9a-f]* + 65536: not found' "trace"
has '^trace: destroyed after 1 release(s): success' "trace"
demo arena --mca memory arena --mca memory_arena_covers everything
! grep -q '^trace: ' "$work/out" || fail "trace was used although nobody asked for it"
refused arena --mca rcache trace+grdma
has 'its components are never used together' "two caches together"

# ---- Wrong input ----
refused arena --mca memory_arena_covers somewhere
has 'memory_arena_covers.*"somewhere".*expected one of arena, everything' "a name that is none"
refused arena --mca memory_arena_priority 101
has 'memory_arena_priority.*"101".*0 to 100' "a priority that is none"
refused arena --mca memory journal
has 'memory_journal_file is not set' "a component that was asked for and cannot run"
refused arena --mca memory journal --mca memory_journal_file demo.c
has 'demo.c is no journal of version 1' "a file that is no journal"

kit clean || fail "make clean"
if [ -e demo ] || [ -e mca_memory_arena.so ]; then fail "make clean left something"; fi
