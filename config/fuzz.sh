#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fuzz.sh [NAME...]: build the fuzz targets with clang below variants/fuzz, and run each (or those named) for
# FUZZ_SECONDS (60). What is new stays in variants/fuzz/new/NAME; an input that fails is written to variants/fuzz.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
command -v clang >/dev/null || { echo "fuzz: clang is missing (Debian package: clang)" >&2; exit 1; }
mkdir -p variants/fuzz
cd variants/fuzz
if [ ! -f Makefile ] || [ "$top/configure" -nt Makefile ]; then
    "$top/configure" CC=clang CXX=clang++ --enable-sanitizer=fuzzer-no-link,address,undefined > configure.out 2>&1 ||
        { tail -n 20 configure.out >&2; exit 1; }
fi
[ $# -gt 0 ] || set -- params selection numbers cmd_line
rc=0
for name in "$@"; do
    make "fuzz/fuzz_$name" > make.out 2>&1 || { tail -n 20 make.out >&2; exit 1; }
    mkdir -p "new/$name"
    echo "fuzz: $name"
    "fuzz/fuzz_$name" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -artifact_prefix="$name-" -verbosity=0 \
        -print_final_stats=1 "new/$name" "$top/fuzz/corpus/$name" > "$name.out" 2>&1 || {
        rc=1
        tail -n 40 "$name.out" >&2
    }
    grep -E 'number_of_executed_units|new_units_added' "$name.out" || rc=1
done
exit $rc
