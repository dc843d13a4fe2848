#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-coverage: monitors from elsewhere; each verdict by one that behaves so, and what a broken promise does.
set -u
# shellcheck source=test/coverage/coverage_common.sh
. "${top_srcdir:-.}/test/coverage/coverage_common.sh"
fake=$top_builddir/test/coverage/.libs/fake_monitor.so
[ -e "$fake" ] || skip "no shared objects were built (--disable-shared)"

# gives STATUS VERDICT MODE ROW RANGE
gives() {
    run "$1" --tsv --monitor "$fake:$3" --row "$4"
    [ "$(verdict "$4" "$5")" = "$2" ] || fail "$what: $(verdict "$4" "$5"), not $2"
}

each_verdict_is_given() {
    gives 0 late whole munmap all
    gives 0 late everything munmap all
    gives 0 late pieces munmap all
    gives 0 false whole munmap-einval all
    gives 0 false everything munmap-einval all
    gives 0 quiet beside munmap-einval all
    gives 0 missed unclaimed munmap all
    gives 0 'not possible' cannot-watch munmap all
    gives 0 quiet unclaimed fork-parent-cow all
    gives 0 late whole fork-parent-cow all
    gives 0 late whole munmap-unaligned-len 'both pages'
}

broken_promises_are_told() {
    gives 1 missed '' munmap all
    gives 1 missed beside munmap all
    gives 1 partial half munmap all
    gives 1 partial ragged munmap all
    gives 1 late early munmap all
    # Mechanisms promise each by itself; that they promise together what none does, is no promise.
    gives 0 late sum munmap all
    gives 1 late early-sum munmap all
    gives 0 missed halves munmap all
    gives 1 failed crash munmap all
    run 1 --monitor "$fake:half" --row munmap
    has '^munmap .* partial 50 % ! *$'
    has "^$fake:half, munmap (all): promised, but partial\$"
    # An event that is due to nobody breaks no promise.
    run 0 --monitor "$fake:whole" --row munmap-einval
    has 'controls: 1 of 1 false$'
}

monitors_that_cannot_run_say_why() {
    run 0 --monitor "$fake:refuse" --row munmap
    has ":refuse: not possible here: it does not want to\$"
    run 0 --monitor "$fake:refuse" --row munmap --tsv
    has '^munmap	all	release	reference	not possible	-$'
    run 0 --monitor "$fake:crash-at-start" --row munmap
    has 'not possible here: it crashes when it starts'
    run 0 --monitor "$top_builddir/test/coverage/.libs/old_monitor.so" --row munmap
    has 'not possible here: .*is for version 0 of the interface, not 2$'
    echo "no shared object" > "$work/broken.so"
    run 0 --monitor "$work/broken.so" --row munmap
    has 'not possible here: .*broken.so'
    run 0 --monitor "$top_builddir/.libs/coverage_helper.so" --row munmap
    has 'not possible here: .*has no coverage_monitor$'
    (cd "$top_builddir/test/coverage/.libs" && "$top_builddir/opalmem-coverage" --monitor fake_monitor.so:whole --row munmap) \
        > "$work/out" 2> "$work/err" || fail "a file in this folder: $(cat "$work/err")"
    has '^fake_monitor.so:whole: 1.2.3'
}

# A monitor that crashes takes nothing else with it.
columns_stand_beside_each_other() {
    run 1 --tsv --monitor none --monitor "$fake:crash" --monitor "$fake:whole" --row munmap --row munmap-einval
    has '^munmap	all	release	reference	missed	[a-z]*	failed	[a-z]*	late	[a-z]*$'
    has '^munmap-einval	all	control	reference	quiet	[a-z]*	failed	[a-z]*	false	[a-z]*$'
}

# Those that come with the program: whether their library is here or not, the column says.
own_monitors_run_or_say_why_not() {
    for monitor in ucx:bistro ucx:reloc openmpi; do
        run 0 --monitor "$monitor" --row munmap --row munmap-other
        if grep "^$monitor: not possible here: ." "$work/out"; then
            continue
        fi
        has '^munmap  *all  *release  *caught *$'
        has '^munmap-other  *all  *control  *quiet *$'
    done
    run 0 --monitor ucx:nosuch --row munmap
    has '^ucx:nosuch: not possible here: its modes are bistro and reloc$'
}

each_verdict_is_given
broken_promises_are_told
monitors_that_cannot_run_say_why
columns_stand_beside_each_other
case ${TEST_CFLAGS:-} in
    *-fsanitize*) echo "built with a sanitizer: libraries that patch code are not tried" ;;
    *) own_monitors_run_or_say_why_not ;;
esac
finish
