#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every symbol of this build carries the prefix.
set -eu
exec "$top_srcdir/config/check-symbols.sh" "$top_builddir"
