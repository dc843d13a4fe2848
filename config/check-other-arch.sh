#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# check-other-arch.sh: library, tools and tests compile for architectures for
# which nobody has written machine code: 64-bit POWER (another page size), and
# IBM Z (another byte order). Nothing is run. Each is a build of its own, variants/TRIPLET.
# Exit status 77: none of the compilers is here.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
built=0

# build ARCHITECTURE TRIPLET
build() {
    local rc=0
    "$top/config/debian-cross.sh" "$1" "$2" "variants/$2-cross" || rc=$?
    [ $rc != 77 ] || return 0
    [ $rc = 0 ] || exit 1
    mkdir -p "variants/$2"
    echo "check-other-arch: $2"
    (
        PATH=$PWD/variants/$2-cross/bin:$PATH
        cd "variants/$2"
        "$top/configure" --enable-werror --host="$2" --without-libibverbs PKG_CONFIG="$2-pkg-config" > configure.out 2>&1 ||
            { tail -n 20 configure.out; exit 1; }
        make -j"$(nproc)" check TESTS= > make.out 2>&1 || { grep -A5 -E 'error|Error' make.out || tail -n 40 make.out; exit 1; }
    ) || exit 1
    built=$((built + 1))
}

build ppc64el powerpc64le-linux-gnu
build s390x s390x-linux-gnu
[ $built != 0 ] || exit 77
echo "check-other-arch: $built architectures compile"
