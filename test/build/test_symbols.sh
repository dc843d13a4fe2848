#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# Every symbol of this build carries the prefix, and the rename headers have
# each name once. The check itself is tried on headers with a fault each.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rename=$top_srcdir/include/opal/opalmem_rename.h

# faulty NAME MESSAGE: the check refuses $work/faulty.h, and says so of this name.
faulty() {
    if "$top_srcdir/config/check-names.sh" "$top_builddir" "$work/faulty.h" > "$work/out" 2>&1; then
        echo "the check does not notice: $1 $2"
        exit 1
    fi
    grep "$2" "$work/out" | grep -qw "$1" || { echo "the check does not say \"$2\" of $1, but:"; cat "$work/out"; exit 1; }
}

grep -vw opal_mem_hooks_register_release "$rename" > "$work/faulty.h"
faulty opal_mem_hooks_register_release 'without a line'
sed '/opalmem_init/i #define opal_mem_hooks_bogus OPALMEM_NAME(opal_mem_hooks_bogus)' "$rename" > "$work/faulty.h"
faulty opal_mem_hooks_bogus 'declared in no public header'
sed 's/(opal_mem_hooks_init)/(opal_mem_hooks_start)/' "$rename" > "$work/faulty.h"
faulty opal_mem_hooks_init 'another name'

exec "$top_srcdir/config/check-symbols.sh" "$top_builddir"
