#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-symbols.sh BUILDDIR: every symbol that the libraries export, and every
# global symbol of the static library, carries the prefix; a DSO exports its
# component and nothing else; what libopalmem.so exports has a version; the
# rename headers are complete.
set -eu
build=$(cd "${1:?usage: check-symbols.sh BUILDDIR}" && pwd)
top=$(cd "$(dirname "$0")/.." && pwd)
prefix=$(sed -n 's/^#define OPALMEM_SYMBOL_PREFIX "\(.*\)"/\1/p' "$build/include/opal/opalmem_config.h")
rc=0
# Names that begin with two underscores, or DW., are the compiler's (sanitizers; unwinding).
bad=$(nm -D --defined-only "$build/.libs/libopalmem.so" |
    awk -v p="$prefix" '$2 != "A" && index($3, p) != 1 && $3 !~ /^__/ { print $3 }')
if [ -n "$bad" ]; then
    echo "check-symbols: libopalmem.so exports without the prefix $prefix:" "$bad" >&2
    rc=1
fi
bad=$(nm -D --defined-only "$build/.libs/libopalmem.so" | awk '$2 != "A" && $3 !~ /@@OPALMEM_[0-9.]+$/ { print $3 }')
if [ -n "$bad" ]; then
    echo "check-symbols: libopalmem.so exports without a version:" "$bad" >&2
    rc=1
fi
for archive in "$build/.libs/libopalmem.a" "$build/.libs/libopalmem_internal.a"; do
    [ -e "$archive" ] || continue
    bad=$(nm -g --defined-only "$archive" | awk -v p="$prefix" 'NF == 3 && index($3, p) != 1 { print $3 }' | grep -vE '^(__|DW\.)' || true)
    if [ -n "$bad" ]; then
        echo "check-symbols: $archive defines without the prefix $prefix:" "$bad" >&2
        rc=1
    fi
done
for dso in "$build"/.libs/mca_*.so; do
    [ -e "$dso" ] || continue
    want=$(basename "$dso" .so)_component
    bad=$(nm -D --defined-only "$dso" | awk -v w="$want" '$3 != w { print $3 }')
    if [ -n "$bad" ] || ! nm -D --defined-only "$dso" | grep -q " $want\$"; then
        echo "check-symbols: $dso must export $want and nothing else, but:" "$bad" >&2
        rc=1
    fi
done
"$top/config/check-names.sh" "$build" || rc=1
# The headers are written from a build for x86-64 with all components linked in.
if grep -q "^host_cpu='x86_64'" "$build/config.log" && [ -z "$(ls "$build"/.libs/mca_*.so 2>/dev/null)" ] && grep -q '^#define OPALMEM_HAVE_LTDL 1' "$build/opalmem_private_config.h" &&
    grep -q '^#define OPALMEM_HAVE_LIBURING 1' "$build/opalmem_private_config.h" &&
    grep -q '^#define OPALMEM_HAVE_IBVERBS 1' "$build/opalmem_private_config.h"; then
    "$top/config/update-rename.sh" --check "$build" || rc=1
fi
[ $rc != 0 ] || echo "check-symbols: all symbols carry the prefix $prefix"
exit $rc
