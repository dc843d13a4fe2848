#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# suites.sh BUILDDIR SOURCEDIR [SUITE...]: what check-vm.sh runs inside the guest, as
# its root: the suites of the table below, or those that are named. The last line
# counts tests. Exit status: 0 if none has failed.
# Three lanes: the suites of a driver come one after the other in its lane, those without one
# in the third, and then in whichever has time. (Two processors; but some tests wait for the kernel.)
set -u
# NAME DRIVER COMPONENT WHAT...: the driver that is loaded; the component that tests get
# which do not choose one themselves ("-": the library chooses); programs of Check, or
# =FUNCTION.
table() {
    cat << 'TABLE'
kdreg2-driver             kdreg2     -                test/kernel/test_kdreg2_*
kdreg                     kdreg2     -                test/kdreg/test_kdreg*
rcache-kdreg              kdreg2     kdreg            test/rcache/test_*
coverage-kdreg            kdreg2     kdreg            =coverage
programs-kdreg            kdreg2     kdreg            =programs
rcache-linux              -          linux            test/rcache/test_[!r-z]*
rcache-linux-2            -          linux            test/rcache/test_[r-z]*
coverage-linux            -          linux            =coverage
coverage-linux-kdreg      kdreg2     linux+kdreg      =coverage
ummunotify-driver         ummunotify -                test/kernel/test_ummunotify_*
ummunotify                ummunotify -                test/ummunotify/test_ummunotify*
rcache-ummunotify         ummunotify ummunotify       test/rcache/test_*
coverage-ummunotify       ummunotify ummunotify       =coverage
coverage-linux-ummunotify ummunotify linux+ummunotify =coverage
verbs                     -          linux            =verbs
userfaultfd               -          -                =userfaultfd
TABLE
}

build=${1:?usage: suites.sh BUILDDIR SOURCEDIR [SUITE...]}
source=${2:?usage: suites.sh BUILDDIR SOURCEDIR [SUITE...]}
shift 2
cd "$build" || exit 1
counts=/run/check-vm # Of each lane.
scratch='' suite='' suite_driver=-

load() { # DRIVER, or -
    [ "$1" != - ] || return 0
    insmod "vm/kernel/$1.ko" && [ -c "/dev/$1" ] && return 0
    fail "the driver $1 cannot be loaded"
    dmesg | tail -n 20 | show
}

# Nobody may be left who uses it, nor memory of a mapping.
unload() { # DRIVER, or -
    local left
    [ "$1" != - ] || return 0
    left=$(grep -c "\\[$1\\]" /proc/vmallocinfo)
    if [ "$left" = 0 ] && rmmod "$1"; then pass; else fail "the driver $1 does not unload ($left mappings left)"; fi
}

# Devices of a suite's own driver only: those of other lanes come and go.
component_environment() { # COMPONENT
    unset OPALMEM_MCA_memory OPALMEM_TEST_MEMORY
    [ "$1" = - ] || export OPALMEM_MCA_memory="$1" OPALMEM_TEST_MEMORY="$1"
    # As many as the largest test registers: growing ends all registrations, by the driver's rules.
    unset OPALMEM_MCA_memory_kdreg_max_regions
    case +$1+ in *+kdreg+*) export OPALMEM_MCA_memory_kdreg_max_regions=32768 ;; esac
    unset OPALMEM_TEST_KDREG_DEVICE OPALMEM_TEST_UMMUNOTIFY_DEVICE
    export OPALMEM_MCA_memory_kdreg_device=/nonexistent/kdreg2 OPALMEM_MCA_memory_ummunotify_device=/nonexistent/ummunotify
    case $suite_driver in
        kdreg2)
            unset OPALMEM_MCA_memory_kdreg_device
            export OPALMEM_TEST_KDREG_DEVICE=/dev/kdreg2
            ;;
        ummunotify)
            unset OPALMEM_MCA_memory_ummunotify_device
            export OPALMEM_TEST_UMMUNOTIFY_DEVICE=/dev/ummunotify
            ;;
    esac
}

suites=0
run_suite() { # NAME DRIVER COMPONENT WHAT...
    suites=$((suites + 1))
    local name=$1 driver=$2 component=$3 began=$SECONDS before
    suite=$1
    suite_driver=$2
    shift 3
    load "$driver"
    before=$((passed + left_out + failed))
    component_environment "$component"
    case $1 in
        =*) "${1#=}" "$component" ;;
        *) run_programs "$@" ;;
    esac
    [ $((passed + left_out + failed)) != $before ] || fail "$name: no test has run: is $* built?"
    unload "$driver"
    expect_quiet_kernel "$name"
    say "$name: $((passed + left_out + failed - before)) tests, $((SECONDS - began)) s"
}

wanted() { # NAME WANTED...
    local name=$1
    shift
    [ $# = 0 ] && return 0
    for one in "$@"; do [ "$one" != "$name" ] || return 0; done
    return 1
}

export OPALMEM_MCA_mca_base_param_files=none OPALMEM_MCA_mca_base_component_path="$build/.libs"
export LD_LIBRARY_PATH="$build/.libs" top_builddir="$build" top_srcdir="$source" CK_DEFAULT_TIMEOUT=60
# Emulated: a part of the rounds, and as little of the time.
export OPALMEM_TEST_PERCENT=2 OPALMEM_TEST_SECONDS=1

# The table on a descriptor of its own: programs read nothing.
each_suite() { # DRIVER [SUITE...]
    local mine=$1 name driver component what
    shift
    while read -r name driver component what <&3; do
        [ "$driver" = "$mine" ] || continue
        wanted "$name" "$@" || continue
        # Whoever comes first has it.
        mkdir "$counts/taken.$name" 2> /dev/null || continue
        # shellcheck disable=SC2086 # a list of patterns
        run_suite "$name" "$driver" "$component" $what
    done 3< <(table)
}

lane() { # DRIVER [SUITE...]
    local mine=$1
    shift
    scratch=/tmp/lane.$mine
    mkdir "$scratch"
    # shellcheck source=test/vm/suite_common.sh
    . "$build/vm/scripts/suite_common.sh"
    # shellcheck source=test/vm/suite_tools.sh
    . "$build/vm/scripts/suite_tools.sh"
    each_suite "$mine" "$@"
    each_suite - "$@"
    echo "$suites $passed $failed $left_out" > "$counts/lane.$mine"
}

problem() {
    failed=$((failed + 1))
    echo "check-vm: FAIL: $*"
}

echo "check-vm: kernel $(uname -r)"
dmesg -C
mkdir "$counts"
for lane in kdreg2 ummunotify -; do
    lane "$lane" "$@" &
done
wait
lanes=$(cat "$counts"/lane.* | wc -l)
read -r suites passed failed left_out < <(cat "$counts"/lane.* |
    awk '{ a += $1; b += $2; c += $3; d += $4 } END { print a + 0, b + 0, c + 0, d + 0 }')
[ "$lanes" = 3 ] || problem "$lanes of 3 lanes have come to their end"
expected=0
while read -r name _; do ! wanted "$name" "$@" || expected=$((expected + 1)); done < <(table)
if [ "$suites" != $expected ] || [ $expected = 0 ]; then problem "$suites suites have run, of $expected"; fi
for name in "$@"; do
    table | grep -q "^$name " || problem "there is no suite $name"
done
echo "check-vm: $passed passed, $failed failed, $left_out left out"
[ "$failed" = 0 ]
