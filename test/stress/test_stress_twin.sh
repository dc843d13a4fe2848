#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# With a component that notices nothing, and caching forced, each judge must find stale registrations: else the other
# runs prove nothing.
set -u
. "${top_srcdir:-.}/test/stress/stress_common.sh"
run --mca memory noop --mca rcache_base_unsafe 1 --weight fork=0 --expect-errors
