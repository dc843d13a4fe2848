#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-model.sh: the models hold, and stop holding when any one ingredient of
# the protocol is taken away.
set -eu
models=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || { echo "SKIP: spin is missing (Debian package: spin)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0
# run MODEL SWITCHES: prints the number of errors.
run() {
    # shellcheck disable=SC2086 # switches are words
    spin -a $2 "$models/$1" > spin.out 2>&1 || { cat spin.out >&2; exit 1; }
    ${CC:-cc} -O2 -w -DSAFETY -o pan pan.c
    ./pan -m100000 > pan.out
    grep -q 'max search depth too small' pan.out && { echo "check-model: search too shallow: $1 $2" >&2; exit 1; }
    sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out
}
# holds MODEL SWITCHES / breaks MODEL SWITCHES
holds() {
    # shellcheck disable=SC2086 # switches are words
    [ "$(run "$1" "$2")" = 0 ] || { echo "check-model: $1 $2 fails:"; spin -t -p $2 "$models/$1" | tail -n 60; exit 1; }
    passed=$((passed + 1))
}
breaks() {
    [ "$(run "$1" "$2")" != 0 ] || { echo "check-model: $1 $2 holds, but must not: the model checks nothing there"; exit 1; }
    passed=$((passed + 1))
}
holds windows.pml ""
breaks windows.pml -DNO_CLAIM_BARRIER
breaks windows.pml -DNO_ANNOUNCE_BARRIER
breaks windows.pml -DNO_WINDOW
breaks windows.pml -DNO_INVALID_CHECK
holds windows.pml -DUNREGISTER
breaks windows.pml "-DUNREGISTER -DNO_CLAIM_BARRIER"
breaks windows.pml "-DUNREGISTER -DNO_MARK_BARRIER"
breaks windows.pml "-DUNREGISTER -DNO_WAIT"
echo "check-model: $passed passed, 0 failed"
