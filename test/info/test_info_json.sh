#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info --json: always one valid document, with what was asked for, under the keys of the man page.
set -u
# shellcheck source=test/info/info_common.sh
. "${top_srcdir:-.}/test/info/info_common.sh"

# Both judge strictly, also the encoding; python's -m json.tool would take several documents in some versions.
if command -v python3 > /dev/null && python3 -c 'import json' 2> /dev/null; then
    reader=python3
elif command -v node > /dev/null; then
    reader=node
else
    skip "neither python3 nor node is there to read JSON"
fi

# get PATH: the value in $work/out at a path such as "components.0.name", in JSON; fails if the document is not valid.
get() {
    if [ $reader = python3 ]; then
        python3 - "$work/out" "$1" << 'EOT'
import json, sys
value = json.loads(open(sys.argv[1], 'rb').read().decode('utf-8'))
for name in filter(None, sys.argv[2].split('.')):
    value = value[int(name)] if isinstance(value, list) else value[name]
print(','.join(value) if isinstance(value, dict) else json.dumps(value, separators=(',', ':')))
EOT
    else
        node - "$work/out" "$1" << 'EOT'
const bytes = require('fs').readFileSync(process.argv[2]);
let value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
for (const name of process.argv[3].split('.').filter(name => name)) {
    if (!(name in value)) { throw new Error('no ' + name); }
    value = value[name];
}
const list = value !== null && typeof value === 'object' && !Array.isArray(value);
console.log(list ? Object.keys(value).join(',') : JSON.stringify(value)
    .replace(/[\u0080-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')));
EOT
    fi
}

# is PATH EXPECTED
is() {
    found=$(get "$1" 2>&1)
    [ "$found" = "$2" ] || fail "$what: $1 is $found, expected $2"
}

# variable NAME MEMBER: place of a member of the variable in $work/out.
variable() {
    index=$(sed -n '/^  "variables"/,$s/^      \("name": .*\)/\1/p' "$work/out" | grep -n "\"name\": \"$1\"," | cut -d: -f1)
    echo "variables.$((${index:-0} - 1)).$2"
}

keys_are_those_of_the_sections() {
    run_quietly --json
    is '' program,version,build,machine,components
    run_quietly --all --json
    is '' program,version,build,config,path,machine,components,variables
    is program '"opalmem-info"'
    run_quietly --config --json
    is '' program,version,build,config
    run_quietly --path prefix --path libdir --json
    is path prefix,libdir
    run_quietly --level 9 --json
    is '' program,version,variables
    run_quietly --param all all --json
    is '' program,version,components,variables
    run_quietly --show-failed --json
    is components '[]'
    run_quietly --version --json
    has '^opalmem-info [0-9]'
}

types_are_those_of_the_values() {
    run_quietly --all --json
    is build prefix,componentdir,components_static,components_dso,symbol_prefix,compiler,hwloc,libltdl,libibverbs,liburing
    is config arguments,host,cc,cppflags,cflags,ldflags,libs
    is machine.page_sizes.0 4096
    case $(get machine.processors) in [1-9]*) ;; *) fail "machine.processors: $(get machine.processors)" ;; esac
    case $(get machine.io_uring_allowed) in true | false) ;; *) fail "io_uring_allowed is no truth value" ;; esac
    case $(get machine.hooks_support) in '['*']') ;; *) fail "hooks_support is no list" ;; esac
    case $(get machine.lockable_limit) in null | [0-9]*) ;; *) fail "lockable_limit: $(get machine.lockable_limit)" ;; esac
    is components.0 framework,name,version,linkage,path,available,selected,failed,priority,reason
    is variables.0 "name,framework,component,value,type,source,source_detail,status,scope,level,help,deprecated,internal,minimum,\
maximum,enumerator,synonyms,synonym_of"
    is "$(variable memory_base_verbose value)" '"0"'
    is "$(variable memory_base_verbose level)" 8
    is "$(variable memory_base_verbose maximum)" 100
    is "$(variable memory_base_verbose source)" '"default"'
    is "$(variable memory_base_verbose source_detail)" null
    is "$(variable memory_base_verbose status)" '"writeable"'
    is "$(variable rcache_base_leave_pinned enumerator.0.name)" '"auto"'
    is "$(variable rcache_base_leave_pinned enumerator.0.value)" -1
    is "$(variable mpi_leave_pinned synonym_of)" '"rcache_base_leave_pinned"'
}

values_and_sources_arrive() {
    run_quietly --all --json --mca memory_base_verbose 3
    is "$(variable memory_base_verbose value)" '"3"'
    is "$(variable memory_base_verbose source)" '"command line"'
    is "$(variable memory_base_verbose source_detail)" '"argument 3"'
}

any_bytes_make_a_valid_document() {
    path=$(printf '/a"b\\c\n\t\001\177\303\244\377x\355\240\200')
    run 0 --all --json --mca mca_base_component_path "$path"
    is "$(variable mca_base_component_path value)" \
        '"/a\"b\\c\n\t\u0001\u007f\u00e4\ufffdx\ufffd\ufffd\ufffd"'
    # Single bytes of every kind.
    i=1
    while [ $i -lt 256 ]; do
        path=$(printf '/x%by' "\\0$(printf %o $i)")
        "$info" --param mca all --level 9 --json --mca mca_base_component_path "$path" > "$work/out" 2> "$work/err"
        get program > "$work/program" 2>&1 || fail "byte $i makes the document invalid: $(cat "$work/program")"
        i=$((i + 7))
    done
    path=$(printf '/%0700d' 7)
    run 0 --all --json --mca mca_base_component_path "$path"
    is "$(variable mca_base_component_path value)" "\"$path\""
}

every_kind_of_variable_is_told() {
    use_show_component || return
    run_quietly --all --internal --json
    is "$(variable memory_show_live value)" '"0.5"'
    is "$(variable memory_show_live scope)" '"local"'
    is "$(variable memory_show_secret internal)" true
    is "$(variable memory_show_text internal)" false
    is "$(variable memory_show_old deprecated)" true
    is "$(variable memory_show_count minimum)" 1
    is "$(variable memory_show_number minimum)" null
    is "$(variable memory_show_text synonyms)" '["show_text"]'
    is "$(variable show_text synonym_of)" '"memory_show_text"'
}

keys_are_those_of_the_sections
types_are_those_of_the_values
values_and_sources_arrive
any_bytes_make_a_valid_document
every_kind_of_variable_is_told
finish
