#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every way to lose memory but fork, registrations in the table of an io_uring, every judge: nothing is stale.
set -u
. "${top_srcdir:-.}/test/stress/stress_common.sh"
run --mca memory linux --weight fork=0
