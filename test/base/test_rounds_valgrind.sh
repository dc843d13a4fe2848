#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Rounds of init and finalize under valgrind, with the components of this build
# and the tests' own as DSOs: no error, no leak, and twice the rounds leave
# no more behind. OPALMEM_TEST_ROUNDS: how many (20; with fewer, lists still grow to their size).
set -u
build=${top_builddir:-.}
rounds=${OPALMEM_TEST_ROUNDS:-20}
skip() {
    echo "SKIP: $*"
    exit 77
}
command -v valgrind > /dev/null || skip "valgrind is missing (Debian package: valgrind)"
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "valgrind runs programs of this machine only"
case ${TEST_CFLAGS:-} in *-fsanitize*) skip "a sanitizer and valgrind do not go together" ;; esac
valgrind --version > /dev/null 2>&1 || skip "valgrind does not run here"
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
if [ -n "${OPALMEM_MCA_mca_base_component_path:-}" ]; then
    OPALMEM_MCA_mca_base_component_path="$OPALMEM_MCA_mca_base_component_path:$build/test/rcache/.libs:$build/test/framework/.libs"
    export OPALMEM_MCA_mca_base_component_path
fi

# run ROUNDS: leaves the summary in $work/ROUNDS.
run() {
    # Code is patched below valgrind's feet: hence --smc-check.
    "$build/libtool" --mode=execute valgrind --smc-check=all --leak-check=full --error-exitcode=9 \
        --errors-for-leak-kinds=definite,indirect,possible --log-file="$work/$1" \
        "$build/test/base/rounds" "$1" > "$work/out" 2> "$work/err"
    status=$?
    # Valgrind before 3.20 and clang from 14 on do not agree about DWARF 5.
    grep -q 'debuginfo reader: Possibly corrupted' "$work/$1" && skip "valgrind cannot read what this compiler writes with -g (try -gdwarf-4)"
    if [ $status != 0 ] || [ -s "$work/err" ]; then
        echo "FAIL: $1 rounds: exit status $status"
        cat "$work/err" "$work/$1"
        exit 1
    fi
}

left() {
    sed -n 's/.*in use at exit: //p' "$work/$1"
}

run "$rounds"
run $((2 * rounds))
cat "$work/out"
grep -q '^rcache grdma ' "$work/out" || { echo "FAIL: no components"; exit 1; }
[ -n "$(left "$rounds")" ] || { echo "FAIL: valgrind's summary has another form"; exit 1; }
if [ "$(left "$rounds")" != "$(left $((2 * rounds)))" ]; then
    echo "FAIL: $rounds rounds leave $(left "$rounds"), $((2 * rounds)) leave $(left $((2 * rounds)))"
    exit 1
fi
echo "$rounds and $((2 * rounds)) rounds: no error, no leak; in use at exit $(left "$rounds")"
