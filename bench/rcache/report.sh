#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# report.sh BUILDDIR
# Runs the whole benchmark and callgrind, writes the tables into docs/rcache-cost.md and the plots beside it. Takes about
# six minutes, on a machine that does nothing else.
set -eu
build=$(cd "${1:?usage: report.sh BUILDDIR}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
docs=$here/../../docs
tsv=$build/bench/rcache.tsv
tables=$build/bench/rcache-tables.md

to_markdown() {
    awk -F '\t' '
        NR == 1 { print "| ns, but where something else is said | opalmem | UCX | libfabric | ratio | target | |"
                  print "|---|---|---|---|---|---|---|"; next }
        $2 != "" { sub(/^  /, "... ", $2); gsub(/10\^6/, "10⁶", $2); gsub(/10\^5/, "10⁵", $2); gsub(/10\^4/, "10⁴", $2)
                   gsub(/10\^3/, "10³", $2); gsub(/10\^2/, "10²", $2)
                   printf "| %s | %s | %s | %s | %s | %s | %s |\n", $2, $3, $4, $5, $6, $7, $8 }' "$tsv"
}

machine() {
    printf '%s, %s processors, Linux %s, load before the run %s; ' \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(uname -r | cut -d. -f1-2)" "$load"
    echo "medians of 9 processes each (3 for 10⁵ and 10⁶ regions of 64 KiB, and for 10⁶ of 4 KiB)."
}

make -C "$build" bench/bench_rcache > /dev/null
load=$(cut -d ' ' -f 1 /proc/loadavg)
"$build/bench/bench_rcache" --tsv > "$tsv"
instructions=$("$here/callgrind.sh" "$build")
{
    machine
    echo
    to_markdown
    echo
    echo "Instructions of a hit, random over so many regions (callgrind):"
    echo
    echo "$instructions" | awk -F '\t' '{ printf "| %s | %s | %s | %s |\n", $1, $2, $3, $4 } NR == 1 { print "|---|---|---|---|" }'
} > "$tables"
awk -v tables="$tables" '
    /^<!-- figures: end/ { skip = 0 }
    !skip { print }
    /^<!-- figures: begin/ { skip = 1; while ((getline line < tables) > 0) { print line } }' \
    "$docs/rcache-cost.md" > "$build/bench/rcache-cost.md"
cp "$build/bench/rcache-cost.md" "$docs/rcache-cost.md"
"$here/plot.sh" "$tsv" "$docs"
