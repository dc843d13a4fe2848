#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-coverage: its command line, and the forms of its output.
set -u
# shellcheck source=test/coverage/coverage_common.sh
. "${top_srcdir:-.}/test/coverage/coverage_common.sh"

wrong_command_lines_are_refused() {
    for option in --nosuch extra '' --tsv=1 --mca=x --list= =; do
        refused 2 "unknown option \"$option\" (argument 1)" "$option"
    done
    refused 2 '--row (argument 2): expected a row .*, not "nosuch"$' --tsv --row nosuch
    refused 2 '--row=nosuch (argument 1): expected a row .*, not "nosuch"$' --row=nosuch
    refused 2 '--row (argument 1): expected a row' --row
    refused 2 '--monitor (argument 1): expected opalmem, .*, not "nosuch"$' --monitor nosuch
    refused 2 '--monitor (argument 1): expected opalmem, .*, not ""$' --monitor ''
    refused 2 '--monitor (argument 1): expected opalmem, .*, not ":bistro"$' --monitor :bistro
    refused 2 'not "./nosuch.so"$' --monitor ./nosuch.so
    refused 2 '--mca (argument 1): expected NAME VALUE, not "memory"$' --mca memory
    refused 2 '--tune (argument 1): expected FILE' --tune
    refused 2 '--json (argument 2): expected only one of' --tsv --json
}

help_and_version_need_nothing() {
    run 0 --help
    has '^Usage: opalmem-coverage'
    for option in --monitor --row --list --tsv --json --mca --tune --version; do
        has "  *$option"
    done
    for option in --version -V; do
        run 0 "$option"
        has '^opalmem-coverage [0-9]'
    done
}

wrong_settings_are_told_once() {
    refused_setting=$("$coverage" --row munmap --mca memory nosuch 2>&1 > "$work/out")
    [ $? = 1 ] || fail "a component that does not exist: not status 1"
    [ "$(echo "$refused_setting" | wc -l)" = 1 ] || fail "not one message: $refused_setting"
    case $refused_setting in *nosuch*) ;; *) fail "the message does not name it: $refused_setting" ;; esac
    has '^opalmem: not possible here: the library does not start'
}

settings_come_in_every_form() {
    echo 'memory = noop' > "$work/file"
    for setting in '--mca memory noop' '-mca memory noop' '--gmca memory noop' "--tune $work/file"; do
        # shellcheck disable=SC2086 # words
        run 0 $setting --row munmap --tsv
        [ "$(verdict munmap all)" = missed ] || fail "$what: $(cat "$work/out")"
    done
    OPALMEM_MCA_memory=noop run 0 --row=munmap --tsv
    [ "$(verdict munmap all)" = missed ] || fail "$what: $(cat "$work/out")"
}

list_names_each_row_with_its_promise() {
    run 0 --list --tsv
    [ "$(awk -F '\t' '$4 == "reference"' "$work/out" | wc -l)" = 71 ] || fail "$what: not 71 rows of the reference set"
    [ "$(awk -F '\t' '$4 == "reference" && $3 == "release"' "$work/out" | wc -l)" = 53 ] || fail "$what: not 53 releases"
    [ "$(awk -F '\t' '$4 == "reference" && $3 == "control"' "$work/out" | wc -l)" = 14 ] || fail "$what: not 14 controls"
    [ "$(awk -F '\t' 'NF != 5' "$work/out" | wc -l)" = 0 ] || fail "$what: not five columns in each line"
    [ "$(cut -f 1,2 "$work/out" | sort | uniq -d | wc -l)" = 0 ] || fail "$what: rows twice"
    [ "$(awk -F '\t' '$3 == "control" && $5 != "-"' "$work/out" | wc -l)" = 0 ] || fail "$what: a promise for a control"
    has '^munmap	all	release	reference	munmap,sees-libc$'
    run 0 --list --row mremap-fixed
    [ "$(wc -l < "$work/out")" = 3 ] || fail "$what: not a heading and two rows"
}

rows_are_those_asked_for() {
    run 0 --monitor none --row munmap --row mremap-shrink --tsv
    proof=$(sed -n '2s/.*\t//p' "$work/out")
    {
        printf 'row\trange\tkind\tset\tnone\tproof\n'
        printf 'munmap\tall\trelease\treference\tmissed\t%s\n' "$proof"
        printf 'mremap-shrink\ttail\trelease\treference\tmissed\t%s\n' "$proof"
        printf 'mremap-shrink\tkept part\tcontrol\treference\tquiet\t%s\n' "$proof"
    } > "$work/wanted"
    cmp -s "$work/wanted" "$work/out" || fail "$what: $(cat "$work/out")"
    case $proof in frames | content) ;; *) fail "$what: proof $proof" ;; esac
    [ "$(id -u)" != 0 ] || [ "$proof" = frames ] || [ ! -r /proc/kcore ] || echo "root, but no page frames"
}

table_has_columns_sums_and_proof() {
    run 0 --monitor none --monitor none --row munmap --row munmap-einval
    has '^none:$'
    has '^munmap  *all  *release  *missed  *missed *$'
    has '^munmap-einval  *all  *control  *quiet  *quiet *$'
    has '^none, reference rows: releases: 0 of 1 caught, 1 missed; controls: 0 of 1 false$'
    has '^Proof: '
}

json_is_one_document() {
    command -v python3 > /dev/null || { echo "no python3: JSON is not tested"; return; }
    run 0 --monitor none --row munmap --json
    python3 - "$work/out" << 'EOT' || fail "$what: $(cat "$work/out")"
import json, sys
document = json.loads(open(sys.argv[1], 'rb').read().decode('utf-8'))
assert document['program'] == 'opalmem-coverage'
monitor, = document['monitors']
assert monitor['name'] == 'none' and monitor['usable'] and monitor['reason'] is None
assert monitor['reference_releases']['rows'] == 1 and monitor['reference_releases']['missed'] == 1
assert monitor['controls']['rows'] == 0
row, = document['rows']
assert (row['row'], row['kind'], row['reference']) == ('munmap', 'release', True)
cell, = row['results']
assert cell['verdict'] == 'missed' and cell['events'] == 0 and cell['broken'] is False
assert cell['length'] == 8 * 4096 and cell['start'] % 4096 == 0
EOT
}

output_that_cannot_be_written_is_an_error() {
    [ -c /dev/full ] || return
    for options in --help --list '--monitor none --row munmap' '--monitor none --row munmap --json'; do
        # shellcheck disable=SC2086 # words
        "$coverage" $options > /dev/full 2> "$work/err"
        [ $? = 1 ] || fail "\"$options\": a result that was not written is no error"
        grep -q 'cannot be written: No space' "$work/err" || fail "\"$options\": $(cat "$work/err")"
    done
}

# offered WORD...: what bash offers for the last word.
offered() {
    # shellcheck disable=SC2016 # for bash
    bash -c '
        source "$1" || exit 1
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _opalmem_coverage "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"' bash "${top_srcdir:-.}/tools/completion/opalmem-info" "$coverage" "$@" 2>&1
}

offers() {
    expected=$1
    shift
    found=$(offered "$@")
    [ "$found" = "$expected" ] || fail "completion of $*: \"$found\", not \"$expected\""
}

completion_knows_options_rows_and_monitors() {
    command -v bash > /dev/null || { echo "no bash: completion is not tested"; return; }
    PATH=$top_builddir:$PATH
    "$coverage" --help | grep -oE -e '--[a-z][a-z-]+' | sort -u > "$work/options"
    while read -r option; do
        case " $(offered "$option") " in *" $option "*) ;; *) fail "completion does not offer $option" ;; esac
    done < "$work/options"
    offers 'opalmem ucx openmpi none' --monitor ''
    offers 'bistro reloc' --monitor ucx :
    offers reloc --monitor ucx : r
    offers 'mremap-shrink' --row mremap-s
    offers 'shmdt shm-munmap shmat-remap' --row shm
    offers noop --mca memory no
}

wrong_command_lines_are_refused
help_and_version_need_nothing
wrong_settings_are_told_once
settings_come_in_every_form
list_names_each_row_with_its_promise
rows_are_those_asked_for
table_has_columns_sums_and_proof
json_is_one_document
output_that_cannot_be_written_is_an_error
completion_knows_options_rows_and_monitors
finish
