#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir
# The component kit, as somebody uses it who has the installed library and nothing else: the examples build, are
# installed, listed and selected, and their events reach a cache. Each has a twin without the component: there
# the cache hands out a registration of pages that are gone.
set -eu
fail() { echo "FAIL: $1"; [ ! -e "$work/out" ] || cat "$work/out"; exit 1; }
command -v pkg-config >/dev/null || { echo "SKIP: pkg-config"; exit 77; }
grep -q '^#define OPALMEM_HAVE_LTDL 1' "$top_builddir/opalmem_private_config.h" ||
    { echo "SKIP: built without libltdl, components cannot be loaded"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- An installed library ----
# One installation at a time: libtool links anew in the build tree.
flock "$top_builddir/config.status" make -C "$top_builddir" install DESTDIR="$work/root" > "$work/out" 2>&1 || fail "make install"
pc=$(find "$work/root" -name opalmem.pc)
[ -n "$pc" ] || fail "opalmem.pc was not installed"
export PKG_CONFIG_PATH="${pc%/*}"
prefix=$work/root$(pkg-config --variable=prefix opalmem)
PKG_CONFIG="pkg-config --define-variable=prefix=$prefix"
libdir=$($PKG_CONFIG --variable=libdir opalmem)
components=$($PKG_CONFIG --variable=componentdir opalmem)
case $components in "$work"/*) ;; *) fail "pkg-config --variable=componentdir says $components" ;; esac
# Components are looked for where the library was configured to have them, which is elsewhere here.
export OPALMEM_MCA_mca_base_component_path="$components" LD_LIBRARY_PATH="$libdir"
info=$(find "$work/root" -type f -name opalmem-info)
example=$(find "$work/root" -type d -path '*/examples/component')
[ -n "$example" ] || fail "the example was not installed"

# ---- Build and install, with the Makefile alone ----
cp -R "$example" "$work/kit"
chmod -R u+w "$work/kit"
cd "$work/kit"
kit() { make PKG_CONFIG="$PKG_CONFIG" CC="${CC:-cc}" CFLAGS="-O1 -g -Werror ${TEST_CFLAGS:-}" "$@" > "$work/out" 2>&1; }
kit all || fail "make all"
kit install || fail "make install"
for name in arena journal; do
    [ -e "$components/mca_memory_$name.so" ] || fail "make install: component $name is not in $components"
done
kit install DESTDIR="$work/other" COMPONENTDIR=/place || fail "make install COMPONENTDIR="
[ -e "$work/other/place/mca_memory_arena.so" ] || fail "make install COMPONENTDIR= DESTDIR= put nothing there"

# ---- Listed ----
has() { grep -q -- "$1" "$work/out" || fail "$2: expected $1"; }
demo() { ./demo "$@" > "$work/out" 2>&1 || fail "demo $*"; }
refused() { if ./demo "$@" > "$work/out" 2>&1; then fail "demo $*: it runs"; fi; }
journal=$work/journal
demo journal "$journal" --mca memory noop # Makes the journal.
"$info" --parsable > "$work/out" 2>&1 || fail "opalmem-info"
has 'mca:memory:arena:.*the program exports no arena_interface' "opalmem-info, a reason"
has 'mca:memory:journal:.*memory_journal_file is not set' "opalmem-info, a reason"
"$info" --parsable --mca memory_journal_file "$journal" > "$work/out" 2>&1 || fail "opalmem-info"
has 'mca:memory:journal:priority:20$' "opalmem-info, a priority"

# ---- Selected: not by default, by name, by priority ----
demo arena
if grep -q '^arena: selected' "$work/out" && grep -q '^linux: can run' "$work/out"; then
    fail "arena was selected although nobody asked for it"
fi
linux=no
! grep -q '^linux: selected' "$work/out" || linux=yes
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
demo journal "$journal" --mca memory ^arena,journal --mca memory_journal_file "$journal" --mca rcache_base_unsafe 1
has '^caching=1 events=0 stale=1' "without journal"
if [ $linux = yes ]; then
    demo arena --mca memory linux+arena
    has '^caching=1 events=1 stale=0' "linux+arena"
    demo journal "$journal" --mca memory linux+arena+journal --mca memory_journal_file "$journal"
    has '^caching=1 events=1 stale=0' "linux+arena+journal"
fi

# ---- Wrong input ----
refused arena --mca memory_arena_covers somewhere
has 'memory_arena_covers.*"somewhere".*expected one of arena, everything' "a name that is none"
refused arena --mca memory_arena_priority 101
has 'memory_arena_priority.*"101".*0 to 100' "a priority that is none"
refused arena --mca memory journal
has 'memory_journal_file is not set' "a component that was asked for and cannot run"
refused arena --mca memory journal --mca memory_journal_file demo.c
has 'demo.c is no journal of version 1' "a file that is no journal"

# ---- What is refused ----
# refuse CAUSE SCRIPT: a copy of arena that sed SCRIPT has changed is not loaded, and CAUSE is told.
refuse() {
    sed -i.orig "$2" mca_memory_arena.c
    ! cmp -s mca_memory_arena.c mca_memory_arena.c.orig || fail "sed $2 changes nothing"
    kit all || fail "make all after $2"
    kit install || fail "make install after $2"
    mv mca_memory_arena.c.orig mca_memory_arena.c
    touch mca_memory_arena.c # Newer than what was just built.
    refused arena --mca memory arena
    has "$1" "$2"
    demo arena # Nobody asked for it: no message, but the reason in the listing.
    has "^arena: not selected: .*$1" "$2"
    ! grep -q '^opalmem: ' "$work/out" || fail "a message that nobody asked for"
}
refuse 'made for version 3.0 of framework memory, not 2.0' \
    's/OPAL_MEMORY_BASE_VERSION_2_0_0,/MCA_BASE_VERSION_2_0_0, "memory", 3, 0, 0,/'
refuse 'made for version 3.0 of the MCA, not 2.0' 's/OPAL_MEMORY_BASE_VERSION_2_0_0,/3, 0, 0, "memory", 2, 0, 0,/'
refuse 'called "arenas"' 's/\.mca_component_name = "arena"/.mca_component_name = "arenas"/'
kit all || fail "make all, with the original"
kit install || fail "make install, with the original"
demo arena --mca memory arena
chmod o+w "$components/mca_memory_arena.so"
refused arena --mca memory arena
has 'everybody may write to it' "a file that everybody may write to"
kit clean || fail "make clean"
if [ -e demo ] || [ -e mca_memory_arena.so ]; then fail "make clean left something"; fi
