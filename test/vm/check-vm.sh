#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# check-vm.sh BUILDDIR: tests that need a kernel of their own, in a QEMU guest
# without root and without KVM. The kernel is kept in BUILDDIR/vm.
# Exit status 77: it cannot run here; the message says what is missing.
set -eu
build=$(cd "${1:?usage: check-vm.sh BUILDDIR}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
start=$SECONDS
PATH=$PATH:/usr/sbin:/sbin

skip() {
    echo "check-vm: SKIP: $*" >&2
    exit 77
}

[ "$(uname -sm)" = "Linux x86_64" ] || skip "the guest is made for x86-64"
packages=''
for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod ip:iproute2 rdma:iproute2 ibv_devinfo:ibverbs-utils; do
    command -v "${pair%%:*}" >/dev/null && continue
    case "$packages " in *" ${pair##*:} "*) ;; *) packages="$packages ${pair##*:}" ;; esac
done
ls /usr/lib/*/libibverbs/librxe-*.so >/dev/null 2>&1 || packages="$packages ibverbs-providers"
[ -z "$packages" ] || skip "missing Debian packages:$packages"
# Dynamically linked it finds no C library before / is mounted.
! LC_ALL=C readelf -l "$(command -v busybox)" 2>/dev/null | grep -q INTERP || skip "busybox is linked dynamically (Debian package: busybox-static)"

"$here/get-kernel.sh" "$build/vm"
echo "check-vm: kernel $(cat "$build/vm/KVER") is there ($((SECONDS - start)) s)"
cp "$here/rdma.sh" "$build/vm/rdma.sh" # The source folder may be below /tmp, which is another one in the guest.
status=0
"$here/guest.sh" -B "$build/vm" -w "$build" -t 900 -- bash "$build/vm/rdma.sh" "$build" || status=$?
[ $status = 0 ] || { echo "check-vm: failed (status $status)" >&2; exit 1; }
echo "check-vm: passed ($((SECONDS - start)) s)"
