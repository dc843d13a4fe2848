# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2154 # the upper Makefile sets top_builddir
# For tests that build programs with the shared library; read with ".". Sets work (a folder that goes at the end), libs, rc.

skip() { echo "SKIP: $*"; exit 77; }
[ -e "$top_builddir/.libs/libopalmem.so" ] || skip "built with --disable-shared"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libs=$top_builddir/.libs
export LD_LIBRARY_PATH="$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# shellcheck disable=SC2034 # of those who read this file
rc=0
