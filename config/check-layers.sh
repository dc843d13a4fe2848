#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Proves the direction of includes: include -> framework -> {components, rcache}
# -> tools, bench, examples. Components, and components and rcache, never
# include each other. (framework/util/fork.c and framework/opalmem.c start,
# stop and reset all parts: they alone may name rcache.)
set -eu
cd "$(dirname "$0")/.."
rc=0
# forbid FOLDER PATTERN: no file below FOLDER may include a path that matches.
forbid() {
    found=$(grep -rnE "^ *# *include +\"($2)" "$1" --include='*.[chS]' | grep -vE "${3:-^$}" || true)
    if [ -n "$found" ]; then
        echo "check-layers: $1 must not include $2:" >&2
        echo "$found" >&2
        rc=1
    fi
}
own='framework/|components/|rcache/|memheap/|smsc/|tools/|test/|bench/|examples/'
forbid include "$own"
forbid framework 'components/|memheap/|smsc/|tools/|test/|bench/'
forbid framework 'rcache/' '^framework/(util/fork|opalmem)\.c:'
forbid rcache 'components/|memheap/|smsc/|tools/|test/|bench/'
for folder in components/*/; do
    name=$(basename "$folder")
    # A component uses public headers and its own: it may become a DSO.
    forbid "components/$name" 'framework/|rcache/|memheap/|smsc/|tools/|test/|bench/'
    for other in components/*/; do
        [ "$other" = "$folder" ] || forbid "components/$name" "components/$(basename "$other")/"
    done
done
forbid tools 'framework/|components/|rcache/|test/|bench/'
forbid bench 'framework/|components/|rcache/|test/'
forbid examples 'framework/|components/|rcache/|test/'
exit $rc
