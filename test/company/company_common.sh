# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# Builds the program `company` (see run.c). Sourced by the tests of this folder, and by who wants to run one plan.
set -eu
skip() { echo "SKIP: $*"; exit 77; }
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer"
[ "${OPALMEM_TEST_LONG:-yes}" != no ] || skip "OPALMEM_TEST_LONG is no"
[ "${OPALMEM_TEST_VARIANT:-}" != clang ] || skip "the compiler makes no difference here; the first build and that with DSOs have it"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# libfabric's own object, where libfabric-dev is installed.
memhooks=()
archive=$(${CC:-cc} -print-file-name=libfabric.a)
if [ -e "$archive" ] && (cd "$work" && ar x "$archive" src_libfabric_la-util_mem_hooks.o 2> "$work/ar"); then
    memhooks=("$work/src_libfabric_la-util_mem_hooks.o")
fi
sources=$top_srcdir/test/company
${CC:-cc} -shared -fPIC -o "$work/side.so" "$sources/side.c"
${CC:-cc} -std=gnu11 -g -O1 -Wall -Wextra -Werror -pthread -D_GNU_SOURCE -I"$top_builddir/include" -I"$top_srcdir/include" -o "$work/company" \
    "$sources/run.c" "$sources/matrix.c" "$sources/members.c" "$sources/paths.c" "$sources/memhooks.c" \
    "${memhooks[@]}" "$top_builddir/.libs/libopalmem.so" -ldl

# matrix [-b] MEMBER...
matrix() {
    local verbose=()
    [ "$1" = -b ] || [ -z "${COMPANY_VERBOSE:-}" ] || verbose=(-v)
    "$work/company" matrix "$work/side.so" "${verbose[@]}" "$@"
}
