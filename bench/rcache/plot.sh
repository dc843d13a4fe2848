#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# plot.sh TSV FOLDER
# Draws what "bench_rcache --tsv" has written into TSV: FOLDER/rcache-hit.svg (a hit against the number of regions),
# rcache-threads.svg (the same, with one and two threads) and rcache-release.svg (release of unrelated memory).
set -eu
[ $# = 2 ] || { sed -n '3,5s/^# //p' "$0" >&2; exit 2; }
tsv=$1
folder=$2
command -v gnuplot > /dev/null || { echo "plot.sh: gnuplot is missing (Debian package: gnuplot-nox)" >&2; exit 1; }
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

# Points of one measure: regions, opalmem, UCX, libfabric; what is missing is "?" for gnuplot.
points() { # MEASURE
    awk -F '\t' -v measure="$1" '
        { split($1, part, ".") }
        part[1] == measure && part[2] ~ /^(10+|1e[0-9])$/ {
            for (i = 3; i <= 5; i++) { if ($i == "-" || $i == "") { $i = "?" } }
            print part[2] + 0, $3, $4, $5
        }' "$tsv" | sort -g > "$data/$1"
    [ -s "$data/$1" ] || { echo "plot.sh: $tsv has no figures \"$1\"" >&2; return 1; }
}

# Curves: pairs of measure and suffix of its title; opalmem's are drawn thick.
draw() { # FILE TITLE AXIS [MEASURE SUFFIX]...
    local file=$1 title=$2 axis=$3 curves="" column name dash=1
    shift 3
    while [ $# -gt 0 ]; do
        points "$1"
        column=2
        for name in opalmem UCX libfabric; do
            curves+="'$data/$1' using 1:$column with linespoints lc $((column - 1)) dt $dash pt $((dash + 4)) "
            curves+="lw $((column == 2 ? 3 : 2)) title '$name$2', "
            column=$((column + 1))
        done
        dash=$((dash + 1))
        shift 2
    done
    gnuplot << END
set terminal svg size 720,440 font 'sans-serif,13' background 'white'
set output '$folder/$file'
set datafile missing '?'
set title '$title'
set xlabel 'cached regions of 4 KiB'
set ylabel '$axis'
set logscale x
set format x '10^{%L}'
$([ "$file" = rcache-release.svg ] || echo 'set logscale y')
set yrange [$([ "$file" = rcache-release.svg ] && echo 0):]
set key left top
set grid
plot ${curves%, }
END
}

draw rcache-hit.svg 'register + deregister of a cached range, random regions' 'ns' hit ''
draw rcache-threads.svg 'the same, with one and two threads' 'ns a thread' one_random ', one' two_random ', two'
draw rcache-release.svg 'release of unrelated memory: more than without hooks' 'ns' unrelated '' \
    unrelated_two ', another thread hits'
