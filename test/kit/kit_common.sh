# shellcheck shell=sh disable=SC2154 # sourced; the upper Makefile sets top_builddir
# SPDX-License-Identifier: BSD-3-Clause
# An installed library as a stranger has it, in $work/root; cc and pkg-config find it. Ends with 77 where no
# component can be loaded.
fail() { echo "FAIL: $1"; [ ! -e "$work/out" ] || cat "$work/out"; exit 1; }
# The last command's output, in $work/out, holds the pattern.
has() { grep -q -- "$1" "$work/out" || fail "$2: expected $1"; }

real_pkg_config=$(command -v pkg-config) || { echo "SKIP: pkg-config"; exit 77; }
grep -q '^#define OPALMEM_HAVE_LTDL 1' "$top_builddir/opalmem_private_config.h" ||
    { echo "SKIP: built without libltdl, components cannot be loaded"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One installation at a time: libtool links anew in the build tree.
flock "$top_builddir/config.status" make -C "$top_builddir" install DESTDIR="$work/root" > "$work/out" 2>&1 ||
    fail "make install"
pc=$(find "$work/root" -name opalmem.pc)
[ -n "$pc" ] || fail "opalmem.pc was not installed"
export PKG_CONFIG_PATH="${pc%/*}"
prefix=$work/root$(pkg-config --variable=prefix opalmem)

# With its place: the wrapper below has the same name, and would find itself.
compiler=${CC:-cc}
compiler=$(command -v "${compiler%% *}")${compiler#"${compiler%% *}"} || { echo "SKIP: ${CC:-cc}"; exit 77; }

mkdir "$work/bin"
# The library lies elsewhere than it was configured for.
printf '#!/bin/sh\nexec "%s" --define-variable=prefix="%s" "$@"\n' "$real_pkg_config" "$prefix" > "$work/bin/pkg-config"
printf '#!/bin/sh\nexec %s "$@" %s\n' "$compiler" "${TEST_CFLAGS:-}" > "$work/bin/cc"
chmod +x "$work/bin/pkg-config" "$work/bin/cc"
PATH=$work/bin:$prefix/bin:$PATH
LD_LIBRARY_PATH=$(pkg-config --variable=libdir opalmem)
componentdir=$(pkg-config --variable=componentdir opalmem)
case $componentdir in "$work"/*) ;; *) fail "pkg-config --variable=componentdir says $componentdir" ;; esac
OPALMEM_MCA_mca_base_component_path=$componentdir
export PATH LD_LIBRARY_PATH OPALMEM_MCA_mca_base_component_path

# A copy of the installed example in $work/kit, which is the current folder then.
copy_example() {
    example=$(find "$work/root" -type d -path '*/examples/component')
    [ -n "$example" ] || fail "the example was not installed"
    cp -R "$example" "$work/kit"
    chmod -R u+w "$work/kit"
    cd "$work/kit" || exit 1
}

kit() {
    # clang leaves the sanitizer's own symbols of a DSO to the program.
    set -- ${TEST_CFLAGS:+COMPONENT_LDFLAGS="-shared -Wl,-z,now"} "$@"
    make CC=cc CFLAGS="-O1 -g -Werror" "$@" > "$work/out" 2>&1
}
demo() { ./demo "$@" > "$work/out" 2>&1 || fail "demo $*"; }
refused() { if ./demo "$@" > "$work/out" 2>&1; then fail "demo $*: it runs"; fi; }
