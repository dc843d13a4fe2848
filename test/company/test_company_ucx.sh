#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_srcdir, company_common.sh work
# Ours and UCX (mode bistro) start and stop in every order, also around a fork: each sees what it sees alone.
. "$top_srcdir/test/company/company_common.sh"
matrix -b ucx
matrix ucx
matrix ucx fork

# UCX makes brk by an instruction of its own. Where that was not searched for, ours promises nothing of the heap.
unsearched() {
    OPALMEM_MCA_memory_linux_search_limit=0 "$work/company" run "$work/side.so" "$@" > "$work/out" 2> "$work/err"
}
fail() { echo "$*, without a search:"; cat "$work/out" "$work/err"; exit 1; }
unsearched ours+ ucx+
! grep -q STALE "$work/out" || fail "UCX started"
grep -q 'warning: memory: another library' "$work/err" || fail "UCX started, and there is no warning"
unsearched ucx+ ours+
grep -Eq '^ucx\+ ours\+: code 0, level 0x[0-9a-f]*[02468ace]$' "$work/out" || fail "ours promises free()"
