#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info: what each option asks for.
set -u
# shellcheck source=test/info/info_common.sh
. "${top_srcdir:-.}/test/info/info_common.sh"

# These print what is in the output, on one line; "is" calls them.
# shellcheck disable=SC2317
variables() {
    sed -n 's/^mca:[^:]*:[^:]*:param:\([^:]*\):value:.*/\1/p' "$work/out" | tr '\n' ' '
}

# Frameworks and components of the variables.
owners() {
    sed -n 's/^mca:\([^:]*\):\([^:]*\):param:.*/\1-\2/p' "$work/out" | sort -u | tr '\n' ' '
}

# is FUNCTION EXPECTED
is() {
    found=$($1)
    [ "$found" = "$2" ] || fail "$what: $1: \"$found\", expected \"$2\""
}

# shellcheck disable=SC2317
components() {
    sed -n 's/^mca:\([^:]*\):\([^:]*\):linkage:.*/\1-\2/p' "$work/out" | sort | tr '\n' ' '
}

param_chooses_framework_and_component() {
    run_quietly --param memory all --level 9 --parsable
    is components 'memory-kdreg memory-linux memory-noop memory-ummunotify memory-userfaultfd '
    is owners 'memory-base memory-kdreg memory-linux memory-noop memory-ummunotify memory-userfaultfd '
    run_quietly --param memory noop --level 9 --parsable
    is components 'memory-noop '
    is owners 'memory-noop '
    run_quietly --param memory base --level 9 --parsable
    is components ''
    is owners 'memory-base '
    run_quietly --param memory base --level 9
    lacks '^Components'
    run_quietly --param mca base --level 9 --parsable
    is owners 'mca-base '
    run_quietly --param all linux --level 9 --parsable
    is owners 'memory-linux '
    lacks '^machine:'
    lacks '^opalmem:version'
    run_quietly --params memory noop --level 9 --parsable
    is owners 'memory-noop '
}

param_given_twice_asks_for_both() {
    run_quietly --param memory noop --param mca all --level 9 --parsable
    is owners 'mca-base memory-noop '
    run_quietly --param all all --param mca all --level 9 --parsable
    cp "$work/out" "$work/long"
    run_quietly --param all all --level 9 --parsable
    cmp -s "$work/long" "$work/out" || fail "--param mca adds to all"
}

level_is_1_and_says_what_is_left_out() {
    run_quietly --param memory base
    has '^  2 more above level 1: --level 9 shows them.$'
    lacks '^  memory = '
    run_quietly --param memory base --level 2
    has '^  memory = '
    has '^  1 more above level 2'
    run_quietly --param memory base -l 8
    has '^  memory_base_verbose = '
    lacks 'more above level'
    run_quietly --level=8 --param memory base --parsable
    is variables 'memory memory_base_verbose '
    run_quietly --level 2 --parsable
    has ':param:memory:value:'
    has ':param:rcache:value:'
    lacks 'memory_base_verbose'
    is components ''
}

type_chooses_variables() {
    run_quietly --type bool --level 9 --parsable
    has ':param:rcache_base_unsafe:type:bool$'
    ! grep ':type:' "$work/out" | grep -v ':type:bool$' || fail "$what: other types too"
    run_quietly --type bool --type size_t --level 9 --parsable
    has ':param:rcache_base_unsafe:type:bool$'
    has ':param:rcache_base_max_bytes:type:size_t$'
    ! grep ':type:' "$work/out" | grep -v -e ':type:bool$' -e ':type:size_t$' || fail "$what: other types too"
}

selected_leaves_out_what_is_not_in_use() {
    run_quietly --selected --level 9 --parsable --mca memory noop
    is components ''
    case $(owners) in *memory-noop*) ;; *) fail "$what: no variables of noop" ;; esac
    case $(owners) in *memory-linux*) fail "$what: variables of linux" ;; esac
    case $(owners) in *memory-base*) ;; *) fail "$what: no variables of the framework" ;; esac
    for option in --selected --selected-only -s; do
        run_quietly "$option" --parsable --mca memory noop
        has '^mca:memory:noop:selected:yes$'
        lacks '^mca:memory:linux:'
        has '^machine:'
    done
}

path_tells_one_or_all() {
    run_quietly --path prefix
    has '^Paths$'
    has '^  prefix  */'
    [ "$(wc -l < "$work/out")" = 2 ] || fail "$what: more than one path"
    run_quietly --path prefix --path sysconfdir --parsable
    has '^path:prefix:/'
    has '^path:sysconfdir:/'
    [ "$(wc -l < "$work/out")" = 2 ] || fail "$what: not two paths"
    run_quietly --path all --parsable
    for name in prefix exec_prefix bindir libdir includedir datadir mandir sysconfdir componentdir param_files \
        override_file; do
        has "^path:$name:"
    done
    # The names of Open MPI's tool.
    run_quietly --path incdir --path=pkglibdir --parsable
    has '^path:includedir:/'
    has '^path:componentdir:/'
}

config_tells_how_it_was_configured() {
    run_quietly --config --parsable
    for name in arguments host cc cppflags cflags ldflags libs; do
        has "^config:$name:"
    done
    has '^build:components:static:'
    has '^build:liburing:\(yes\|no\)$'
    lacks '^mca:'
    lacks '^machine:'
    # As configure noted them.
    arguments=$("$top_builddir/config.status" --version | sed -n "s/^  with options \"\(.*\)\"$/\1/p")
    for argument in --enable-werror --enable-mca-dso --without-hwloc; do
        case $arguments in *"$argument"*) has "^config:arguments:.*$argument" ;; *) lacks "^config:.*$argument" ;; esac
    done
    cp "$work/out" "$work/long"
    run_quietly -c --parsable
    cmp -s "$work/long" "$work/out" || fail "-c is not --config"
}

what_needs_no_library_works_without_it() {
    for options in --config '--path all' --help --version -h -V; do
        # shellcheck disable=SC2086 # words
        OPALMEM_MCA_memory=nosuch run_quietly $options
    done
    run_quietly --help
    has '^Usage: opalmem-info'
    run_quietly --version
    has '^opalmem-info [0-9]'
    [ "$(wc -l < "$work/out")" = 1 ] || fail "--version prints more than one line"
}

show_failed_names_file_and_cause() {
    run_quietly --show-failed
    has '^Components that could not be loaded$'
    has '^  none$'
    lacks 'noop'
    [ "$can_load" = yes ] || return
    echo "no shared object" > "$work/mca_memory_broken.so"
    run 0 --show-failed --mca mca_base_component_path "$work:$top_builddir/.libs"
    has "^  memory broken (DSO $work/mca_memory_broken.so): could not be loaded\$"
    has '^      .*not a shared object'
    lacks 'noop'
    run 0 --parsable --mca mca_base_component_path "$work:$top_builddir/.libs"
    has '^mca:memory:broken:failed:yes$'
    has '^mca:memory:broken:reason:'
    has '^mca:memory:noop:failed:no$'
}

show_failed_helps_where_the_library_does_not_start() {
    [ "$can_load" = yes ] || return
    echo "no shared object" > "$work/mca_memory_broken.so"
    run 1 --show-failed --mca mca_base_component_path "$work:$top_builddir/.libs" --mca memory broken
    has '^  memory broken .*: could not be loaded$'
    [ "$(wc -l < "$work/err")" = 2 ] || fail "$what: not two messages: $(cat "$work/err")"
    OPALMEM_MCA_mca_base_component_path=$work:$top_builddir/.libs OPALMEM_MCA_memory=broken run 1 --show-failed
    has '^  memory broken .*: could not be loaded$'
    # Without the option the message alone.
    refused 1 'broken' --all --mca mca_base_component_path "$work:$top_builddir/.libs" --mca memory broken
}

every_kind_of_variable_is_told() {
    use_show_component || return
    run_quietly --param memory show --level 9 --parsable
    for name in text number count old live kind; do
        has ":memory_show_$name:value:"
    done
    has ':memory_show_text:value:a b$'
    has ':memory_show_text:synonym:name:show_text$'
    has ':show_text:synonym_of:name:memory_show_text$'
    has ':memory_show_number:type:unsigned_int$'
    has ':memory_show_old:deprecated:yes$'
    has ':memory_show_live:value:0.5$'
    has ':memory_show_live:status:writeable$'
    has ':memory_show_text:status:read-only$'
    has ':memory_show_kind:enumerator:value:1:round$'
    run_quietly --param memory show --level 9
    has '^  memory show 1.2.3 (DSO .*): cannot run here'
    has '^      it exists for a test: it never runs$'
    has '^  memory_show_old = .*, deprecated)$'
    has '^  memory_show_live = .*, settable)$'
    has '^      Valid values: 1 to 10$'
    has '^      Valid values: round, flat$'
    has '^      Synonyms: show_text$'
    has '^  show_text = .*, synonym of memory_show_text)$'
    run_quietly --selected --level 9
    lacks 'memory_show'
}

internal_variables_are_told_where_asked_for() {
    use_show_component || return
    run_quietly --all --parsable
    lacks 'memory_show_secret'
    run_quietly --all --internal --parsable
    has ':memory_show_secret:value:7$'
    run_quietly --internal --parsable
    has ':memory_show_secret:value:7$'
    lacks ':memory_show_kind:'
}

param_chooses_framework_and_component
param_given_twice_asks_for_both
level_is_1_and_says_what_is_left_out
type_chooses_variables
selected_leaves_out_what_is_not_in_use
path_tells_one_or_all
config_tells_how_it_was_configured
what_needs_no_library_works_without_it
show_failed_names_file_and_cause
show_failed_helps_where_the_library_does_not_start
every_kind_of_variable_is_told
internal_variables_are_told_where_asked_for
finish
