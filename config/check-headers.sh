#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-headers.sh BUILDDIR: every public header compiles alone, in C and in
# C++, with warnings as errors, and twice in one file.
set -eu
build=$(cd "${1:?usage: check-headers.sh BUILDDIR}" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
for header in $(cd include && find opal -name '*.h') opal/opalmem_config.h; do
    printf '#include <%s>\n#include <%s>\nextern int not_empty;\n' "$header" "$header" > "$work/one.c"
    cp "$work/one.c" "$work/one.cc"
    for compiler in "${CC:-gcc} -std=c11" "${CC:-gcc} -std=gnu17" "${CXX:-g++} -std=c++11" "${CXX:-g++} -std=c++20"; do
        case $compiler in *c++*) file=one.cc ;; *) file=one.c ;; esac
        # shellcheck disable=SC2086 # words
        $compiler -Wall -Wextra -Wpedantic -Wshadow -Werror -I"$build/include" -Iinclude -c "$work/$file" -o "$work/one.o" ||
            { echo "check-headers: $header fails with $compiler" >&2; exit 1; }
    done
    count=$((count + 1))
done
echo "check-headers: $count headers compile alone in C and C++"
