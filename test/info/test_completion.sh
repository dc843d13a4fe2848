#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Bash completion of opalmem-info and opalmem-msg: what is offered at each place.
set -u
top_builddir=$(cd "${top_builddir:-.}" && pwd)
script=${top_srcdir:-.}/tools/completion/opalmem-info
command -v bash >/dev/null || { echo "SKIP: bash is missing"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failures=0

# offered COMMAND WORD...: what bash offers for the last word, on one line.
offered() {
    bash -c '
        source "$1" || exit 1
        shift
        function_name=$(complete -p "${1##*/}" | sed "s/.*-F \([^ ]*\) .*/\1/")
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        "$function_name" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"' bash "$script" "$@" 2>"$work/err"
    if [ -s "$work/err" ]; then
        echo "on stderr: $(cat "$work/err")"
    fi
}

# offers EXPECTED COMMAND WORD...: exactly these.
offers() {
    expected=$1
    shift
    found=$(offered "$@")
    if [ "$found" != "$expected" ]; then
        echo "FAIL: $*: offered \"$found\", expected \"$expected\""
        failures=$((failures + 1))
    fi
}

# has EXPECTED COMMAND WORD...: this is among them.
has() {
    expected=$1
    shift
    found=$(offered "$@")
    case " $found " in
        *" $expected "*) ;;
        *)
            echo "FAIL: $*: \"$expected\" is not among \"$found\""
            failures=$((failures + 1)) ;;
    esac
}

info=$top_builddir/opalmem-info
PATH=$top_builddir:$PATH
export PATH

# Options: all that --help lists are offered.
"$info" --help | grep -oE -e '--[a-z][a-z-]+' | sort -u > "$work/options"
while read -r option; do
    has "$option" "$info" "$option"
done < "$work/options"
[ -s "$work/options" ] || { echo "FAIL: --help lists no options"; failures=$((failures + 1)); }
offers '--param --path --pretty --parsable' "$info" --p
offers '' "$info" --nosuch

# Frameworks, components, levels, types, paths.
has memory "$info" --param ''
has all "$info" --param ''
offers mca "$info" --json --param mc
has noop "$info" --param memory ''
has base "$info" --param memory ''
offers noop "$info" --param memory no
offers all "$info" --param nosuch ''
offers '1 2 3 4 5 6 7 8 9' "$info" --level ''
offers '1 2 3 4 5 6 7 8 9' "$info" --level =
offers 9 "$info" --level = 9
offers 'size_t string' "$info" --type s
offers 'sysconfdir' "$info" --path s
# Each name of a path that the program knows, and no other.
offers "all $("$info" --path all --parsable | cut -d: -f2 | tr '\n' ' ' | sed 's/ $//')" "$info" --path ''

# Variables, and values that are known.
offers 'memory_base_verbose' "$info" --mca memory_base_v
has memory "$info" --gmca mem
has noop "$info" --mca memory ''
offers warn "$info" --mca rcache_base_in_use_policy w
offers 'true false' "$info" --mca rcache_base_unsafe ''
offers '' "$info" --mca nosuch ''
offers '' "$info" --mca '.*' ''

# A library that does not start offers nothing, quietly.
OPALMEM_MCA_memory=nosuch offers '' "$info" --mca mem
touch "$work/a b" "$work/c"
cd "$work" || exit 99
offers 'a b' "$info" --tune a

# opalmem-msg asks the opalmem-info in $PATH.
if [ -x "$top_builddir/opalmem-msg" ]; then
    offers 'reuse realloc' opalmem-msg --pattern re
    offers 'none no-hooks' opalmem-msg --cache n
    offers 'memory_base_verbose' opalmem-msg --mca memory_base_v
    offers 'a b' opalmem-msg a
    "$top_builddir/opalmem-msg" --help | grep -oE -e '^ +--[a-z]+' | sort -u | while read -r option; do
        has "$option" opalmem-msg "$option"
        [ "$failures" = 0 ] || exit 1
    done || failures=1
fi

# opalmem-top lists processes.
"$top_builddir/opalmem-top" --help | grep -oE -e '--[a-z]+' | sort -u > "$work/options"
[ -s "$work/options" ] || { echo "FAIL: opalmem-top --help lists no options"; failures=$((failures + 1)); }
while read -r option; do
    has "$option" "$top_builddir/opalmem-top" "$option"
done < "$work/options"
offers '' "$top_builddir/opalmem-top" --delay 1
offers '' "$top_builddir/opalmem-top" x

[ "$failures" = 0 ] || exit 1
echo "completion: all good"
