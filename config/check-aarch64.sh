#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# check-aarch64.sh: build variants/aarch64 below the current build folder with
# Debian's cross-compiler, and run its tests under qemu-user.
# Tests start programs, which start others: the kernel has to know the emulator
# (binfmt_misc). Where it does not, it is told within a user namespace of our
# own (Linux 6.7), so that nothing changes outside.
# Exit status 77: something is missing here; the message says what.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
host=aarch64-linux-gnu
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || :)
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

missing() {
    echo "SKIP: $*" >&2
    exit 77
}

[ -n "$qemu" ] || missing "qemu-aarch64 (Debian package: qemu-user-static)"
"$top/config/debian-cross.sh" arm64 $host variants/aarch64-cross
cross=$PWD/variants/aarch64-cross

export PATH="$cross/bin:$PATH" QEMU_LD_PREFIX=$cross/root
export OPALMEM_TEST_EMULATOR=qemu-user CK_TIMEOUT_MULTIPLIER=4
run=("$top/config/check-variant.sh" aarch64 --host="$host" --without-libibverbs PKG_CONFIG="$host-pkg-config")

# ---- A kernel that runs such programs ------------------------------------------------------------

probe=$cross/probe
printf 'int main(void) { return 42; }\n' | $host-gcc -x c -o "$probe" -
runs_here() {
    local rc=0
    "$@" 2>/dev/null || rc=$?
    [ $rc = 42 ]
}
if runs_here "$probe"; then
    exec "${run[@]}"
fi

# Users stay who they are: tests have files of several.
# shellcheck disable=SC2016 # for the inner shell
inside='set -e
echo > "$1/ready"
read -r _ < "$1/mapped"
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf "%s" "$2" > /proc/sys/fs/binfmt_misc/register
shift 2
exec "$@"'
within() {
    local pid
    rm -f "$cross/ready" "$cross/mapped"
    mkfifo "$cross/ready" "$cross/mapped"
    if [ "$(id -u)" = 0 ]; then
        unshare --user --mount bash -c "$inside" bash "$cross" ":opalmem:M::$magic:$mask:$qemu:FP" "$@" &
    else
        unshare --user --mount --map-current-user --keep-caps bash -c "$inside" bash "$cross" \
            ":opalmem:M::$magic:$mask:$qemu:FP" setpriv --ambient-caps=-all --inh-caps=-all "$@" &
    fi
    pid=$!
    timeout 10 cat "$cross/ready" >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then
        echo 0 0 65536 > "/proc/$pid/uid_map"
        echo 0 0 65536 > "/proc/$pid/gid_map"
    fi
    echo > "$cross/mapped"
    wait $pid
}
runs_here within "$probe" ||
    missing "a kernel that runs $host programs: binfmt_misc (Debian package: binfmt-support), or user namespaces and Linux 6.7"
within "${run[@]}"
