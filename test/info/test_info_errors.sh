#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info: what is wrong on its command line or around it, and the message.
set -u
# shellcheck source=test/info/info_common.sh
. "${top_srcdir:-.}/test/info/info_common.sh"

unknown_options_are_refused() {
    for option in --nosuch -x extra '' -- --al --levels=3 -l=3 --param=memory --all=yes --tune=x; do
        refused 2 "unknown option \"$option\" (argument 1)" "$option"
    done
    refused 2 'unknown option "extra" (argument 2)' --all extra
}

values_that_cannot_be_used_are_refused() {
    for level in 0 10 -1 +1 01 1x x '' ' 1' 1.0 0x1; do
        refused 2 "^opalmem-info: --level (argument 2): expected a number from 1 to 9, not \"$level\"\$" \
            --all --level "$level"
    done
    refused 2 '--level=0 (argument 1): expected a number from 1 to 9, not "0"$' --level=0
    refused 2 '-l (argument 1): expected a number from 1 to 9$' -l
    refused 2 '--type (argument 1): expected int, .*, not "float"$' --type float
    refused 2 '--type (argument 1): expected int, .*enum$' --type
    refused 2 '--path (argument 1): expected all or prefix, .*, not "nosuch"$' --path nosuch
    refused 2 '--path (argument 1): expected all or prefix' --path
    refused 2 '--param (argument 1): expected FRAMEWORK COMPONENT, .*, not "memory"$' --param memory
    refused 2 '--param (argument 1): expected FRAMEWORK COMPONENT, .*, not "memory" "--all"$' --param memory --all
    refused 2 '--param (argument 1): expected FRAMEWORK COMPONENT' --param
    refused 2 '--mca (argument 1): expected NAME VALUE, not "memory"$' --mca memory
    refused 2 '-gmca (argument 1): expected NAME VALUE$' -gmca
    refused 2 '--tune (argument 2): expected FILE' --all --tune
    refused 2 '--json (argument 2): expected only one of' --parsable --json
    refused 2 '--pretty (argument 3): expected only one of' --json --all --pretty
}

unknown_names_are_refused_with_those_that_there_are() {
    refused 1 '--param (argument 1): there is no framework "nosuch"; there are: .*memory.*rcache' --param nosuch all
    refused 1 '--param (argument 1): there is no framework ""' --param '' all
    refused 1 '--param (argument 2): the framework memory has no component "nosuch"; there are: .*noop' \
        --all --param memory nosuch
    refused 1 'no framework has a component "nosuch"; there are: .*noop' --param all nosuch
    refused 1 'no framework "nosuch"' --param memory all --param nosuch all --json
    refused 1 'the framework mca has no component "linux"; there are: base$' --param mca linux
}

wrong_settings_are_refused() {
    refused 1 'framework memory has no component "nosuch" (command line, argument 1); there are: .*noop' \
        --mca memory nosuch
    refused 1 '"12abc".*argument 1' --mca memory_base_verbose 12abc
    refused 1 'cannot be mixed' --mca memory 'linux+noop,x'
    refused 1 'OPALMEM_MCA_memory_base_verbose\|memory_base_verbose' --all --json --mca memory_base_verbose x
    OPALMEM_MCA_mca_base_verbose=-2
    export OPALMEM_MCA_mca_base_verbose
    refused 1 'OPALMEM_MCA_mca_base_verbose'
    unset OPALMEM_MCA_mca_base_verbose
}

unknown_settings_are_warned_of() {
    run 0 --mca memroy noop
    grep -q 'warning: there is no variable memroy (command line, argument 1); did you mean memory?' "$work/err" ||
        fail "$what: no warning: $(cat "$work/err")"
    run 0 --mca nosuch_x 1
    grep -q 'warning: there is no variable nosuch_x' "$work/err" || fail "$what: no warning: $(cat "$work/err")"
}

report_that_cannot_be_written_is_an_error() {
    if [ ! -c /dev/full ]; then
        echo "no /dev/full: not tested"
        return
    fi
    for options in '' --all --json --help --version --config '--path all'; do
        # shellcheck disable=SC2086 # words
        "$info" $options > /dev/full 2> "$work/err"
        [ $? = 1 ] || fail "\"$options\": a report that was not written is no error"
        grep -q 'cannot be written: No space' "$work/err" || fail "\"$options\": $(cat "$work/err")"
    done
    "$info" --version >&- 2> "$work/err"
    [ $? = 1 ] || fail "a closed stdout is no error"
}

# Status 141: ended by SIGPIPE, as any program.
early_end_of_a_pipe_is_no_noise() {
    case $(sed -n 's/^SigIgn:.*\(.\)...$/\1/p' /proc/self/status) in
        [13579bdf])
            echo "SIGPIPE is ignored here: the end of a pipe is not tested"
            return ;;
    esac
    mkfifo "$work/pipe"
    # shellcheck disable=SC2094 # the reader is closed again
    exec 3<> "$work/pipe" 4> "$work/pipe" 3>&-
    for options in '' --all '--all --json' '--all --parsable' --help --version; do
        # shellcheck disable=SC2086 # words
        "$info" $options >&4 2> "$work/err" 4>&-
        status=$?
        [ $status = 141 ] || fail "\"$options\" into a pipe without a reader: status $status"
        [ ! -s "$work/err" ] || fail "\"$options\": on stderr: $(cat "$work/err")"
    done
    exec 4>&-
}

width_of_paragraphs_follows_the_terminal() {
    for columns in 60 80 100; do
        COLUMNS=$columns run 0 --param rcache base --level 9
        longest=$(grep '^      ' "$work/out" | awk '{ if (length($0) > n) n = length($0) } END { print n }')
        [ "$longest" -le "$columns" ] || fail "COLUMNS=$columns: a line of $longest"
        [ "$longest" -gt $((columns - 20)) ] || fail "COLUMNS=$columns: not more than $longest are used"
    done
    for columns in 0 -5 abc 1 99999 ''; do
        COLUMNS=$columns run 0 --all
        [ ! -s "$work/err" ] || fail "COLUMNS=$columns: $(cat "$work/err")"
    done
}

surroundings_do_not_change_the_report() {
    run_quietly --all --json
    cp "$work/out" "$work/long"
    for name in LC_ALL=de_DE.UTF-8 LANG=de_DE LC_NUMERIC=de_DE TERM=dumb COLUMNS=20 HOME= NO_COLOR=1; do
        env "$name" "$info" --all --json > "$work/out" 2> "$work/err"
        cmp -s "$work/long" "$work/out" || fail "$name changes the report: $(diff "$work/long" "$work/out")"
        # The program in the build tree is started by a shell, which misses the locale.
        grep -v 'cannot change locale' "$work/err" && fail "$name: on stderr"
    done
    env -u HOME "$info" --all --json > "$work/out" 2> "$work/err"
    cmp -s "$work/long" "$work/out" || fail "without HOME the report is another"
}

unknown_options_are_refused
values_that_cannot_be_used_are_refused
unknown_names_are_refused_with_those_that_there_are
wrong_settings_are_refused
unknown_settings_are_warned_of
report_that_cannot_be_written_is_an_error
early_end_of_a_pipe_is_no_noise
width_of_paragraphs_follows_the_terminal
surroundings_do_not_change_the_report
finish
