#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info: both forms of the report, options, exit codes.
set -u
info=${top_builddir:-.}/opalmem-info
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# run EXPECTED-STATUS ARGUMENT...: output in $work/out and $work/err.
run() {
    expected=$1
    shift
    "$info" "$@" > "$work/out" 2> "$work/err"
    status=$?
    [ "$status" = "$expected" ] || fail "opalmem-info $*: exit status $status, not $expected: $(cat "$work/err")"
}

has() {
    grep -q -- "$1" "$work/$2" || fail "$3: no line matches '$1' in: $(head -c 2000 "$work/$2")"
}

lacks() {
    ! grep -q -- "$1" "$work/$2" || fail "$3: a line matches '$1'"
}

report_for_people_has_its_parts() {
    run 0
    has '^opalmem [0-9]' out report
    has '^  component folder  *.*/opalmem$' out report
    has '^Machine$' out report
    has '^  processors  *[1-9]' out report
    has '^  page sizes  *4 KiB' out report
    has '^  lockable memory ' out report
    has '^  io_uring  *\(yes\|no\)$' out report
    has '^  RDMA devices ' out report
    has '^Components$' out report
    has '^  memory noop [0-9.]* (.*): ' out report
    has '^  memory = "" (default, string, level 2 user/detail)$' out report
    has '^  memory_base_verbose = "0" ' out report
    [ ! -s "$work/err" ] || fail "something on stderr: $(cat "$work/err")"
}

parsable_lines_have_the_grammar() {
    run 0 --parsable
    [ ! -s "$work/err" ] || fail "something on stderr: $(cat "$work/err")"
    # Fields, a colon, and a value: quoted, or without colon, quote and backslash.
    bad=$(grep -v -E '^[A-Za-z0-9_.:+-]+:("([^"\\]|\\.)*"|[^:"\\]*)$' "$work/out")
    [ -z "$bad" ] || fail "lines that do not fit the grammar: $bad"
    has '^opalmem:version:full:[0-9][0-9.a-z]*$' out parsable
    has '^machine:processors:[1-9][0-9]*$' out parsable
    has '^machine:page_sizes:4096' out parsable
    has '^machine:lockable:limit:\([0-9]*\|unlimited\)$' out parsable
    has '^machine:io_uring:allowed:\(yes\|no\)$' out parsable
    has '^mca:memory:noop:version:component:[0-9]' out parsable
    has '^mca:memory:noop:linkage:\(static\|dso\)$' out parsable
    has '^mca:memory:noop:selected:\(yes\|no\)$' out parsable
    has '^mca:memory:base:param:memory:value:$' out parsable
    has '^mca:memory:base:param:memory_base_verbose:value:0$' out parsable
    has '^mca:memory:base:param:memory_base_verbose:source:default$' out parsable
    has '^mca:memory:base:param:memory_base_verbose:level:8$' out parsable
    has '^mca:memory:base:param:memory_base_verbose:type:int$' out parsable
    has '^mca:memory:base:param:memory_base_verbose:help:' out parsable
    has '^mca:mca:base:param:mca_base_component_path:value:' out parsable
    has '^mca:rcache:base:param:rcache_base_leave_pinned:enumerator:value:' out parsable
}

every_variable_has_every_line() {
    run 0 --parsable
    for what in value source status level help deprecated type; do
        grep -E "^mca:[^:]*:[^:]*:param:[^:]*:$what:" "$work/out" | cut -d: -f5 | sort > "$work/$what"
        cmp -s "$work/value" "$work/$what" || fail "not every variable has a line \"$what\""
    done
    [ -s "$work/value" ] || fail "no variables"
    [ -z "$(uniq -d "$work/value")" ] || fail "a variable is listed twice"
}

reason_is_given_for_each_component_not_available() {
    OPALMEM_MCA_memory=noop run 0 --parsable
    has '^mca:memory:noop:selected:yes$' out "selection of noop"
    grep ':available:no$' "$work/out" | while IFS=: read -r _ framework component _; do
        grep -q "^mca:$framework:$component:reason:." "$work/out" || echo "$component"
    done > "$work/silent"
    [ ! -s "$work/silent" ] || fail "no reason for $(cat "$work/silent")"
    has '^mca:memory:linux:reason:.*not in the list' out "reason of linux"
}

settings_show_value_and_source() {
    OPALMEM_MCA_memory_base_verbose=3 run 0 --parsable
    has '^mca:memory:base:param:memory_base_verbose:value:3$' out environment
    has '^mca:memory:base:param:memory_base_verbose:source:environment$' out environment
    has ':source_detail:OPALMEM_MCA_memory_base_verbose$' out environment
    OMPI_MCA_memory_base_verbose=4 run 0 --parsable
    has ':source_detail:OMPI_MCA_memory_base_verbose$' out "Open MPI's environment"
    run 0 --mca memory_base_verbose 5 --parsable
    has '^mca:memory:base:param:memory_base_verbose:value:5$' out "command line"
    has '^mca:memory:base:param:memory_base_verbose:source:command line$' out "command line"
    has ':source_detail:argument 1$' out "command line"
}

values_with_colons_are_quoted() {
    run 0 --parsable --mca mca_base_component_path "/usr:/\"x\\"
    has '^mca:mca:base:param:mca_base_component_path:value:"/usr:/\\"x\\\\"$' out quoting
}

help_and_version_work_without_the_library() {
    OPALMEM_MCA_memory=nosuch run 0 --help
    has '^Usage: opalmem-info' out help
    has '--parsable' out help
    OPALMEM_MCA_memory=nosuch run 0 --version
    has '^opalmem-info [0-9]' out version
    [ "$(wc -l < "$work/out")" = 1 ] || fail "--version prints more than one line"
}

wrong_options_are_refused_with_one_message() {
    for option in --nosuch -x extra ''; do
        run 2 "$option"
        [ "$(wc -l < "$work/err")" = 1 ] || fail "\"$option\": $(wc -l < "$work/err") messages"
        has "unknown option \"$option\" (argument 1)" err "\"$option\""
        [ ! -s "$work/out" ] || fail "\"$option\": output"
    done
}

wrong_settings_are_refused_with_one_message() {
    run 1 --mca memory nosuch
    has 'framework memory has no component "nosuch" (command line, argument 1); there are: .*noop' err "unknown component"
    run 1 --mca memory
    has '"--mca memory" at argument 1: expected --mca NAME VALUE' err "missing value"
    run 1 --mca memory_base_verbose 12abc
    has '"12abc" (command line, argument 1)' err "bad value"
    run 1 --mca memory 'linux+noop,x'
    has 'cannot be mixed' err "bad selection"
    OPALMEM_MCA_mca_base_verbose=-2 run 1
    has 'environment variable OPALMEM_MCA_mca_base_verbose' err "bad environment"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "more than one message: $(cat "$work/err")"
}

unknown_settings_are_warned_of() {
    run 0 --mca memroy noop
    has 'warning: there is no variable memroy (command line, argument 1); did you mean memory?' err "slip"
    run 0 --mca nosuch_x 1
    has 'warning: there is no variable nosuch_x' err "unknown name"
}

full_disk_is_an_error() {
    if [ ! -c /dev/full ]; then
        echo "no /dev/full: not tested"
        return
    fi
    "$info" > /dev/full 2> "$work/err"
    [ $? = 1 ] || fail "a report that was not written is no error"
    has 'cannot be written' err "full disk"
}

# The makefile names the folder of uninstalled DSOs; a build that cannot load any warns of that.
if "$info" --parsable 2> "$work/err" | grep -q '^option:libltdl:no'; then
    unset OPALMEM_MCA_mca_base_component_path
fi

report_for_people_has_its_parts
parsable_lines_have_the_grammar
every_variable_has_every_line
reason_is_given_for_each_component_not_available
settings_show_value_and_source
values_with_colons_are_quoted
help_and_version_work_without_the_library
wrong_options_are_refused_with_one_message
wrong_settings_are_refused_with_one_message
unknown_settings_are_warned_of
full_disk_is_an_error

[ "$failures" = 0 ] || exit 1
echo "opalmem-info: all good"
