#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Children all the time, made while other threads register and lose memory: they begin with empty caches, and take nothing
# from the parent's.
set -u
. "${top_srcdir:-.}/test/stress/stress_common.sh"
run --mca memory linux --weight fork=60 --weight thread=30 --weight vfork=20
