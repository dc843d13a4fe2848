#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_srcdir
# Ours and libfabric's memhooks start and stop in every order, also around a fork: each sees what it sees alone.
. "$top_srcdir/test/company/company_common.sh"
matrix -b memhooks
matrix memhooks
matrix memhooks fork
