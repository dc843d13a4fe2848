#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Small limits in both caches: evictions all the time, and limits that are exact. Nothing is pinned.
set -u
. "${top_srcdir:-.}/test/stress/stress_common.sh"
run --mca memory linux --provider none --max-count 24 --max-bytes 2000000 --weight fork=0
