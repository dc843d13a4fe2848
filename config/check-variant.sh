#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# check-variant.sh NAME [CONFIGURE-ARGUMENT...]: build variants/NAME below the
# current build folder, with warnings as errors, and run its tests. The stress
# tests take 5 s there. With $ONLY only these programs are built and run.
set -eu
name=${1:?usage: check-variant.sh NAME [CONFIGURE-ARGUMENT...]}
shift
top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "variants/$name"
cd "variants/$name"
echo "check-variant: $name $*"
if [ ! -f Makefile ] || [ "$top/configure" -nt Makefile ]; then
    "$top/configure" --enable-werror "$@" > configure.out 2>&1 || { tail -n 20 configure.out; exit 1; }
fi
OPALMEM_TEST_SECONDS=${OPALMEM_TEST_SECONDS:-5}
export OPALMEM_TEST_SECONDS OPALMEM_TEST_VARIANT="$name"
rc=0
run=(check)
if [ -n "${ONLY:-}" ]; then
    run=(check-TESTS "TESTS=$ONLY" "check_PROGRAMS=$ONLY" check_LTLIBRARIES=)
else
    make -j"$(nproc)" > make.out 2>&1 || { tail -n 40 make.out; exit 1; }
    make -j"$(nproc)" check TESTS= >> make.out 2>&1 || { tail -n 40 make.out; exit 1; }
fi
if [ "$name" = valgrind ]; then
    command -v valgrind >/dev/null || { echo "check-variant: valgrind is missing (Debian package: valgrind)" >&2; exit 1; }
    run+=("LOG_COMPILER=$top/config/under-valgrind.sh")
    export OPALMEM_TEST_VALGRIND=1 CK_TIMEOUT_MULTIPLIER=20
fi
make -j"$(nproc)" "${run[@]}" > check.out 2>&1 || rc=$?
grep -hE '^(FAIL|XPASS|ERROR):' check.out || true
if [ $rc != 0 ]; then
    tail -n 150 test-suite.log 2>/dev/null || tail -n 40 check.out
fi
awk -v name="$name" '/^# (PASS|XFAIL):/ { passed += $3 } /^# (FAIL|XPASS|ERROR):/ { failed += $3 } /^# SKIP:/ { skipped += $3 }
    END { printf "%s: %d passed, %d failed, %d skipped\n", name, passed, failed, skipped; exit passed == 0 }' check.out || rc=1
exit $rc
