# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# suite_tools.sh: suites that are no programs of Check, for suites.sh, inside the
# guest; read with ".": opalmem-coverage, opalmem-run on programs of others, RDMA.

# coverage COMPONENT: what the component promises must hold, row by row, and much must be
# promised. Each release that was noticed, before or after, is a test.
coverage() {
    local status=0 noticed
    timeout -k 5 120 "$(real_program ./opalmem-coverage)" --tsv --mca memory "$1" > "$scratch/coverage" 2> "$output" || status=$?
    noticed=$(awk -F '\t' '$3 == "release" && ($5 == "caught" || $5 == "late") { n++ } END { print n + 0 }' "$scratch/coverage")
    if [ $status = 0 ] && [ "$noticed" -gt 40 ]; then
        passed=$((passed + noticed))
        say "opalmem-coverage, $1: $noticed releases noticed, not:" \
            "$(awk -F '\t' '$3 == "release" && ($5 == "missed" || $5 == "partial") { printf "%s ", $1 }' "$scratch/coverage")"
    else
        fail "opalmem-coverage --mca memory $1: status $status, $noticed releases noticed"
        show < "$output"
        grep -v 'caught\|quiet\|late' "$scratch/coverage" | show
    fi
}

# ---- Programs of others, whose every hit is compared by page frames ----

program_cached() { # COMPONENT PROGRAM...: in $scratch/cached
    local component=$1 status=0
    shift
    (cd "$scratch"/cached && "$(real_program "$build/opalmem-run")" --verify --json "$scratch"/report --mca memory "$component" -- "$@") \
        > "$scratch"/cached.out 2> "$output" || status=$?
    return $status
}

figure() { # NAME
    sed -n "s/^ *\"$1\": \\([0-9]*\\),\\{0,1\\}\$/\\1/p" "$scratch"/report | tail -n 1
}

program() { # COMPONENT PROGRAM...
    local component=$1 status=0 plain=0
    shift
    command -v "$1" > /dev/null || { leave_out "$1 is not installed"; return; }
    rm -rf "$scratch"/plain "$scratch"/cached
    cp -rp "$scratch"/begin "$scratch"/plain
    cp -rp "$scratch"/begin "$scratch"/cached
    (cd "$scratch"/plain && "$@") > "$scratch"/plain.out 2>&1 || plain=$?
    program_cached "$component" "$@" || status=$?
    if [ $status != $plain ] || ! diff -r "$scratch"/plain "$scratch"/cached > /dev/null || ! cmp -s "$scratch"/plain.out "$scratch"/cached.out; then
        fail "opalmem-run, $component, $1: status $status, or results other than plainly ($plain)"
        show < "$output"
    elif [ "$(figure wrong)" != 0 ] || [ "$(figure not_verified)" != 0 ] || [ "$(figure hits)" -lt 1 ]; then
        fail "opalmem-run, $component, $1: $(figure wrong) wrong hits, $(figure not_verified) not verified, of $(figure hits)"
    else
        pass
        say "opalmem-run, $component, ${1##*/}: $(figure cached) cached, $(figure hits) hits verified, $(figure invalidations) invalidations"
    fi
}

# Buffers that come and go with malloc's threshold, reused addresses among them.
python_program='import hashlib, mmap
total = hashlib.sha256()
with open("data", "rb", buffering=0) as file, open("copy", "wb", buffering=0) as out:
    for size in [65536, 262144, 1 << 20] * 6:
        block = file.read(size)
        if not block:
            file.seek(0)
            continue
        total.update(block)
        out.write(block)
        del block
        memory = mmap.mmap(-1, 1 << 20)
        file.readinto(memory)
        total.update(memory)
        out.write(memory)
        memory.close()
print(total.hexdigest())'

programs() { # COMPONENT
    mkdir -p "$scratch"/begin
    seq 1 200000 > "$scratch"/begin/data
    program "$1" dd if=data of=copy bs=128K status=none
    program "$1" gzip -n -1 -k data
    program "$1" tar --sort=name -b 512 -cf packed.tar data
    program "$1" "$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null || echo python3)" -B -c "$python_program"
}

# ---- Others ----

verbs() {
    local status=0
    [ -x test/vm/rdma_scene ] || { leave_out "verbs: this build is without libibverbs (Debian package: libibverbs-dev)"; return; }
    bash "$build/vm/scripts/rdma.sh" "$build" > "$output" 2>&1 || status=$?
    grep '^check-vm' "$output"
    # The scene says right or wrong by its status: with hooks, and without.
    [ $status != 0 ] || passed=$((passed + 2))
    count_program "the provider verbs and the scene on soft-RoCE" $status
}

# Write-protection that stops nobody (UFFD_FEATURE_WP_ASYNC) and PAGEMAP_SCAN came with Linux 6.7.
userfaultfd() {
    leave_out "userfaultfd: Linux $(uname -r) is older than 6.7; its suite and the coverage under it run on the host's kernel, in make check"
}
