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

# Documents are judged all at once, in finish_json: starting the reader takes longer than everything else.
documents=0

# json ARGUMENT...: a run that prints a document, which the following lines are about.
runner=run_quietly
json() {
    $runner "$@"
    what=$(printf %s "$what" | LC_ALL=C tr -c '[:print:]' '?')
    documents=$((documents + 1))
    mv "$work/out" "$work/$documents.json"
    is '' '*' # It is valid.
}

# is PATH EXPECTED: the value at a path such as "components.0.name" or "variables.NAME.type", in JSON; of an object its keys;
# "*": any. EXPECTED begins with "~": a regular expression.
is() {
    printf '%s\t%s\t%s\t%s\n' "$work/$documents.json" "$1" "$2" "$what" >> "$work/checks"
}

judge() {
    if [ $reader = python3 ]; then
        python3 - "$work/checks" << 'EOT'
import json, re, sys

def step(value, name):
    if isinstance(value, list):
        return value[int(name)] if name.isdigit() else next(item for item in value if item['name'] == name)
    return value[name]

def found(path, steps):
    value = json.loads(open(path, 'rb').read().decode('utf-8'))
    for name in filter(None, steps.split('.')):
        value = step(value, name)
    return ','.join(value) if isinstance(value, dict) else json.dumps(value, separators=(',', ':'))

for line in open(sys.argv[1], encoding='utf-8', errors='surrogateescape'):
    path, steps, expected, what = line.rstrip('\n').split('\t')
    try:
        value = found(path, steps)
    except Exception as error:
        value = repr(error)
        expected = expected if expected != '*' else 'a valid document'
    if expected != '*' and value != expected and not (expected[0] == '~' and re.fullmatch(expected[1:], value)):
        print(f'{what}: {steps} is {value}, expected {expected}')
EOT
    else
        node - "$work/checks" << 'EOT'
const fs = require('fs');
function step(value, name) {
    const next = Array.isArray(value) && !/^\d+$/.test(name) ? value.find(item => item.name === name) : value[name];
    if (next === undefined) { throw new Error('no ' + name); }
    return next;
}
function found(path, steps) {
    let value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(path)));
    steps.split('.').filter(name => name).forEach(name => { value = step(value, name); });
    const list = value !== null && typeof value === 'object' && !Array.isArray(value);
    return list ? Object.keys(value).join(',') : JSON.stringify(value)
        .replace(/[\u007f-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}
for (const line of fs.readFileSync(process.argv[2], 'utf-8').trimEnd().split('\n')) {
    let [path, steps, expected, what] = line.split('\t'), value;
    try { value = found(path, steps); } catch (error) {
        value = String(error);
        if (expected === '*') { expected = 'a valid document'; }
    }
    const fits = expected[0] === '~' && new RegExp('^(?:' + expected.slice(1) + ')$').test(value);
    if (expected !== '*' && value !== expected && !fits) {
        console.log(`${what}: ${steps} is ${value}, expected ${expected}`);
    }
}
EOT
    fi
}

finish_json() {
    judge > "$work/judged" || fail "$reader does not end well"
    while read -r line; do
        fail "$line"
    done < "$work/judged"
    echo "$documents documents, $(wc -l < "$work/checks") checks"
    [ "$documents" -ge 40 ] || fail "only $documents documents"
    finish
}

keys_are_those_of_the_sections() {
    json --json
    is '' program,version,build,machine,components
    json --all --json
    is '' program,version,build,config,path,machine,components,variables
    is program '"opalmem-info"'
    json --config --json
    is '' program,version,build,config
    json --path prefix --path libdir --json
    is path prefix,libdir
    json --level 9 --json
    is '' program,version,variables
    json --param all all --json
    is '' program,version,components,variables
    json --show-failed --json
    is components '[]'
    run_quietly --version --json
    has '^opalmem-info [0-9]'
}

types_are_those_of_the_values() {
    json --all --json
    is build prefix,componentdir,components_static,components_dso,symbol_prefix,compiler,hwloc,libltdl,libibverbs,liburing
    is config arguments,host,cc,cppflags,cflags,ldflags,libs
    is machine.page_sizes.0 4096
    is machine.processors '~[1-9][0-9]*'
    is machine.io_uring_allowed '~true|false'
    is machine.hooks_support '~\[.*\]'
    is machine.lockable_limit '~null|[0-9]+'
    is components.0 framework,name,version,linkage,path,available,selected,failed,priority,reason
    is variables.0 "name,framework,component,value,type,source,source_detail,status,scope,level,help,deprecated,internal,minimum,\
maximum,enumerator,synonyms,synonym_of"
    is variables.memory_base_verbose.value '"0"'
    is variables.memory_base_verbose.level 8
    is variables.memory_base_verbose.maximum 100
    is variables.memory_base_verbose.source '"default"'
    is variables.memory_base_verbose.source_detail null
    is variables.memory_base_verbose.status '"writeable"'
    is variables.rcache_base_leave_pinned.enumerator.0.name '"auto"'
    is variables.rcache_base_leave_pinned.enumerator.0.value -1
    is variables.mpi_leave_pinned.synonym_of '"rcache_base_leave_pinned"'
}

values_and_sources_arrive() {
    json --all --json --mca memory_base_verbose 3
    is variables.memory_base_verbose.value '"3"'
    is variables.memory_base_verbose.source '"command line"'
    is variables.memory_base_verbose.source_detail '"argument 3"'
}

any_bytes_make_a_valid_document() {
    runner="run 0" # That there is no such folder may be said.
    path=$(printf '/a"b\\c\n\t\001\177\303\244\377x\355\240\200')
    json --all --json --mca mca_base_component_path "$path"
    is variables.mca_base_component_path.value \
        '"/a\"b\\c\n\t\u0001\u007f\u00e4\ufffdx\ufffd\ufffd\ufffd"'
    # Single bytes of every kind.
    i=1
    while [ $i -lt 256 ]; do
        path=$(printf '/x%by' "\\0$(printf %o $i)")
        json --param mca all --level 9 --json --mca mca_base_component_path "$path"
        i=$((i + 7))
    done
    path=$(printf '/%0700d' 7)
    json --all --json --mca mca_base_component_path "$path"
    is variables.mca_base_component_path.value "\"$path\""
    runner=run_quietly
}

every_kind_of_variable_is_told() {
    use_show_component || return
    json --all --internal --json
    is variables.memory_show_live.value '"0.5"'
    is variables.memory_show_live.scope '"local"'
    is variables.memory_show_secret.internal true
    is variables.memory_show_text.internal false
    is variables.memory_show_old.deprecated true
    is variables.memory_show_count.minimum 1
    is variables.memory_show_number.minimum null
    is variables.memory_show_text.synonyms '["show_text"]'
    is variables.show_text.synonym_of '"memory_show_text"'
}

keys_are_those_of_the_sections
types_are_those_of_the_values
values_and_sources_arrive
any_bytes_make_a_valid_document
every_kind_of_variable_is_told
finish_json
