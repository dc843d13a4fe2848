#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_srcdir
# Ours and two others start and stop in every order: each sees what it sees without ours (the others), or alone (ours).
. "$top_srcdir/test/company/company_common.sh"
rc=77
for pair in "ucx memhooks" "ucx open-mpi" "memhooks open-mpi" "ucx-reloc open-mpi"; do
    result=0
    # shellcheck disable=SC2086 # two words
    matrix $pair || result=$?
    case $result in
        77) ;;
        0) [ $rc = 1 ] || rc=0 ;;
        *) rc=1 ;;
    esac
done
exit $rc
