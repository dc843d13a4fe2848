#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# libfabric.sh PROGRAM COMPILER [FLAGS]...
# Builds libfabric's side of bench_rcache with the objects of its cache out of Debian's libfabric.a (package:
# libfabric-dev), whose 1.17 the side is written for. Without it no PROGRAM is made, and the column stays empty.
set -eu
program=$1
shift
folder=$(cd "$(dirname "$0")" && pwd)
work=$program.d
members=(src_libfabric_la-util_mr_cache.o src_libfabric_la-util_mem_monitor.o src_libfabric_la-util_mem_hooks.o
    src_libfabric_la-util_buf.o libfabric_la-tree.o)

without() {
    echo "bench_rcache: without libfabric: $*"
    rm -rf "$work" "$program"
    exit 0
}

archive=$("$@" -print-file-name=libfabric.a)
[ -e "$archive" ] || without "no libfabric.a (Debian package: libfabric-dev)"
version=$(pkg-config --modversion libfabric 2> /dev/null) || without "pkg-config does not tell its version"
[[ $version == 1.17.* ]] || without "it is $version, and the benchmark knows the structures of 1.17"
mkdir -p "$work"
archive=$(readlink -f "$archive")
(cd "$work" && ar x "$archive" "${members[@]}" 2> ar.log) || without "libfabric.a lacks one of ${members[*]}"
if ! "$@" -pthread -o "$program" "$folder"/{side_libfabric,stubs_libfabric,tools,rows}.c \
    "${members[@]/#/$work/}" -ldl \
    2> "$work/build.log"; then
    cat "$work/build.log" >&2
    without "its part cannot be built"
fi
