#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The same seed means the same operations, another one others.
set -u
. "${top_srcdir:-.}/test/stress/stress_common.sh"

digest()
{
    "$stress" --mca memory linux --seconds 60 --ops 150 --seed "$1" > replay.out.$$
    rc=$?
    [ "$rc" -ne 77 ] || { cat replay.out.$$; rm -f replay.out.$$; exit 77; }
    sed -n 's/^digest of the operations: //p' replay.out.$$
    cat replay.out.$$ >&2
    rm -f replay.out.$$
    [ "$rc" -eq 0 ]
}

first=$(digest 7) || exit $?
again=$(digest 7) || exit $?
other=$(digest 8) || exit $?
[ -n "$first" ] || { echo "FAIL: no digest is printed"; exit 1; }
[ "$first" = "$again" ] || { echo "FAIL: seed 7 gave other operations the second time: $first, $again"; exit 1; }
[ "$first" != "$other" ] || { echo "FAIL: seeds 7 and 8 gave the same operations: $first"; exit 1; }
