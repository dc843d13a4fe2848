#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes configure and the Makefile templates from a git checkout.
set -eu
cd "$(dirname "$0")"
missing=
for pair in autoconf:autoconf automake:automake libtoolize:libtool pkg-config:pkg-config; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ]; then
    echo "autogen.sh: missing Debian packages:$missing" >&2
    exit 1
fi
mkdir -p config/m4
exec autoreconf --install --force --warnings=all,no-portability "$@"
