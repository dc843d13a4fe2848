#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# rdma.sh BUILDDIR: what check-vm.sh runs inside the guest, as its root: a software
# RDMA device (soft-RoCE), the provider's test on it, and the scene with hooks
# and without.
set -eu
cd "${1:?usage: rdma.sh BUILDDIR}"

fail() {
    echo "check-vm: FAIL: $*"
    exit 1
}

set_up_device() {
    modprobe rdma_rxe && modprobe dummy numdummies=0 && ip link add rx0 mtu 9000 type dummy &&
        ip addr add 10.9.9.1/24 dev rx0 && ip link set rx0 up && rdma link add rxe0 type rxe netdev rx0
}

wait_for_device() {
    for _ in $(seq 50); do
        ibv_devinfo -d rxe0 2>/dev/null | grep -q 'state:.*PORT_ACTIVE' && [ -c /dev/infiniband/uverbs0 ] && return 0
        sleep 0.1
    done
    ibv_devinfo
    return 1
}

set_up_device || fail "no soft-RoCE device could be made"
wait_for_device || fail "ibv_devinfo shows no active port of rxe0"
echo "check-vm: kernel $(uname -r), soft-RoCE: $(ibv_devinfo -d rxe0 | sed -n 's/^[[:space:]]*state:[[:space:]]*//p')"

export OPALMEM_MCA_mca_base_param_files=none CK_DEFAULT_TIMEOUT=60
export OPALMEM_MCA_mca_base_component_path="$PWD/.libs"
test/vm/test_verbs_device || fail "test/vm/test_verbs_device"
echo "check-vm: with hooks"
test/vm/rdma_scene --operations 100000 --expect right || fail "rdma_scene with hooks"
echo "check-vm: without hooks, caching forced: data must go wrong"
test/vm/rdma_scene --operations 10000 --expect wrong --mca memory noop --mca rcache_base_leave_pinned 1 \
    --mca rcache_base_unsafe 1 || fail "rdma_scene without hooks"
