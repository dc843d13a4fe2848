#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# quickstart explains itself, and refuses what it does not know.
set -eu
cd "$top_srcdir"
./quickstart --help | grep -q 'quickstart run'
./quickstart --help | grep -q 'quickstart check'
./quickstart --help | grep -q 'quickstart check-vm'
for words in "" "nosuch" "run too many"; do
    rc=0
    # shellcheck disable=SC2086 # words
    ./quickstart $words >/dev/null 2>&1 || rc=$?
    [ $rc = 2 ] || { echo "quickstart $words: exit status $rc, expected 2"; exit 1; }
done
