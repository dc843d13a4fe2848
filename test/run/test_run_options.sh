#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: command line, messages, exit codes of its own, JSON, completion.
set -u
# shellcheck source=test/run/run_common.sh
. "${top_srcdir:-.}/test/run/run_common.sh"

# refused STATUS PATTERN ARGUMENT...: one message, which matches; nothing is run.
refused() {
    expected=$1 pattern=$2
    shift 2
    "$run" "$@" > "$work/out" 2> "$work/err"
    found=$?
    [ $found = "$expected" ] || fail "opalmem-run $*: status $found, not $expected: $(cat "$work/err")"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "opalmem-run $*: not one message: $(cat "$work/err")"
    grep -q -e "$pattern" "$work/err" || fail "opalmem-run $*: no '$pattern' in: $(cat "$work/err")"
    [ ! -s "$work/out" ] || fail "opalmem-run $*: output: $(cat "$work/out")"
}

wrong_command_lines_are_refused() {
    for option in --nosuch -x --verify=1 --mca=x -; do
        refused 125 "unknown option \"$option\" (argument 1)" "$option" true
    done
    for size in 0 -1 x 1X 1KK '' 9999999999999999; do
        refused 125 "--threshold (argument 1): expected a number of bytes above 0, .*, not \"$size\"" --threshold "$size" true
    done
    refused 125 '--threshold=0 (argument 1): expected' --threshold=0 true
    refused 125 '--json (argument 3): expected only one file' --json "$work/a" --json "$work/b" true
    refused 125 '--json (argument 1): expected FILE' --json
    refused 125 '--mca (argument 1): expected NAME VALUE, not "memory"' --mca memory
    refused 125 'expected a program' --verify
    refused 125 'expected a program' --
}

help_and_version_need_nothing() {
    "$run" --help > "$work/out" 2>&1 || fail "--help: status $?"
    for option in --threshold --verify --json --unsafe-no-hooks --mca --tune --version; do
        grep -q -e "  *$option" "$work/out" || fail "--help does not name $option"
    done
    "$run" --version | grep -q '^opalmem-run [0-9]' || fail "--version"
    [ ! -c /dev/full ] || { "$run" --help > /dev/full 2> /dev/null; [ $? = 125 ]; } || fail "a full device is no error"
}

its_own_mistakes_have_codes() {
    refused 125 'nosuch' --mca memory nosuch true
    refused 125 '/nosuch/file: No such file' --json /nosuch/file true
    refused 127 '/nosuch/program: No such file' -- /nosuch/program
    refused 127 'nosuchprogram: No such file' nosuchprogram
    refused 126 'Permission denied' -- /
    [ "$(id -u)" = 0 ] || refused 125 '--verify: page frames cannot be seen here' --verify true
}

options_end_at_the_program() {
    "$run" echo --verify -- --mca a b > "$work/out" 2> /dev/null
    [ "$(cat "$work/out")" = '--verify -- --mca a b' ] || fail "arguments of the program: $(cat "$work/out")"
    "$run" -- echo -- -x > "$work/out" 2> /dev/null
    [ "$(cat "$work/out")" = '-- -x' ] || fail "arguments of the program: $(cat "$work/out")"
}

settings_reach_the_program() {
    # shellcheck disable=SC2016 # for sh
    "$run" --mca memory noop --mca rcache_base_max_count 5 -- sh -c 'echo $OPALMEM_MCA_memory $OPALMEM_MCA_rcache_base_max_count' \
        > "$work/out" 2> /dev/null
    [ "$(cat "$work/out")" = 'noop 5' ] || fail "settings: $(cat "$work/out")"
    report --mca memory noop -- "$scenes" read_to_the_end "$work/file"
    [ "$(figure hits)" = 0 ] || fail "$what: hits although nobody notices releases"
    noted 'no hit' || fail "$what: not said: $(grep notes "$work/json")"
    grep -q '^NOTE: no lookup was a hit$' "$work/err" || fail "$what: $(cat "$work/err")"
    report --mca rcache_base_max_bytes 300K -- "$scenes" read_to_the_end "$work/file"
    at_least hits 8
    LD_PRELOAD=$top_builddir/.libs/libopalmem.so report -- "$scenes" read_to_the_end "$work/file"
    at_least hits 8
}

json_is_one_document() {
    command -v python3 > /dev/null || { echo "no python3: JSON is not tested"; return; }
    report -- "$scenes" end_by_exit "$work/file"
    python3 - "$work/json" << 'EOT' || fail "$what: $(cat "$work/json")"
import json, sys
document = json.loads(open(sys.argv[1], 'rb').read().decode('utf-8'))
assert document['program'] == 'opalmem-run' and document['exit_status'] == 41 and 'signal' not in document
assert document['threshold'] == 65536 and document['unsafe'] is False
assert document['calls']['read']['cached'] == document['cached'] == 4
assert document['calls']['read']['bytes'] == 4 << 18
assert document['unpinned_in_release'] == {'munmap': 1} and document['invalidations'] == 1
assert document['notes'] == [] and document['unreached'] is None and document['failure'] is None
EOT
}

# offers EXPECTED WORD...: what bash offers for the last word.
offers() {
    expected=$1
    shift
    # shellcheck disable=SC2016 # for bash
    found=$(bash -c '
        source "$1" || exit 1
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _opalmem_run "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"' bash "${top_srcdir:-.}/tools/completion/opalmem-info" "$run" "$@" 2>&1)
    [ "$found" = "$expected" ] || fail "completion of $*: \"$found\", not \"$expected\""
}

completion_knows_options_and_programs() {
    command -v bash > /dev/null || { echo "no bash: completion is not tested"; return; }
    PATH=$top_builddir:$PATH
    offers '--threshold --verify --json --unsafe-no-hooks --mca --gmca --tune --version --help' --
    offers noop --mca memory no
    offers sha256sum --verify sha256su
    offers '' --threshold ''
}

# As long as libc has the names: a wrapper of nothing would be a name of our own.
preload_library_exports_names_of_libc_only() {
    command -v nm > /dev/null || { echo "no nm: exports are not tested"; return; }
    preload=$top_builddir/.libs/opalmem_run_preload.so
    libc=$(ldd "$preload" | sed -n 's/.*libc.so.6 => \([^ ]*\) .*/\1/p')
    nm -D --defined-only "$preload" | awk '$3 !~ /^__(asan|tsan|ubsan|odr)/ { print $3 }' | sort > "$work/names"
    nm -D --defined-only "$libc" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u > "$work/libc"
    [ -s "$work/names" ] || fail "the preload library exports nothing"
    others=$(comm -23 "$work/names" "$work/libc")
    [ -z "$others" ] || fail "the preload library exports names that are not libc's:" "$others"
}

wrong_command_lines_are_refused
help_and_version_need_nothing
completion_knows_options_and_programs
require_run
its_own_mistakes_have_codes
options_end_at_the_program
settings_reach_the_program
preload_library_exports_names_of_libc_only
json_is_one_document
finish
