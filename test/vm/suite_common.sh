# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# suite_common.sh: for suites.sh, inside the guest; read with ".". Runs programs,
# counts what they say of themselves, and looks after each suite whether the kernel has
# complained. Nothing that ran no test counts as passed. $scratch is a folder that no other
# lane uses.

passed=0 failed=0 left_out=0
output=$scratch/output

say() { echo "check-vm: $*"; }

# Of several lines, which those of another lane may come between.
show() { sed "s/^/$suite| /"; }

fail() {
    failed=$((failed + 1))
    say "FAIL: $*"
}

# leave_out REASON
leave_out() {
    left_out=$((left_out + 1))
    say "left out: $*"
}

# One test that is no program of Check's.
pass() { passed=$((passed + 1)); }

# Sums over the lines of Check: "checks bad".
check_figures() {
    sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' "$output" |
        awk '{ checks += $1; bad += $2 + $3 } END { print checks + 0, bad + 0 }'
}

# What the output of a program that ended with STATUS amounts to.
count_program() { # NAME STATUS
    local checks bad skipped first
    read -r checks bad < <(check_figures)
    skipped=$(grep -c '^LEFT OUT' "$output")
    first=$(grep -m 1 '^LEFT OUT' "$output")
    passed=$((passed + checks - bad))
    left_out=$((left_out + skipped))
    if [ "$skipped" != 0 ]; then
        say "left out: $1: $skipped, the first: ${first#LEFT OUT }"
    fi
    if [ "$bad" != 0 ] || { [ "$2" != 0 ] && [ "$2" != 77 ]; }; then
        failed=$((failed + (bad > 0 ? bad : 1)))
        say "FAIL: $1 (status $2):"
        tail -n 40 "$output" | show
    elif [ "$2" = 77 ] && [ "$skipped" != 0 ]; then
        true # Said above, scene by scene.
    elif [ "$2" = 77 ] && [ "$suite_driver" != - ]; then
        fail "$1 cannot run, though its suite has a driver: $(sed -n 's/^SKIP: //p' "$output" | head -n 1)"
    elif [ "$2" = 77 ]; then
        leave_out "$1: $(sed -n 's/^SKIP: //p' "$output" | head -n 1)"
    elif [ "$checks" = 0 ]; then
        fail "$1: no test has run"
    fi
}

# The program itself, not libtool's script, whose commands take a second to be emulated.
real_program() { # PATH
    local real=${1%/*}/.libs/${1##*/} first
    IFS= read -rn 2 first < "$1" || :
    if [ "$first" = '#!' ] && [ -x "$real" ]; then echo "$real"; else echo "$1"; fi
}

# run_program PATH: a program of Check, with the environment as it is.
run_program() {
    local status=0 began=$SECONDS
    timeout -k 5 "${program_seconds:-120}" "$(real_program "$1")" > "$output" 2>&1 < /dev/null || status=$?
    count_program "$1" $status
    [ $((SECONDS - began)) -lt 10 ] || say "$1 took $((SECONDS - began)) s"
}

# Files that the compiler and make have left beside the programs are none.
programs_of() { # PATTERN...
    local path
    for path in "$@"; do
        if [ -f "$path" ] && [ -x "$path" ] && [[ ${path##*/} != *.* ]]; then echo "$path"; fi
    done
}

run_programs() { # PATTERN...
    local path
    for path in $(programs_of "$@"); do run_program "$path"; done
}

# ---- The kernel ----

# What a kernel says when something is wrong with it, lists, slab objects and locks among it.
complaints='WARNING:|BUG|[Oo]ops|Call Trace|general protection|refcount_t|list_(add|del) corruption|blocked for more than|lockup|stall|UBSAN|INFO: task'
# Tainted by a bad page, an oops, a warning, a soft lockup. Modules of one's own taint, too.
complaint_taints=$((1 << 5 | 1 << 7 | 1 << 9 | 1 << 14))

# expect_quiet_kernel SUITE: nothing in the log since the last time, whichever lane it is of.
expect_quiet_kernel() {
    local taints
    # Read and cleared at once (-S), so that nothing is lost that another lane causes meanwhile.
    dmesg -S -c > "$output" || fail "$1: the kernel's log cannot be read"
    taints=$(($(cat /proc/sys/kernel/tainted) & complaint_taints))
    if grep -qE "$complaints" "$output" || { [ $taints != 0 ] && mkdir "$counts/taints.$taints" 2> /dev/null; }; then
        fail "$1: the kernel complains (tainted $taints):"
        tail -n 60 "$output" | show
    else
        pass
    fi
}
