#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# configure refuses what cannot work, and says what was wrong with what; and a 32-bit
# program that includes a public header is told, too.
set -eu
[ -z "${OPALMEM_TEST_EMULATOR:-}" ] || { echo "SKIP: configure is tested where it is native"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# refused MESSAGE ARGUMENT...
refused() {
    local message=$1
    shift
    if "$top_srcdir/configure" -q --cache-file="$work/cache" "$@" > out 2>&1; then
        echo "configure $*: accepted"
        exit 1
    fi
    grep -q "^configure: error: .*$message" out || { echo "configure $*: expected \"$message\", but:"; tail -n 5 out; exit 1; }
}

refused 'needs 64 bits: take -m32 or -mx32 out of CC' CC="${CC:-gcc} -m32"
refused 'needs 64 bits' CFLAGS="-O2 -mx32"
refused 'needs a C identifier, not "9to5"' --with-symbol-prefix=9to5
refused 'needs a C identifier, not "yes"' --with-symbol-prefix
refused 'needs a C identifier, not ""' --with-symbol-prefix=
refused 'takes no value, not "maybe"' --enable-embedded=maybe
refused 'needs an absolute path, not "lib/opalmem"' --with-component-dir=lib/opalmem
refused 'no colon, quote, dollar or backslash may be in "/a:/b"' --with-component-dir=/a:/b
refused 'prefix=/a b: libtool cannot install' --prefix="/a b"
refused 'libdir=/a b: libtool cannot install' --libdir="/a b"
if grep -q '^#define OPALMEM_HAVE_LTDL 1' "$top_builddir/opalmem_private_config.h"; then
    refused '--enable-mca-dso and --enable-embedded exclude each other' --enable-mca-dso --enable-embedded
fi
refused '--enable-mca-dso' --enable-mca-dso=memory-nosuch
# The compiler's default is 32 bits: only a program of it tells.
printf '#!/bin/sh\nexec %s -m32 "$@"\n' "${CC:-gcc}" > cc32
chmod +x cc32
echo 'int main(void) { return 0; }' > main.c
if ./cc32 -o main main.c 2>/dev/null; then
    refused "needs 64 bits: pointers of $work/cc32 have 4 bytes, not 8" --cache-file=/dev/null CC="$work/cc32"
fi

echo '#include <opal/opalmem_config.h>' > include.c
${CC:-gcc} -I"$top_builddir/include" -I"$top_srcdir/include" -fsyntax-only include.c
if ${CC:-gcc} -m32 -I"$top_builddir/include" -I"$top_srcdir/include" -fsyntax-only include.c 2> out; then
    echo "a 32-bit program may include the headers"
    exit 1
fi
grep -q 'opalmem needs 64-bit Linux' out || { cat out; exit 1; }
