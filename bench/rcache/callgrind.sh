#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# callgrind.sh BUILDDIR [REGIONS]...
# Instructions of a register + deregister that hits, as valgrind's callgrind counts them, for each side that is there:
# a line "REGIONS<TAB>opalmem<TAB>UCX<TAB>libfabric". The loop around the two calls, about ten instructions, is counted in.
# The hooks of all sides write code: hence --smc-check.
set -eu
build=$(cd "${1:?usage: callgrind.sh BUILDDIR [REGIONS]...}" && pwd)
shift
[ $# -gt 0 ] || set -- 10 1000
hits=2000
command -v valgrind > /dev/null || { echo "callgrind.sh: valgrind is missing (Debian package: valgrind)" >&2; exit 1; }

# What hit_loop() and all that it calls execute in one process, in instructions.
collected() { # SIDE PROGRAM REGIONS HITS
    "$build/libtool" --mode=execute valgrind --tool=callgrind --smc-check=all --callgrind-out-file=/dev/null \
        --toggle-collect=hit_loop "$build/bench/$2" "$1" callgrind "$3" "$4" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\)$/\1/p'
}

# The difference of two runs: what is done before the hits is in both.
instructions() { # SIDE PROGRAM REGIONS
    local without with
    if [ ! -x "$build/bench/$2" ] || ! "$build/bench/$2" "$1" probe > /dev/null; then
        echo -
        return
    fi
    without=$(collected "$1" "$2" "$3" 0)
    with=$(collected "$1" "$2" "$3" "$hits")
    if [ "${without:-0}" = 0 ] || [ "${with:-0}" = 0 ]; then # It counts nothing where the side ends early.
        echo "callgrind.sh: $1 has failed with $3 regions" >&2
        return 1
    fi
    echo $(((with - without + hits / 2) / hits))
}

printf 'regions\topalmem\tUCX\tlibfabric\n'
for regions; do
    ours=$(instructions opalmem bench_rcache "$regions")
    ucx=$(instructions UCX bench_rcache "$regions")
    libfabric=$(instructions libfabric bench_rcache_libfabric "$regions")
    printf '%s\t%s\t%s\t%s\n' "$regions" "$ours" "$ucx" "$libfabric"
done
