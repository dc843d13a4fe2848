/* SPDX-License-Identifier: BSD-3-Clause */
/* RDMA devices, as libibverbs lists them. They are not opened: that needs rights. */
#include <errno.h>
#include <infiniband/verbs.h>
#include <stdio.h>
#include <string.h>

#include "tools/info/info.h"

static void print_device(unsigned index, struct ibv_device *device)
{
    char key[64], label[64];
    snprintf(key, sizeof key, "machine:rdma:%u", index);
    snprintf(label, sizeof label, "RDMA device %u", index);
    info_text(key, label, "%s (%s)", ibv_get_device_name(device), ibv_node_type_str(device->node_type));
}

void info_print_rdma(void)
{
    int count = 0;
    struct ibv_device **devices = ibv_get_device_list(&count);
    if (devices == NULL && errno != ENOSYS) {
        char text[128];
        snprintf(text, sizeof text, "unknown: %s", strerror(errno));
        info_null("machine:rdma:count", "RDMA devices", text);
        return;
    }
    /* ENOSYS: the kernel has no RDMA at all. */
    info_number("machine:rdma:count", "RDMA devices", devices != NULL && count > 0 ? (unsigned) count : 0);
    for (int i = 0; devices != NULL && i < count; i++) {
        print_device((unsigned) i, devices[i]);
    }
    if (devices != NULL) {
        ibv_free_device_list(devices);
    }
}
