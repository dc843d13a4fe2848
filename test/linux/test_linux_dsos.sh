#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir
# What hook context demands of the DSOs as they are built, read from their relocations: storage of threads is in
# place when a thread starts (initial-exec; the other models allocate at the first use, within a munmap), and no
# symbol is looked up at its first call (which takes kilobytes of stack). The check is tried on DSOs that do both.
set -eu
skip() { echo "SKIP: $*"; exit 77; }
command -v readelf > /dev/null || skip "readelf (Debian package: binutils)"
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer, which has storage of its own"
set -- "$top_builddir"/.libs/libopalmem.so "$top_builddir"/.libs/mca_memory_*.so
[ -e "$1" ] || skip "built with --disable-shared"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# faults FILE: one line for each.
faults() {
    readelf -rW "$1" > "$work/relocations"
    readelf -dW "$1" > "$work/dynamic"
    readelf -sW --dyn-syms "$1" > "$work/symbols"
    [ -s "$work/dynamic" ] || echo "readelf says nothing"
    grep -E 'DTPMOD|DTPOFF|DTPREL|TLSDESC' "$work/relocations" | sed 's/^/dynamic storage: /' || :
    grep -E ' UND .*__tls_get_addr' "$work/symbols" | sed 's/^/dynamic storage: /' || :
    grep -q 'FLAGS.*NOW' "$work/dynamic" || echo "symbols are looked up at their first call"
}

# The check notices both.
echo '__thread int storage; int *get(void); int *get(void) { return &storage; }' > "$work/twin.c"
${CC:-cc} -shared -fPIC -Wl,-z,lazy -o "$work/twin.so" "$work/twin.c"
faults "$work/twin.so" > "$work/out"
grep -q '^dynamic storage' "$work/out" || { echo "dynamic storage is not noticed"; exit 1; }
grep -q 'looked up' "$work/out" || { echo "late look-up is not noticed"; exit 1; }

rc=0
for file; do
    [ -e "$file" ] || continue # No component is a DSO in this build.
    faults "$file" > "$work/out"
    [ ! -s "$work/out" ] || { echo "${file##*/}:"; cat "$work/out"; rc=1; }
done
# The library has such storage at all: the hooks' own.
readelf -lW "$1" | grep -q '^  TLS ' || { echo "libopalmem.so has no storage of threads: what was looked at?"; rc=1; }
exit $rc
