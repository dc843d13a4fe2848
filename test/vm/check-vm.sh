#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# check-vm.sh BUILDDIR [SUITE...]: tests that need a kernel of their own, in a QEMU
# guest without root and without KVM: the suites of suites.sh, or those that are
# named. The kernel is kept in BUILDDIR/vm.
# Exit status 77: it cannot run here; the message says what is missing.
set -euo pipefail
build=$(cd "${1:?usage: check-vm.sh BUILDDIR}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
shift
start=$SECONDS
PATH=$PATH:/usr/sbin:/sbin

skip() {
    echo "check-vm: SKIP: $*" >&2
    exit 77
}

[ "$(uname -sm)" = "Linux x86_64" ] || skip "the guest is made for x86-64"
packages=''
for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod make:make gcc-12:gcc-12 ip:iproute2 rdma:iproute2 ibv_devinfo:ibverbs-utils; do
    command -v "${pair%%:*}" >/dev/null && continue
    case "$packages " in *" ${pair##*:} "*) ;; *) packages="$packages ${pair##*:}" ;; esac
done
ls /usr/lib/*/libibverbs/librxe-*.so >/dev/null 2>&1 || packages="$packages ibverbs-providers"
[ -z "$packages" ] || skip "missing Debian packages:$packages"
# Dynamically linked it finds no C library before / is mounted.
! LC_ALL=C readelf -l "$(command -v busybox)" 2>/dev/null | grep -q INTERP || skip "busybox is linked dynamically (Debian package: busybox-static)"

# The drivers are built while the kernel comes.
"$here/get-kernel.sh" "$build/vm" headers
"$here/get-kernel.sh" "$build/vm" image &
image=$!
"$here/../kernel/build.sh" "$(cat "$build/vm/kdir")" "$build/vm/kernel" || { wait $image || true; exit 1; }
wait $image
echo "check-vm: kernel $(cat "$build/vm/KVER") is there, and the test drivers are built ($((SECONDS - start)) s)"
# The source folder may be below /tmp, which is another one in the guest.
mkdir -p "$build/vm/scripts"
cp "$here"/suites.sh "$here"/suite_*.sh "$here"/rdma.sh "$build/vm/scripts/"
# One guest: two at a time on two processors wait for each other's locks.
"$here/guest.sh" -B "$build/vm" -w "$build" -t 1500 -- bash "$build/vm/scripts/suites.sh" "$build" "$source" "$@" 2>&1 | tee "$build/vm/output" || true
last=$(sed -n '/^check-vm: [0-9]* passed, /p' "$build/vm/output" | tail -n 1)
[ -n "$last" ] || { echo "check-vm: failed: the guest did not come to its end (see $build/vm/console-guest.log)" >&2; exit 1; }
# Once more what failed, where the end of a long output can be read: each program, and the tests in it.
[[ $last == *", 0 failed, "* ]] || grep -E '^check-vm: FAIL|:[FE]:[^:]*:[^:]*:[0-9]+: ' "$build/vm/output" || true
echo "check-vm: $((SECONDS - start)) s in all"
echo "$last"
[[ $last == *", 0 failed, "* ]]
