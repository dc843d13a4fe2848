#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# A program that is linked statically needs only what pkg-config --static says. The component linux cannot work in it
# and says why; nothing is cached then, and the program goes on.
set -eu
skip() { echo "SKIP: $*"; exit 77; }
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer"
[ -e "$top_builddir/.libs/libopalmem.a" ] || skip "built with --disable-static"
command -v pkg-config > /dev/null || skip "pkg-config is missing"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'int main(void) { return 0; }' > "$work/empty.c"
${CC:-cc} -static -o "$work/empty" "$work/empty.c" 2> /dev/null || skip "programs cannot be linked statically (Debian package: libc6-dev)"
# One installation at a time: libtool links anew in the build tree.
flock "$top_builddir/config.status" make -C "$top_builddir" install DESTDIR="$work/root" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
pc=$(find "$work/root" -name opalmem.pc)
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$work/root"
unset OPALMEM_MCA_mca_base_component_path
# The linker warns of dlopen in a static program.
# shellcheck disable=SC2046 # lists of options
${CC:-cc} -static -Wall -Wextra -o "$work/minimal" "$top_srcdir/examples/minimal.c" \
    $(pkg-config --static --cflags --libs opalmem) > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
if [ -n "$(ls "$top_builddir"/.libs/mca_memory_*.so 2> /dev/null)" ]; then
    echo "linked; the components are DSOs of another copy, libopalmem.so: not run"
    exit 0
fi
# linux replaces the code of libc.so, which is not there. What the kernel tells of is another matter.
out=$("$work/minimal" --mca memory linux,noop 2>&1) || { echo "exit status $?: $out"; exit 1; }
[ "$out" = "noop: 0 release(s)" ] || { echo "minimal printed: $out"; exit 1; }
if out=$("$work/minimal" --mca memory linux 2>&1); then
    echo "--mca memory linux is accepted: $out"
    exit 1
fi
case $(uname -m) in
    x86_64) case $out in *"the program is statically linked"*) ;; *) echo "no reason is given: $out"; exit 1 ;; esac ;;
esac
