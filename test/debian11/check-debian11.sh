#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-debian11.sh TARBALL WORKDIR TEST...: builds a distribution with the compiler of
# Debian 11 (glibc 2.31, the last Debian with malloc hooks), and runs tests there. Its root
# is made by debootstrap from the mirror that this machine's apt uses, or DEBIAN11_MIRROR,
# and kept in WORKDIR for the next time. Everything that is mounted is so in a name space of
# our own, and goes with it.
set -eu
tarball=${1:?usage: check-debian11.sh TARBALL WORKDIR TEST...}
work=${2:?usage: check-debian11.sh TARBALL WORKDIR TEST...}
shift 2
packages=gcc,libc6-dev,make,pkg-config,check

skip() { echo "SKIP: $*"; exit 77; }

[ "$(id -u)" = 0 ] || skip "debootstrap and chroot need root"
for tool in debootstrap unshare chroot; do
    command -v $tool >/dev/null || skip "$tool is missing"
done

# The first archive of Debian itself that apt knows.
find_mirror() {
    # shellcheck disable=SC2016 # a format of apt's
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's/^Debian //p' | head -n 1
}

mkdir -p "$work"
work=$(cd "$work" && pwd)
root=$work/root
if [ ! -e "$work/root-is-complete" ]; then
    mirror=${DEBIAN11_MIRROR:-$(find_mirror)}
    [ -n "$mirror" ] || skip "apt knows no archive of Debian; set DEBIAN11_MIRROR"
    rm -rf "$root"
    debootstrap --variant=minbase --include=$packages bullseye "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        skip "debootstrap failed: $(tail -n 1 "$work/debootstrap.log"); all of it is in $work/debootstrap.log"
    : >"$work/root-is-complete"
fi

rm -rf "$root/src"
mkdir "$root/src"
tar -xf "$tarball" -C "$root/src" --strip-components=1
cat >"$root/src/run" <<'INNER'
set -eu
mkdir build && cd build
../configure --enable-werror >configure.out
make -j"$(nproc)" >make.out || { tail -n 30 make.out; exit 1; }
make -k check TESTS="$*" check_PROGRAMS="$*" >check.out 2>&1 || failed=yes
grep -E '^(PASS|FAIL|SKIP|ERROR|XFAIL|XPASS): ' check.out ||
    { grep -A 8 -E '(error|undefined reference)' check.out || tail -n 30 check.out; exit 1; }
[ -z "${failed-}" ] || { cat test-suite.log; exit 1; }
gcc -O2 -g -std=gnu11 -Wall -Werror -Wno-deprecated-declarations -I../include -Iinclude ../test/debian11/malloc_hook.c \
    -o malloc_hook -pthread -L.libs -lopalmem -Wl,-rpath,"$PWD/.libs"
OPALMEM_MCA_memory=linux OPALMEM_MCA_mca_base_param_files=none ./malloc_hook
INNER
# shellcheck disable=SC2016 # expanded in the other shell
exec unshare --mount --propagation private sh -euc '
    root=$1
    shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs tmpfs "$root/tmp"
    cd "$root"
    exec chroot . sh -euc "cd /src && exec sh ./run \"\$@\"" sh "$@"
' sh "$root" "$@"
