#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# An installed library serves a program that knows only pkg-config: shared, with
# components where they are installed, and with no path of the build tree.
set -eu
command -v pkg-config >/dev/null || { echo "SKIP: pkg-config"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One installation at a time: libtool links anew in the build tree.
flock "$top_builddir/config.status" make -C "$top_builddir" install DESTDIR="$work/root" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
pc=$(find "$work/root" -name opalmem.pc)
[ -n "$pc" ] || { echo "opalmem.pc was not installed"; exit 1; }
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$work/root"
unset OPALMEM_MCA_mca_base_component_path
# shellcheck disable=SC2046,SC2086 # lists of options
${CC:-cc} $TEST_CFLAGS -Wall -Wextra -Werror -o "$work/minimal" "$top_srcdir/examples/minimal.c" \
    $(pkg-config --cflags --libs opalmem)
libdir=$PKG_CONFIG_SYSROOT_DIR$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --variable=libdir opalmem)
out=$(LD_LIBRARY_PATH=$libdir "$work/minimal" --mca memory noop) ||
    { # Components as DSOs lie in the folder they are configured for, which is not there yet.
        out=$(LD_LIBRARY_PATH=$libdir OPALMEM_MCA_mca_base_component_path=$libdir/opalmem "$work/minimal" --mca memory noop); }
[ "$out" = "noop: 0 release(s)" ] || { echo "minimal printed: $out"; exit 1; }
# Moved away from all its components: it says so, and where it looked.
if [ -e "$libdir/opalmem/mca_memory_linux.so" ] && [ -e "$libdir/opalmem/mca_memory_noop.so" ]; then
    LD_LIBRARY_PATH=$libdir "$work/minimal" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    grep -q 'warning: framework memory has no components: .* none were found in SYSTEM_DEFAULT.*SYSTEM_DEFAULT is /' "$work/log" ||
        { echo "no warning without any component:"; cat "$work/log"; exit 1; }
    ! LD_LIBRARY_PATH=$libdir "$work/minimal" --mca memory linux > "$work/log" 2>&1 || { echo "linux without linux"; exit 1; }
    grep -q 'there are: none in SYSTEM_DEFAULT.*SYSTEM_DEFAULT is /' "$work/log" || { cat "$work/log"; exit 1; }
    LD_LIBRARY_PATH=$libdir "$work/minimal" --mca mca_base_component_disable_dlopen 1 > "$work/log" 2>&1
    ! grep -q opalmem: "$work/log" || { echo "a warning where DSOs are forbidden"; cat "$work/log"; exit 1; }
fi
# A C++ program finds the same names.
cat > "$work/plus.cc" <<'EOT'
#include <opal/opalmem.h>
#include <opal/mca/rcache/provider.h>
int main()
{
    mca_rcache_provider_t *provider = nullptr;
    if (opalmem_init(nullptr, nullptr) != OPAL_SUCCESS || opal_memory == nullptr || opal_memory_changed()) return 1;
    if (mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) return 1;
    mca_rcache_provider_close(provider);
    return opalmem_finalize() != OPAL_SUCCESS;
}
EOT
if command -v "${CXX:-c++}" > /dev/null; then
    # shellcheck disable=SC2046,SC2086 # lists of options
    ${CXX:-c++} $TEST_CFLAGS -Wall -Wextra -Werror -o "$work/plus" "$work/plus.cc" $(pkg-config --cflags --libs opalmem)
    if [ -d "$libdir/opalmem" ]; then
        export OPALMEM_MCA_mca_base_component_path="$libdir/opalmem"
    fi
    LD_LIBRARY_PATH=$libdir "$work/plus" || { echo "the C++ program: exit status $?"; exit 1; }
fi
prefix=$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --variable=symbol_prefix opalmem)
nm "$work/minimal" | grep -q " U ${prefix}init" || { echo "pkg-config's prefix $prefix is not the library's"; exit 1; }
found=$(find "$work/root" -type f -path '*/bin/opalmem-info')
[ -n "$found" ] || { echo "opalmem-info was not installed"; exit 1; }
LD_LIBRARY_PATH=$libdir "$found" --version >/dev/null
# Programs that stay in the build tree know where it is; these do not.
for program in "${found%/*}"/*; do
    ! grep -qaF "$(cd "$top_builddir" && pwd)/.libs" "$program" || { echo "$program looks for libraries in the build tree"; exit 1; }
done
for name in opalmem-info opalmem-coverage opalmem-msg opalmem-run; do
    [ -e "$top_builddir/$name" ] || continue
    [ -n "$(find -L "$work/root" -type f -path "*/bash-completion/completions/$name")" ] ||
        { echo "the completion of $name was not installed"; exit 1; }
done
for page in $(cd "$top_srcdir/man" && ls ./*.[1-9]); do
    case $page in
        *msg*) [ -e "$top_builddir/opalmem-msg" ] || continue ;;
        *run*) [ -e "$top_builddir/opalmem-run" ] || continue ;;
    esac
    [ -n "$(find "$work/root" -name "${page#./}*")" ] || { echo "${page#./} was not installed"; exit 1; }
done
