#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-names.sh BUILDDIR [RENAME-HEADER]: what the public headers declare, what the
# library exports and what the rename headers list are the same names. It does not
# trust the generator of the rename headers: declarations are taken from the
# preprocessed headers, definitions from the objects. RENAME-HEADER is checked in place of
# include/opal/opalmem_rename.h (for the test of this check).
set -eu
build=$(cd "${1:?usage: check-names.sh BUILDDIR [RENAME-HEADER]}" && pwd)
top=$(cd "$(dirname "$0")/.." && pwd)
rename=${2:-$top/include/opal/opalmem_rename.h}
library=$build/.libs/libopalmem.so
prefix=$(sed -n 's/^#define OPALMEM_SYMBOL_PREFIX "\(.*\)"/\1/p' "$build/include/opal/opalmem_config.h")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL
rc=0
has() { grep -q "^#define OPALMEM_HAVE_$1 1" "$build/opalmem_private_config.h"; }
# lines_only_in A B: what A has and B has not; both are sorted.
lines_only_in() { comm -23 "$1" "$2" | tr '\n' ' '; }
complain() { # WORDS MESSAGE
    if [ -n "$1" ]; then
        echo "check-names: $2: $1" >&2
        rc=1
    fi
}

# ---- What is declared: source names of functions and extern variables ---------------------------------

# Prints the functions and extern variables that files below include/opal declare.
# A statement ends with a semicolon outside braces, or with the body of an inline function or a structure.
declarations() {
    awk -v source="$top/include/opal/" -v built="$build/include/opal/" '
        function skip_parentheses(text, from,    depth, i, c) {
            for (i = from; i <= length(text); i++) {
                c = substr(text, i, 1)
                if (c == "(") depth++
                else if (c == ")" && --depth == 0) return i + 1
            }
            return i
        }
        function declare(text,    at) {
            while ((at = match(text, /__attribute__ *\(/)) > 0) {
                text = substr(text, 1, at - 1) " " substr(text, skip_parentheses(text, at + RLENGTH - 1))
            }
            gsub(/__extension__/, "", text)
            gsub(/[ \t]+/, " ", text)
            sub(/^ /, "", text)
            if (text == "" || text ~ /^(typedef|static|_Static_assert)([ (]|$)/) return
            if (match(text, /[A-Za-z_][A-Za-z0-9_]* *\(/)) {
                text = substr(text, RSTART, RLENGTH - 1)
                sub(/ $/, "", text)
                print text
            } else if (text ~ /^extern /) {
                sub(/ *(\[.*)?$/, "", text)
                match(text, /[A-Za-z_][A-Za-z0-9_]*$/)
                print substr(text, RSTART, RLENGTH)
            }
        }
        /^# [0-9]+ "/ { # Where the next line comes from.
            ours = index($0, "\"" source) > 0 || index($0, "\"" built) > 0
            next
        }
        /^#/ || !ours { next }
        {
            for (i = 1; i <= length($0); i++) {
                c = substr($0, i, 1)
                if (c == "{") { if (depth++ == 0) { has_body = text ~ /\)[^)]*$/ } }
                else if (c == "}") { if (--depth == 0 && has_body) { declare(text); text = "" } }
                else if (depth > 0) continue
                else if (c == ";") { declare(text); text = "" }
                else text = text c
            }
            text = text " "
        }'
}
(cd "$top/include" && find opal -name '*.h' ! -name opalmem_rename.h | sort | sed 's/.*/#include "&"/') > "$work/all.c"
# With the rename header's guard set, names are those of the source.
${CC:-cc} -E -DOPAL_OPALMEM_RENAME_H -I"$build/include" -I"$top/include" "$work/all.c" | declarations | sort -u > "$work/declared"
[ -s "$work/declared" ] || { echo "check-names: no declaration was found below include/opal" >&2; exit 1; }

# ---- What is defined -----------------------------------------------------------------------------------

nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /^__/ { sub(/@.*/, "", $3); print $3 }' | sort -u > "$work/exported"
find "$build/.libs" -name 'libopalmem*.a' -exec nm -g --defined-only {} + 2>/dev/null | awk 'NF == 3 && $3 !~ /^DW\./ { print $3 }' | sort -u > "$work/global"
object_names() { sed -e 's/^opalmem_//' -e "s/^/$prefix/" "$1" | sort -u; }
object_names "$work/declared" > "$work/declared_objects"
optional='^$'
has LIBURING || optional="$optional|_uring_" # Declared everywhere, but only there with the library.
has IBVERBS || optional="$optional|_verbs_"
lines_of() { sed -n 's/^#define \([A-Za-z0-9_]*\) .*NAME(.*/\1/p' "$1" | sort -u; }
lines_of "$rename" > "$work/listed"
lines_of "$top/framework/rename_private.h" | grep -v '^mca_[a-z]*_[a-z]*_component$' > "$work/listed_private"

complain "$(lines_only_in "$work/declared_objects" "$work/exported" | tr ' ' '\n' | grep -vE "$optional" | tr '\n' ' ')" \
    "declared in a public header, but not exported by libopalmem.so under that name"
complain "$(lines_only_in "$work/exported" "$work/declared_objects")" "exported by libopalmem.so, but declared in no public header"
complain "$(lines_only_in "$work/declared" "$work/listed")" "declared in a public header, but without a line in $rename"
complain "$(lines_only_in "$work/listed" "$work/declared")" "a line in $rename, but declared in no public header"
# Each line gives the name that this file expects, and nothing else is in the headers.
for header in "$rename" "$top/framework/rename_private.h"; do
    complain "$(sed -n 's/^#define \([A-Za-z0-9_]*\) \(.*\)$/\1 \2/p' "$header" |
        awk '{ want = $1; sub(/^opalmem_/, "", want); if ($2 != "OPALMEM_NAME(" want ")" || NF != 2) print $0 }')" \
        "a line of $header that gives another name"
done
# What only sources for other processors name.
cpu=$(sed -n "s/^host_cpu='\(.*\)'/\1/p" "$build/config.log")
find "$top/framework" "$top/components" "$top/rcache" -name '*.[chS]' ! -name rename_private.h \
    \( ! -name '*_x86_64.*' ! -name '*_aarch64.*' -o -name "*_$cpu.*" \) -exec cat {} + |
    grep -ohE '[A-Za-z_][A-Za-z0-9_]*' | sort -u > "$work/words"
# Names of parts that are left out, or lie in DSOs, are in no archive here.
if [ -z "$(ls "$build"/.libs/mca_*.so 2>/dev/null)" ] && has LTDL && has LIBURING && has IBVERBS && [ -s "$work/global" ]; then
    grep -xF -f "$work/words" "$work/listed_private" > "$work/listed_here"
    object_names "$work/listed_here" > "$work/private_objects"
    complain "$(lines_only_in "$work/private_objects" "$work/global")" "a line in framework/rename_private.h, but defined nowhere"
    cat "$work/declared_objects" "$work/private_objects" | sort -u > "$work/known"
    complain "$(lines_only_in "$work/global" "$work/known" | tr ' ' '\n' | grep -vE "^(__.*|${prefix}mca_[a-z]*_[a-z]*_component)\$" | tr '\n' ' ')" \
        "a global symbol of the static library that is in no rename header"
fi
[ $rc != 0 ] || echo "check-names: $(wc -l < "$work/declared") public names are declared, listed and exported alike"
exit $rc
