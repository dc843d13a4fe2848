#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# under-valgrind.sh TEST: runs a test program of the current build folder under valgrind; a script by itself.
# Code is patched below valgrind's feet: hence --smc-check.
set -eu
case $1 in
*.sh) exec "$@" ;;
esac
exec ./libtool --mode=execute valgrind -q --smc-check=all --error-exitcode=9 --leak-check=full \
    --errors-for-leak-kinds=definite --show-leak-kinds=definite "$@"
