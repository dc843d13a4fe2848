#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info: the short report, the whole one, and the form for programs.
set -u
# shellcheck source=test/info/info_common.sh
. "${top_srcdir:-.}/test/info/info_common.sh"

# Fields, a colon, and a value: quoted, or without colon, quote and backslash.
fits_grammar() {
    bad=$(grep -v -E '^[A-Za-z0-9_.:+-]+:("([^"\\]|\\.)*"|[^:"\\]*)$' "$work/out")
    [ -z "$bad" ] || fail "$what: lines that do not fit the grammar: $bad"
}

short_report_has_its_parts() {
    run_quietly
    has '^opalmem [0-9]'
    has '^  component folder  *.*/opalmem$'
    has '^Machine$'
    has '^  processors  *[1-9]'
    has '^  page sizes  *4 KiB'
    has '^  lockable memory '
    has '^  io_uring  *\(yes\|no\)$'
    has '^  RDMA devices '
    has '^  hooks notice '
    has '^Components$'
    has '^  memory noop [0-9.]* (.*): '
}

short_report_has_no_variables_but_says_how_to_see_them() {
    run_quietly
    lacks 'memory_base_verbose'
    lacks '^Variables'
    tail -n 1 "$work/out" | grep -q -e '--all.*--param' || fail "$what: the last line does not tell of variables"
    run_quietly --parsable
    lacks ':param:'
    lacks -- '--param'
}

whole_report_has_every_part() {
    run_quietly --all
    has '^Configuration$'
    has '^Paths$'
    has '^Machine$'
    has '^Components$'
    has '^Variables '
    has '^  memory = "" (default, string, level 2 user/detail'
    has '^  memory_base_verbose = "0" '
    lacks 'more above level'
    cp "$work/out" "$work/long"
    run_quietly -a
    cmp -s "$work/long" "$work/out" || fail "-a is not --all"
    run_quietly --all --level 2
    has '^  memory = '
    lacks '^  memory_base_verbose = '
}

parsable_lines_have_the_grammar() {
    run_quietly --all --parsable
    fits_grammar
    has '^opalmem:version:full:[0-9][0-9.a-z]*$'
    has '^machine:processors:[1-9][0-9]*$'
    has '^machine:page_sizes:4096'
    has '^machine:lockable:limit:\([0-9]*\|unlimited\)$'
    has '^machine:io_uring:allowed:\(yes\|no\)$'
    has '^opalmem:hooks:support:'
    has '^build:prefix:/'
    has '^config:arguments:'
    has '^path:prefix:/'
    has '^mca:memory:noop:version:component:[0-9]'
    has '^mca:memory:noop:linkage:\(static\|dso\)$'
    has '^mca:memory:noop:selected:\(yes\|no\)$'
    has '^mca:memory:noop:failed:no$'
    has '^mca:memory:base:param:memory:value:$'
    has '^mca:memory:base:param:memory_base_verbose:value:0$'
    has '^mca:memory:base:param:memory_base_verbose:source:default$'
    has '^mca:memory:base:param:memory_base_verbose:status:writeable$'
    has '^mca:memory:base:param:memory:status:read-only$'
    has '^mca:memory:base:param:memory_base_verbose:level:8$'
    has '^mca:memory:base:param:memory_base_verbose:type:int$'
    has '^mca:memory:base:param:memory_base_verbose:help:'
    has '^mca:memory:base:param:memory_base_verbose:deprecated:no$'
    has '^mca:mca:base:param:mca_base_component_path:value:'
    has '^mca:rcache:base:param:rcache_base_leave_pinned:enumerator:value:1:yes$'
    has '^mca:rcache:base:param:rcache_base_leave_pinned:synonym:name:mpi_leave_pinned$'
    has '^mca:rcache:base:param:mpi_leave_pinned:synonym_of:name:rcache_base_leave_pinned$'
    cp "$work/out" "$work/long"
    run_quietly --all --parseable
    cmp -s "$work/long" "$work/out" || fail "--parseable is not --parsable"
}

every_variable_has_every_line_once() {
    run_quietly --all --parsable
    for line in value source status level help deprecated type; do
        grep -E "^mca:[^:]*:[^:]*:param:[^:]*:$line:" "$work/out" | cut -d: -f5 | sort > "$work/$line"
        cmp -s "$work/value" "$work/$line" || fail "not every variable has a line \"$line\""
    done
    [ -s "$work/value" ] || fail "no variables"
    [ -z "$(uniq -d "$work/value")" ] || fail "a variable is listed twice"
    repeated=$(sort "$work/out" | uniq -d)
    [ -z "$repeated" ] || fail "lines that are there twice: $repeated"
}

both_forms_list_the_same_variables() {
    run_quietly --all --parsable
    sed -n 's/^mca:[^:]*:[^:]*:param:\([^:]*\):value:.*/\1/p' "$work/out" > "$work/programs"
    run_quietly --all
    sed -n '/^Variables/,$s/^  \([a-z0-9_]*\) = ".*/\1/p' "$work/out" > "$work/people"
    cmp -s "$work/programs" "$work/people" || fail "the two forms list other variables"
}

reason_is_given_for_each_component_not_available() {
    OPALMEM_MCA_memory=noop run 0 --parsable
    has '^mca:memory:noop:selected:yes$'
    grep ':available:no$' "$work/out" | while IFS=: read -r _ framework component _; do
        grep -q "^mca:$framework:$component:reason:." "$work/out" || echo "$component"
    done > "$work/silent"
    [ ! -s "$work/silent" ] || fail "no reason for $(cat "$work/silent")"
    has '^mca:memory:linux:reason:.*not in the list'
}

settings_show_value_and_source() {
    OPALMEM_MCA_memory_base_verbose=3 run 0 --all --parsable
    has '^mca:memory:base:param:memory_base_verbose:value:3$'
    has '^mca:memory:base:param:memory_base_verbose:source:environment$'
    has ':source_detail:OPALMEM_MCA_memory_base_verbose$'
    OMPI_MCA_memory_base_verbose=4 run 0 --all --parsable
    has ':source_detail:OMPI_MCA_memory_base_verbose$'
    run 0 --all --mca memory_base_verbose 5 --parsable
    has '^mca:memory:base:param:memory_base_verbose:value:5$'
    has '^mca:memory:base:param:memory_base_verbose:source:command line$'
    has ':source_detail:argument 2$'
    OPALMEM_MCA_memory_base_verbose=3 run 0 --all
    has '^  memory_base_verbose = "3" (environment OPALMEM_MCA_memory_base_verbose, int, level 8 dev/detail'
}

settings_of_files_show_path_and_line() {
    printf '# Settings\nmemory_base_verbose = 3\n' > "$work/file"
    run_quietly --all --parsable --tune "$work/file"
    has ':memory_base_verbose:value:3$'
    has ":memory_base_verbose:source:\"file ($work/file:2)\"\$"
    has ":memory_base_verbose:source_detail:\"$work/file:2\"\$"
    run_quietly --all --tune "$work/file"
    has "^  memory_base_verbose = \"3\" (tune file $work/file:2, int"
    run_quietly --all --json --tune "$work/file"
    has '^      "source": "tune file",$'
    OPALMEM_MCA_mca_base_param_files=$work/file
    export OPALMEM_MCA_mca_base_param_files
    run_quietly --all
    has "^  memory_base_verbose = \"3\" (parameter file $work/file:2, int"
    run_quietly --all --json
    has '^      "source": "parameter file",$'
    # Stronger than files.
    run_quietly --all --parsable --gmca memory_base_verbose 4
    has ':memory_base_verbose:value:4$'
    unset OPALMEM_MCA_mca_base_param_files
    run 1 --all --tune "$work/nosuch"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "$what: $(cat "$work/err")"
}

long_value_is_shown_whole() {
    value=$(printf '/nosuch/%0400d' 1)
    run 0 --all --parsable --mca mca_base_component_path "$value"
    has "^mca:mca:base:param:mca_base_component_path:value:$value\$"
    run 0 --all --mca mca_base_component_path "$value"
    has "^  mca_base_component_path = \"$value\" "
}

odd_characters_keep_the_line_whole() {
    value="/usr:/\"x\\"
    run 0 --all --parsable --mca mca_base_component_path "$value"
    has '^mca:mca:base:param:mca_base_component_path:value:"/usr:/\\"x\\\\"$'
    value=$(printf '/a\nb\rc\033[2J')
    run 0 --all --parsable --mca mca_base_component_path "$value"
    fits_grammar
    has "^mca:mca:base:param:mca_base_component_path:value:\"/a\\\\nb\\\\rc$(printf '\033')\\[2J\"\$"
    # A terminal is not given control characters.
    run 0 --all --mca mca_base_component_path "$value"
    has '^  mca_base_component_path = "/a\\x0ab\\x0dc\\x1b\[2J" '
}

short_report_has_its_parts
short_report_has_no_variables_but_says_how_to_see_them
whole_report_has_every_part
parsable_lines_have_the_grammar
every_variable_has_every_line_once
both_forms_list_the_same_variables
reason_is_given_for_each_component_not_available
settings_show_value_and_source
settings_of_files_show_path_and_line
long_value_is_shown_whole
odd_characters_keep_the_line_whole
finish
