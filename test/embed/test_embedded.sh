#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# The library as a part of another project (examples/embedded): it is configured and built by that project, works in
# it, is not installed, and shows nobody its names. What is built stays for test_two_copies.sh.
set -eu
outer=$top_builddir/test/embed/outer.d
skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "$*"; exit 1; }
[ -z "$TEST_CFLAGS" ] || skip "a build with a sanitizer"
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || skip "the outer project is configured for this machine"
[ "${OPALMEM_TEST_LONG:-yes}" != no ] || skip "OPALMEM_TEST_LONG is no"
for tool in autoreconf automake libtoolize; do
    command -v $tool > /dev/null || skip "$tool is missing"
done
case $outer in *[[:blank:]]*) skip "automake's make dist does not work below a folder with a blank in its name" ;; esac
# try WORD...: in silence, unless it fails.
try() { "$@" > "$outer.log" 2>&1 || { tail -n 40 "$outer.log"; fail "failed: $*"; }; }

[ ! -e "$outer" ] || chmod -R u+w "$outer" "$outer".[a-z]*
rm -rf "$outer"
mkdir -p "$outer"
cp "$top_srcdir"/examples/embedded/* "$outer"
chmod -R u+w "$outer"
try make -C "$top_builddir" distdir distdir="$outer/opalmem"
cd "$outer"
unset CONFIG_SITE OPALMEM_MCA_mca_base_component_path
try autoreconf --install
try ./configure -q --prefix="$outer/root" --disable-static CFLAGS="-g -O0" LDFLAGS=
try make -j2 V=0
try make install
# Whoever gets the outer project as a tarball builds opalmem in it: its linker of programs links libraries there, too.
try make dist
tar tzf myruntime-*.tar.gz | grep -q /opalmem/config/link-program.sh || fail "the outer tarball lacks a script that the build needs"

installed=$(cd root && find . ! -type d | sort | tr '\n' ' ')
for file in $installed; do
    case $file in
        ./bin/myprogram | ./lib/libmyruntime.*) ;;
        *) fail "opalmem installs within another project: $file" ;;
    esac
done
library=root/lib/libmyruntime.so
bad=$(nm -D --defined-only $library | awk '$3 !~ /^myruntime_/ { print $3 }')
[ -z "$bad" ] || fail "libmyruntime.so exports:" "$bad"
nm --defined-only $library | grep -q ' myrt_init$' || fail "opalmem_init is not called myrt_init in libmyruntime.so"
! nm -g --defined-only opalmem/.libs/libopalmem_embedded.a | awk 'NF == 3 && $3 !~ /^(myrt_|DW\.ref\.)/' | grep . || fail "names without prefix"
readelf -d $library | grep -q 'Flags:.*NODELETE' || fail "libmyruntime.so can be unloaded, its patched code with it"
# The components on the system belong to an installed copy.
! grep -qF "$outer/root/lib/opalmem" $library || fail "an embedded copy looks for components in $outer/root/lib/opalmem"

runs_as() { # EXPECTED ARGUMENT...
    local expected=$1 out
    shift
    out=$(root/bin/myprogram "$@") || fail "myprogram $*: exit status $?: $out"
    [ "$out" = "$expected" ] || fail "myprogram $*: $out"
}
# In the user's folder lies a component that an installed copy would complain of.
mkdir -p home/.opalmem/components
chmod go-w home home/.opalmem home/.opalmem/components
echo nonsense > home/.opalmem/components/mca_memory_nonsense.so
loud="--mca mca_base_component_show_load_errors all"
# shellcheck disable=SC2086 # words
if grep -q '^#define OPALMEM_HAVE_LTDL 1' "$top_builddir/opalmem_private_config.h"; then
    complaint=$(HOME=$outer/home "$top_builddir/examples/minimal" $loud --mca mca_base_component_path USER_DEFAULT 2>&1 || :)
    case $complaint in *nonsense*) ;; *) fail "the installed copy does not complain: $complaint" ;; esac
fi
# shellcheck disable=SC2086
out=$(HOME=$outer/home root/bin/myprogram $loud 2>&1) || fail "myprogram $loud: $out"
case $out in *nonsense*) fail "an embedded copy looks for components in the user's folder: $out" ;; esac
case $(OPALMEM_MCA_mca_base_component_path=$top_builddir/.libs "$top_builddir/examples/minimal") in
    linux:*) runs_as "caching yes, held before yes, held after no, releases yes" ;;
    *) runs_as "caching no, held before no, held after no, releases no" ;;
esac
runs_as "caching no, held before no, held after no, releases no" --mca memory noop
