#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154,SC2086,SC2317 # the upper Makefile sets top_builddir and top_srcdir; lists of options; `run` calls
# From a release callback back to main(), through the library, the replaced code and libc: for glibc's backtrace(), for
# gdb at each instruction of a hooked call, for perf, and for unwinding (exceptions, the end of a thread). Programs
# with frame pointers and without, libopalmem shared and static. The twins: with noop there is no callback, and
# without unwind information gdb loses the callers. What is not installed is named.
set -eu
. "$top_srcdir/test/linux/linux_common.sh"
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "$OPALMEM_TEST_EMULATOR: gdb and perf know programs of this machine"
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer, which has functions of its own in between"
sources=$top_srcdir/test/linux
flags="-D_GNU_SOURCE -g -Wall -Wextra -Werror -pthread -rdynamic -I$top_builddir/include -I$top_srcdir/include"
fault() { echo "FAIL: $*"; tail -n 20 "$work/out"; rc=1; }
# run COMPONENT COMMAND...: its output in $work/out, its exit status in $status.
run() {
    component=$1 status=0
    shift
    OPALMEM_MCA_memory=$component "$@" > "$work/out" 2>&1 || status=$?
}

programs=
# build NAME FLAGS LIBRARIES...
build() {
    name=$1 options=$2
    shift 2
    ${CC:-cc} $flags $options -o "$work/$name" "$sources/backtrace_program.c" "$@" -ldl
    programs="$programs $name"
}
build shared_frames "-O0 -fno-omit-frame-pointer" "$libs/libopalmem.so"
build shared_none "-O2 -fomit-frame-pointer" "$libs/libopalmem.so"
if [ "$(uname -m)" = x86_64 ]; then
    build inline_none "-O2 -fomit-frame-pointer -DBACKTRACE_INLINE" "$libs/libopalmem.so"
fi
if [ -e "$libs/libopalmem.a" ]; then # Not in every build.
    dependencies=$(sed -n "s/^dependency_libs='\(.*\)'/\1/p" "$top_builddir/libopalmem.la")
    build static_frames "-O0 -fno-omit-frame-pointer" "$libs/libopalmem.a" $dependencies
    build static_none "-O2 -fomit-frame-pointer" "$libs/libopalmem.a" $dependencies
else
    echo "no libopalmem.a: the statically linked cases are left out"
fi
run linux "$work/shared_frames"
[ $status != 2 ] || skip "the component linux cannot run here: $(cat "$work/out")"

# ---- backtrace() ----
for program in $programs; do
    run linux "$work/$program"
    [ $status = 0 ] || fault "$program: backtrace() lacks a caller"
    run noop "$work/$program"
    [ $status = 1 ] || fault "$program with noop: exit status $status, not 1"
done

# ---- gdb ----
debug() { gdb -nx -batch -iex 'set debuginfod enabled off' -iex 'set startup-with-shell off' "$@"; }
# In the callback: everybody is there. Then out of give_back(), as `finish` does it.
debug_callback() {
    run linux debug -ex 'break on_release' -ex run -ex bt -ex 'frame function give_back' -ex finish -ex 'bt -1' "$work/$1"
    frames=$(sed -n 's/^#[0-9]* *\(0x[0-9a-f]* in \)\{0,1\}\([A-Za-z0-9_]*\) .*/\2/p' "$work/out" | tr '\n' ' ')
    case "$1 $frames" in
        *" on_release "*"munmap give_back in_between main "* | "inline"*" on_release "*" give_back in_between main "*) ;;
        *) fault "$1: gdb's backtrace: $frames" ;;
    esac
    grep -q '^Value returned is .* = 0$' "$work/out" || fault "$1: gdb does not finish give_back()"
}
# Three kinds of places: code with a name, where all callers must be there; stubs, six instructions without unwind
# information; and no more.
debug_steps() {
    run linux debug -x "$sources/backtrace_steps.py" "$work/$1"
    result=$(sed -n 's/^steps \([0-9]*\) broken \([0-9]*\) stubs \([0-9]*\)$/\1 \2 \3/p' "$work/out")
    read -r steps broken stubs << END
$result
END
    echo "$1: $steps instructions, callers missing at $broken, and at $stubs in a stub"
    if [ "${broken:-1}" != 0 ] || [ "$stubs" -gt 6 ] || [ "$steps" -lt 100 ]; then fault "$1: gdb loses callers"; fi
}
if gdb -nx -batch -ex 'python print(6 * 7)' 2> /dev/null | grep -qx 42; then
    for program in $programs; do
        debug_callback "$program"
        debug_steps "$program"
    done
    run noop debug -ex 'break on_release' -ex run -ex bt "$work/shared_frames"
    if grep -q '^#' "$work/out"; then fault "twin with noop: gdb stops in the callback"; fi
    if command -v objcopy > /dev/null; then
        mkdir "$work/bare"
        objcopy --strip-all -R .eh_frame -R .eh_frame_hdr "$libs/libopalmem.so" "$work/bare/libopalmem.so.0"
        run linux env LD_LIBRARY_PATH="$work/bare:$LD_LIBRARY_PATH" gdb -nx -batch -x "$sources/backtrace_steps.py" "$work/shared_none"
        if grep -q 'broken 0 stubs [0-6]$' "$work/out"; then fault "twin without unwind information: no caller is missing"; fi
    fi
else
    echo "missing: gdb with Python (Debian package: gdb)"
fi

# ---- perf ----
profile() { perf record -q -e cpu-clock -F 5000 --call-graph dwarf,4096 -o "$work/perf.data" "$@"; }
# samples INLINE: of those taken in the callback, how many name all callers: "all of them / those that do".
samples() {
    perf script -i "$work/perf.data" -F ip,sym 2> /dev/null | awk -v inline="$1" 'BEGIN { RS = "" }
        /on_release/ { n++ } /on_release/ && (/munmap/ || inline) && /give_back/ && /in_between/ && /main/ { found++ }
        END { print n + 0, found + 0 }'
}
if command -v perf > /dev/null && profile true > "$work/out" 2>&1; then
    for program in $programs; do
        run linux profile "$work/$program" 5000
        read -r n found << END
$(samples "$(expr "$program" : inline)")
END
        echo "$program: perf took $n samples in the callback, $found with all callers"
        # The kernel may cut a sample short; never many.
        if [ "$n" -lt 10 ] || [ $((found * 100)) -lt $((n * 98)) ]; then fault "$program: perf loses callers"; fi
    done
    run noop profile "$work/shared_none" 5000
    [ "$(samples 0)" = "0 0" ] || fault "twin with noop: perf sees a callback"
else
    echo "missing: perf (Debian package: linux-perf), or events of the kernel for it: $(head -n 1 "$work/out")"
fi

# ---- Unwinding ----
if command -v c++ > /dev/null; then
    c++ $flags -O1 -o "$work/unwind" "$sources/unwind_program.cc" "$libs/libopalmem.so"
    for scene in exception exit cancel cancel_at_once alloc file; do
        run linux "$work/unwind" $scene
        [ $status = 0 ] || fault "unwinding, $scene: exit status $status"
        run noop timeout 2 "$work/unwind" $scene # Waits for ever for the callback, or says that there was none.
        case $status in 3 | 124) ;; *) fault "unwinding, $scene, twin: exit status $status" ;; esac
    done
else
    echo "missing: c++ (Debian package: g++)"
fi
exit $rc
