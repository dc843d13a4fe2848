#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# The README shows the example that is built, it runs, and the papers name no file that is not there.
set -eu
cd "$top_srcdir"
out=$("$top_builddir/examples/minimal" --mca memory noop)
[ "$out" = "noop: 0 release(s)" ] || { echo "the example printed: $out"; exit 1; }
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md > "${TMPDIR:-/tmp}/readme.$$"
trap 'rm -f "${TMPDIR:-/tmp}/readme.$$"' EXIT
diff -u examples/minimal.c "${TMPDIR:-/tmp}/readme.$$" || { echo "README.md shows another example than examples/minimal.c"; exit 1; }
[ "$(wc -l < README.md)" -le 150 ] || { echo "README.md is longer than 150 lines"; exit 1; }
rc=0
for paper in README.md ARCHITECTURE.md CONTRIBUTING.md; do
    # Names in backquotes that look like files of the tree, without placeholders.
    # shellcheck disable=SC2016 # backquotes of Markdown
    grep -oE '`[A-Za-z0-9_.-]+/[A-Za-z0-9_./-]*`' "$paper" | tr -d '`' | sort -u | while read -r name; do
        case $name in build/* | variants/* | */opalmem/* | opal/*) continue ;; esac
        [ -e "$name" ] || { echo "$paper names $name, which is not there"; exit 1; }
    done || rc=1
done
exit $rc
