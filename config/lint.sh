#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# lint.sh BUILDDIR: what machines can see in the sources. Every tool must be
# there: a check that did not run is no pass.
set -eu
build=$(cd "${1:?usage: lint.sh BUILDDIR}" && pwd)
cd "$(dirname "$0")/.."
rc=0
for pair in clang-format:clang-format clang-tidy:clang-tidy cppcheck:cppcheck shellcheck:shellcheck; do
    command -v "${pair%%:*}" >/dev/null || { echo "lint: ${pair%%:*} is missing (Debian package: ${pair##*:})" >&2; exit 1; }
done
# From git where there is one; a tarball has only what belongs to it.
list() { git ls-files -co --exclude-standard -- "$@" 2>/dev/null || find . -path ./build -prune -o \( -name "${1#\*}" -o -name "$1" \) -print; }
sources=$(list '*.c' '*.h' | grep -vE '^test/kernel/(common|kdreg2|ummunotify)/|rename.*\.h$')
scripts=$(list '*.sh' | tr '\n' ' ')" autogen.sh quickstart .ci/run"

echo "lint: include direction"
config/check-layers.sh || rc=1
echo "lint: format"
# shellcheck disable=SC2086 # a list
clang-format --dry-run -Werror $sources || rc=1
echo "lint: shell scripts"
# shellcheck disable=SC2086
shellcheck -x $scripts || rc=1
echo "lint: length of functions and files"
# shellcheck disable=SC2086
awk 'FNR == 1 { start = 0 } /^{/ { start = FNR } /^}/ { if (start && FNR - start > 60) { print FILENAME ":" start ": a function of " FNR - start " lines"; bad = 1 } start = 0 }
    FNR > 600 && !seen[FILENAME]++ { print FILENAME ": over 600 lines"; bad = 1 } END { exit bad }' $sources || rc=1
# The quotes are meant to reach the compiler.
# shellcheck disable=SC2089
flags="-std=gnu11 -DOPALMEM_COMPONENTDIR=\"\" -DOPALMEM_SYSCONFDIR=\"\" -I$build/include -Iinclude -I. -I$build -include opalmem_private_config.h -DMCA_BASE_COMPONENT_IS_STATIC"
product=$(echo "$sources" | grep -E '^(framework|components|rcache|tools)/.*\.c$')
[ -z "$(command -v pkg-config)" ] || flags="$flags $(pkg-config --cflags hwloc 2>/dev/null || true)"
echo "lint: documentation comments"
for header in $(echo "$sources" | grep '^include/'); do
    # shellcheck disable=SC2086
    clang -Wdocumentation -Werror -fsyntax-only -I"$build/include" -Iinclude -x c "$header" || rc=1
done
echo "lint: clang-tidy"
# Files for another processor than this one are read as a compiler for that one reads them.
: > "$build/tidy.err"
for cpu in x86_64 aarch64; do
    files=$(printf '%s\n' "$product" | grep "_$cpu\\.c\$" || true)
    echo '#include <stdio.h>' | clang --target=$cpu-linux-gnu -fsyntax-only -x c - 2>/dev/null ||
        { echo "lint: the C library's headers for $cpu are missing (Debian packages: libc6-dev-arm64-cross and libgcc-12-dev-arm64-cross, or -amd64-)" >&2; exit 1; }
    # shellcheck disable=SC2086,SC2090
    printf '%s\n' $files | xargs -P "$(nproc)" -I{} clang-tidy --quiet {} -- --target=$cpu-linux-gnu $flags 2>>"$build/tidy.err" || rc=1
done
# shellcheck disable=SC2086,SC2090
printf '%s\n' $product | grep -vE '_(x86_64|aarch64)\.c$' | xargs -P "$(nproc)" -I{} clang-tidy --quiet {} -- $flags 2>>"$build/tidy.err" || rc=1
echo "lint: cppcheck"
# shellcheck disable=SC2086
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    --suppress=missingIncludeSystem -I"$build/include" -Iinclude -I. -D__LP64__ -D__linux__ -DOPALMEM_COMPONENTDIR='""' -DOPALMEM_SYSCONFDIR='""' $product 2>"$build/cppcheck.err" || {
    cat "$build/cppcheck.err"; rc=1; }
[ $rc != 0 ] || echo "lint: clean"
exit $rc
