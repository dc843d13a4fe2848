#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# bench_run.sh [ROUNDS]: python3 reads 1 GiB from the page cache, plainly and under
# opalmem-run, with buffers of 1 MiB and of 64 MiB. The runs alternate; a figure is
# the median, in GB/s, of the time that the loop takes within python3. The goal is a
# ratio of at least 0.95. Wants a quiet machine, 1 GiB of memory for the page cache,
# and as much room where $TMPDIR points to.
set -eu
rounds=${1:-11}
run=${top_builddir:-.}/opalmem-run
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(python3 -c 'import sys; print(sys.executable)') # Not a script that finds it.

cat > "$work/read.py" << 'EOT'
import sys, time
size = int(sys.argv[2])
total = 0
with open(sys.argv[1], 'rb', buffering=0) as file:
    begin = time.perf_counter()
    while True:
        block = file.read(size)
        if not block:
            break
        total += len(block)
    print(time.perf_counter() - begin)
assert total == 1 << 30
EOT
cat > "$work/median.py" << 'EOT'
import statistics, sys
plain, cached = ([float(line) for line in open(sys.argv[1] + name)] for name in ('plain', 'cached'))
ratios = [p / c for p, c in zip(plain, cached)]
print('%4d MiB: plain %.2f GB/s, opalmem-run %.2f GB/s, ratio of medians %.3f, median of ratios %.3f (%.3f to %.3f)' % (
    int(sys.argv[2]) >> 20, 2**30 / statistics.median(plain) / 1e9, 2**30 / statistics.median(cached) / 1e9,
    statistics.median(plain) / statistics.median(cached), statistics.median(ratios), min(ratios), max(ratios)))
EOT

head -c 1073741824 /dev/urandom > "$work/file"
for size in 1048576 67108864; do
    "$python" "$work/read.py" "$work/file" "$size" > /dev/null
    : > "$work/plain"
    : > "$work/cached"
    for _ in $(seq "$rounds"); do
        "$python" "$work/read.py" "$work/file" "$size" >> "$work/plain"
        "$run" --json "$work/json" -- "$python" "$work/read.py" "$work/file" "$size" >> "$work/cached" 2> "$work/err"
    done
    "$python" "$work/median.py" "$work/" "$size"
    grep -E '"(cached|hits|misses|invalidations)": [0-9]+,?$' "$work/json" | tail -4 | tr -s ' \n' ' '
    echo
done
