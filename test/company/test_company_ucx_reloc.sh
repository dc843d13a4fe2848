#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_srcdir
# Ours and UCX (mode reloc) start and stop in every order, also around a fork: each sees what it sees alone.
. "$top_srcdir/test/company/company_common.sh"
matrix -b ucx-reloc
matrix ucx-reloc
matrix ucx-reloc fork
