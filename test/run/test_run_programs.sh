#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: programs that nobody here wrote, each plainly and under opalmem-run with
# the threshold of docs/opalmem-run.md: the same output, files and status. A
# program counts as shown only if its report holds cached operations and hits; at
# least three must show invalidations of cached buffers. What is not installed is
# named and left out.
set -u
# shellcheck source=test/run/run_common.sh
. "${top_srcdir:-.}/test/run/run_common.sh"
require_run

shown=0
with_invalidations=0

# has PROGRAM
has() {
    command -v "$1" > /dev/null && return 0
    echo "LEFT OUT: $1 is not installed"
    return 1
}

# same NAME THRESHOLD COMMAND...: run in two folders that begin alike; all that it writes is compared.
same() {
    name=$1 threshold=$2
    shift 2
    rm -rf "$work/plain" "$work/cached"
    cp -a "$work/begin" "$work/plain"
    cp -a "$work/begin" "$work/cached"
    (cd "$work/plain" && "$@" > stdout 2> stderr)
    plain_status=$?
    (cd "$work/cached" && "$run" --threshold "$threshold" --json "$work/json" -- sh -c 'exec "$@" 2> stderr' sh "$@" > stdout 2> "$work/err")
    status=$?
    what="$name, threshold $threshold"
    [ $status = $plain_status ] || fail "$what: status $status, plainly $plain_status"
    diff -r "$work/plain" "$work/cached" > "$work/diff" 2>&1 || fail "$what: other results than plainly: $(head -n 5 "$work/diff")"
    at_least cached 1
    at_least hits 1
    shown=$((shown + 1))
    [ "$(figure invalidations)" = 0 ] || with_invalidations=$((with_invalidations + 1))
    echo "$what: $(figure cached) cached, $(figure hits) hits, $(figure invalidations) invalidations"
}

# Text that compresses, and differs from block to block. 5 MB and 80 MB.
mkdir "$work/begin"
seq 1 760000 > "$work/begin/data"
for _ in $(seq 15); do cat "$work/begin/data"; done > "$work/large"

python() {
    # Without compiled modules being written, and not by way of a script that looks for python3.
    real=$(python3 -c 'import sys; print(sys.executable)')
    # shellcheck disable=SC2016
    same python3 64K "$real" -B -c 'import hashlib, sys
total = hashlib.sha256()
with open(sys.argv[1], "rb", buffering=0) as file:
    while True:
        block = file.read(33 << 20)
        if not block:
            break
        total.update(block)
with open("copy", "wb", buffering=0) as out, open("data", "rb", buffering=0) as file:
    while out.write(file.read(1 << 20)):
        pass
print(total.hexdigest())' "$work/large"
}

perl_reads() {
    # shellcheck disable=SC2016
    same perl 64K perl -e 'my $sum = 0;
        open(my $file, "<", $ARGV[0]) or die;
        for (my $more = 1; $more;) {
            my $block;
            $more = sysread($file, $block, 33 << 20);
            $sum = ($sum * 31 + unpack("%32C*", $block)) % 1000003 if $more;
            undef $block;
        }
        open(my $small, "<", "data") or die;
        my $block;
        $sum = ($sum * 31 + unpack("%32C*", $block)) % 1000003 while sysread($small, $block, 1 << 20);
        print "$sum\n"' "$work/large"
}

tar_packs() {
    same tar 64K tar --sort=name -b 512 -cf packed.tar data
}

gzip_packs() {
    same gzip 32K gzip -n -k data
}

gcc_compiles() {
    for i in 0 1 2 3 4 5 6 7; do
        seq 1 9000 | sed "s/.*/int function_${i}_&(int x);/" > "$work/begin/header$i.h"
        echo "#include \"header$i.h\""
    done > "$work/begin/main.c"
    echo 'int main(void) { return 0; }' >> "$work/begin/main.c"
    same gcc 64K gcc -O1 -c main.c -o main.o
    rm -f "$work/begin"/header* "$work/begin/main.c"
}

# The index holds times: only the object is kept of what is written.
git_adds() {
    same git 4K sh -c 'git init -q . && git -c core.fsync=none add data && rm -rf .git/index .git/hooks && git fsck --full'
}

sqlite_queries() {
    same sqlite3 64K env GLIBC_TUNABLES=glibc.malloc.mmap_threshold=65536 sqlite3 base 'PRAGMA page_size=65536;
        CREATE TABLE t(a, b);
        WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400) INSERT INTO t SELECT x, hex(zeroblob(10000)) FROM c;
        DELETE FROM t WHERE a % 3 = 0;
        SELECT count(*), sum(a), sum(length(b)) FROM t;
        PRAGMA integrity_check;'
}

dd_copies() {
    same dd 64K dd if=data of=copy bs=256K status=none
}

! has python3 || python
! has perl || perl_reads
! has tar || tar_packs
! has gzip || gzip_packs
! has gcc || gcc_compiles
! has git || git_adds
! has sqlite3 || sqlite_queries
! has dd || dd_copies
[ $shown != 0 ] || skip "none of python3, perl, tar, gzip, gcc, git, sqlite3 and dd is installed"
[ $shown -lt 8 ] || [ $with_invalidations -ge 3 ] || fail "only $with_invalidations of $shown programs show invalidations"
finish
