#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# Every symbol of this build carries the prefix.
set -eu
exec "$top_srcdir/config/check-symbols.sh" "$top_builddir"
