#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The suite of the registration cache, with the component userfaultfd: it watches what those tests register, beside the releases
# that they raise themselves.
set -u
: "${top_builddir:?the folder of the build}" "${top_srcdir:?the folder of the sources}"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$top_builddir/test/userfaultfd/test_userfaultfd" > "$log" 2>&1
rc=$?
if [ $rc != 0 ]; then
    cat "$log" # 77: it says why the component does not run here.
    exit $rc
fi
if [ -e "$top_builddir/.libs/mca_memory_userfaultfd.so" ]; then
    echo "SKIP: the component is a DSO, which programs that contain the library's objects cannot load"
    exit 77
fi
export OPALMEM_TEST_MEMORY=userfaultfd OPALMEM_MCA_memory=userfaultfd
# A part of the rounds: each has the kernel's part in it, and the component's own tests have races of their own.
export OPALMEM_TEST_PERCENT="${OPALMEM_TEST_PERCENT:-20}" OPALMEM_TEST_SECONDS="${OPALMEM_TEST_SECONDS:-2}"
passed=0 failed=0
for source in "$top_srcdir"/test/rcache/test_*.c; do
    program=$top_builddir/test/rcache/$(basename "$source" .c)
    [ -x "$program" ] || continue
    "$program" > "$log" 2>&1
    case $? in
        0) passed=$((passed + 1)) ;;
        77) echo "skipped: $(basename "$program"): $(grep '^SKIP' "$log")" ;;
        *)
            failed=$((failed + 1))
            echo "FAIL: $(basename "$program")"
            cat "$log"
            ;;
    esac
done
echo "$passed programs passed, $failed failed"
# One of them shows that the component is the one: only there this page cannot be kept (test_grdma_front).
[ "$passed" -ge 15 ] && [ "$failed" = 0 ]
