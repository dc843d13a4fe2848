# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# For the shell tests of opalmem-msg; read with ".". Sets $msg (the program),
# $work (a folder that goes at exit), and counts failures.

top_builddir=${top_builddir:-.}
msg=$top_builddir/opalmem-msg
failures=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

skip()
{
    echo "SKIP: $*"
    exit 77
}

fail()
{
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# End of a test: its exit status.
finish()
{
    if [ "$failures" -ne 0 ]; then
        echo "$failures failed"
        exit 1
    fi
    exit 0
}

# Sets $patterns to those that release memory here. A sanitizer's allocator keeps what is freed; the
# runtime of TSan unmaps by system calls of its own, which no hook in libc sees: then the runs would
# rightly find wrong bytes. The program's own check says whether io_uring is there.
# shellcheck disable=SC2034 # patterns is for those who read this file
require_working_program()
{
    [ -x "$msg" ] || skip "opalmem-msg was not built (liburing is missing)"
    patterns="reuse fresh malloc mmap realloc madvise brk stack mixed"
    libraries=$(LD_LIBRARY_PATH=$top_builddir/.libs ldd "$top_builddir/.libs/opalmem-msg" 2>/dev/null)
    case $libraries in
        *libtsan* | *libclang_rt.tsan*) skip "built with TSan, which replaces mmap and munmap" ;;
        *libasan* | *libclang_rt.asan*) patterns="reuse fresh mmap madvise brk stack mixed" ;;
    esac
    "$msg" --messages 2 --size 4K >"$work/probe" 2>&1 && return 0
    if grep -q 'io_uring is not usable' "$work/probe"; then
        skip "$(cat "$work/probe")"
    fi
    cat "$work/probe"
    echo "FAIL: a run of two messages fails"
    exit 1
}

# value FILE MODE KEY: a number from the JSON file, of the column of that cache mode.
value()
{
    awk -v mode="\"$2\"," -v key="\"$3\":" '
        $1 == "\"cache\":" { here = $2 == mode }
        here && $1 == key { sub(/,$/, "", $2); print $2 }' "$1"
}

# sum_of_causes FILE MODE: all invalidations.
sum_of_causes()
{
    awk -v mode="\"$2\"," '
        $1 == "\"cache\":" { here = $2 == mode }
        here && $1 == "\"invalidations\":" { gsub(/[^0-9 ]/, ""); for (i = 1; i <= NF; i++) sum += $i }
        END { print sum + 0 }' "$1"
}

# expect_status WANTED COMMAND...: run it; stdout and stderr go to $work/out and $work/err.
expect_status()
{
    wanted=$1
    shift
    "$@" >"$work/out" 2>"$work/err"
    status=$?
    if [ "$status" -ne "$wanted" ]; then
        fail "status $status instead of $wanted: $*"
        cat "$work/out" "$work/err"
    fi
}

# expect_message PATTERN: exactly one line on stderr, which matches.
expect_message()
{
    lines=$(wc -l <"$work/err")
    if [ "$lines" -ne 1 ] || ! grep -q -E -e "$1" "$work/err"; then
        fail "expected one message that matches \"$1\", got $lines lines:"
        cat "$work/err"
    fi
}

# children PID: process ids of its children, zombies left out.
children()
{
    for stat in /proc/[0-9]*/stat; do
        # The name may contain blanks and parentheses; what follows the last one does not.
        sed -n 's/^\([0-9]*\) (.*) \([A-Za-z]\) \([0-9]*\) .*/\1 \2 \3/p' "$stat" 2>/dev/null
    done | awk -v parent="$1" '$3 == parent && $2 != "Z" { print $1 }'
}

# is_gone PID: no such process, or a zombie that nobody has waited for yet.
is_gone()
{
    ! grep -q '^State:' "/proc/$1/status" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

# wait_for SECONDS COMMAND...: until it succeeds. False: it did not.
wait_for()
{
    tries=$(($1 * 20))
    shift
    while [ "$tries" -gt 0 ]; do
        "$@" && return 0
        sleep 0.05
        tries=$((tries - 1))
    done
    return 1
}
