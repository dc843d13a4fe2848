#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: the report is there however the program ends, the status is the
# program's, and signals reach it.
set -u
# shellcheck source=test/run/run_common.sh
. "${top_srcdir:-.}/test/run/run_common.sh"
require_run

# end SCENE STATUS: 128 + N for signal N. The figures of what was done before the end are complete.
end() {
    "$scenes" "$1" "$work/file" > "$work/plain" 2> /dev/null
    [ $? = "$2" ] || fail "$1: another status plainly"
    report -- "$scenes" "$1" "$work/file"
    [ "$status" = "$2" ] || fail "$1: status $status, not $2"
    cmp -s "$work/plain" "$work/out" || fail "$1: other results: $(diff "$work/plain" "$work/out" | head -n 4)"
    [ "$(figure cached) $(figure hits) $(figure invalidations)" = "$3 $4 $5" ] ||
        fail "$1: cached $(figure cached), hits $(figure hits), invalidations $(figure invalidations), not $3 $4 $5"
    [ "$(grep -c '^opalmem-run: ' "$work/err")" = 1 ] || fail "$1: no report: $(cat "$work/err")"
}

# A shell says "Killed" and the like for each.
{
    end end_by_return 0 4 3 1
    end end_by_exit 41 4 3 1
    end end_by_kill 137 4 3 1
    end end_by_abort 134 4 3 1
    end end_by_term 143 4 3 1
    end end_by_fault 139 4 3 1
    end end_by_exec 41 8 6 2
    end end_by_exec_closed 41 8 6 2
} 2> /dev/null

children_are_followed() {
    # shellcheck disable=SC2016 # for sh
    report -- sh -c '"$1" end_by_exit "$2"; "$1" end_by_kill "$2"; exit 6' sh "$scenes" "$work/file" 2> /dev/null
    [ "$status" = 6 ] || fail "$what: status $status"
    [ "$(figure cached)" = 8 ] || fail "$what: cached $(figure cached), not 8"
    [ "$(figure caches)" = 2 ] || fail "$what: $(figure caches) caches, not 2"
}

signals_are_passed_on() {
    : > "$work/out"
    # shellcheck disable=SC2016 # for sh
    "$run" -- sh -c 'trap "echo term; exit 9" TERM; echo ready; while :; do sleep 0.1; done' > "$work/out" 2> "$work/err" &
    pid=$!
    for _ in $(seq 600); do
        grep -q ready "$work/out" && break
        sleep 0.1
    done
    kill -TERM $pid
    wait $pid
    [ "$? $(tail -n 1 "$work/out")" = '9 term' ] || fail "SIGTERM did not reach the program: $(cat "$work/out" "$work/err")"
}

# state PID: R, S, T ...
state() {
    sed 's/.*) \(.\).*/\1/' "/proc/$1/stat"
}

reaches() { # PID STATE
    for _ in $(seq 600); do
        [ "$(state "$1")" = "$2" ] && return 0
        sleep 0.1
    done
    fail "process $1 is $(state "$1"), not $2"
    return 1
}

it_stops_and_goes_on_with_the_program() {
    : > "$work/out" # What an earlier run has left is no number.
    # shellcheck disable=SC2016 # for sh
    "$run" -- sh -c 'echo $$; exec sleep 300' > "$work/out" 2> "$work/err" &
    pid=$!
    for _ in $(seq 600); do
        [ -s "$work/out" ] && break
        sleep 0.1
    done
    child=$(cat "$work/out")
    kill -STOP "$child"
    reaches "$child" T && reaches $pid T
    kill -CONT $pid
    reaches "$child" S && reaches $pid S
    kill -TERM "$child"
    wait $pid
    [ $? = 143 ] || fail "the signal that ended it is not mirrored"
}

who_is_not_reached_is_told() {
    printf 'int main(void)\n{\n    return 7;\n}\n' > "$work/small.c"
    if ${CC:-cc} -static -o "$work/static" "$work/small.c" 2> /dev/null; then
        report -- "$work/static"
        [ "$status" = 7 ] || fail "$what: status $status"
        noted unreached || fail "$what: $(grep notes "$work/json")"
        grep -q '^NOTE: the program was never reached by the preload library: it is statically linked$' "$work/err" ||
            fail "$what: $(cat "$work/err")"
    else
        echo "no static libc: a static program is not tested"
    fi
    # As root nothing is gained by set-uid root: the loader is not in its secure mode.
    if [ "$(id -u)" = 0 ] && ${CC:-cc} -o "$work/setuid" "$work/small.c" && chown 65534 "$work/setuid" && chmod u+s "$work/setuid"; then
        report -- "$work/setuid"
        [ "$status" = 7 ] || fail "$what: status $status"
        grep -q 'it is set-uid or set-gid' "$work/err" || fail "$what: $(cat "$work/err")"
    else
        echo "not root: a set-uid program is not tested"
    fi
    report -- true
    noted unreached && fail "$what: notes: $(grep notes "$work/json")"
}

{ children_are_followed; } 2> /dev/null
signals_are_passed_on
{ it_stops_and_goes_on_with_the_program; } 2> /dev/null
who_is_not_reached_is_told
finish
