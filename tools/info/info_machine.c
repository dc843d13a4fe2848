/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine: what it is, and what it lets this user pin. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "opal/constants.h"
#include "opal/memoryhooks/memory_internal.h"
#include "tools/info/info.h"
#include "tools/machine/machine.h"

#define CAPABILITY_IPC_LOCK 14 /* CAP_IPC_LOCK of capabilities(7). */
/* Name of the first user namespace; its number is fixed (PROC_USER_INIT_INO in linux/proc_ns.h). */
#define FIRST_USER_NAMESPACE "user:[4026531837]"

static void print_count(const char *key, const char *label, unsigned count)
{
    if (count > 0) {
        info_number(key, label, count);
    } else {
        info_null(key, label, "unknown");
    }
}

static void print_kernel(void)
{
    struct utsname name;
    if (uname(&name) == 0) {
        info_string("machine:architecture", "architecture", name.machine);
        info_text("machine:kernel", "kernel", "%s %s", name.sysname, name.release);
    }
}

static void print_nodes(const machine_info_t *machine)
{
    for (unsigned i = 0; i < machine->numa_nodes && i < MACHINE_NUMA_MAX; i++) {
        char key[64], label[64];
        snprintf(key, sizeof key, "machine:numa:%u:bytes", i);
        snprintf(label, sizeof label, "NUMA node %u", i);
        info_bytes(key, label, machine->numa_bytes[i]);
    }
}

static void print_topology(void)
{
    machine_info_t machine;
    if (machine_read(&machine) != OPAL_SUCCESS) {
        info_null("machine:topology", "topology", "unknown: hwloc cannot read it");
        return;
    }
    print_count("machine:processors", "processors", machine.processors);
    print_count("machine:cores", "cores", machine.cores);
    print_count("machine:numa:count", "NUMA nodes", machine.numa_nodes);
    print_nodes(&machine);
    info_bytes("machine:memory:bytes", "memory", machine.memory_bytes);
    info_bytes_list("machine:page_sizes", "page sizes", machine.page_sizes, machine.page_size_count);
    info_text("machine:source", "as seen by", "%s%s%s", machine.from_hwloc ? "hwloc" : "sysconf and sysfs",
              machine.from_hwloc ? " " : "", machine.version);
}

/* Capability sets are hexadecimal numbers in /proc/self/status; without that file, none is assumed. */
static bool has_capability(unsigned number)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long effective = 0;
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "CapEff: %llx", &effective) == 1) {
            break;
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return (effective >> number & 1) != 0;
}

/* Pinning asks for the capability in the first user namespace: that of a container's root does not count. */
static const char *lock_capability(void)
{
    char name[64] = "";
    if (!has_capability(CAPABILITY_IPC_LOCK)) {
        return "no";
    }
    if (readlink("/proc/self/ns/user", name, sizeof name - 1) > 0 && strcmp(name, FIRST_USER_NAMESPACE) != 0) {
        return "only within this user namespace, where it is of no use for pinning";
    }
    return "yes, so the limit does not count";
}

static void print_lock_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur == RLIM_INFINITY) {
        info_null("machine:lockable:limit", "lockable memory", "unlimited");
    } else {
        info_bytes("machine:lockable:limit", "lockable memory", limit.rlim_cur);
    }
    info_string("machine:lockable:ipc_lock", "CAP_IPC_LOCK", lock_capability());
}

static void print_uring(void)
{
    char reason[512];
    bool allowed = info_uring_is_allowed(reason, sizeof reason);
    info_yes_no("machine:io_uring:allowed", "io_uring", allowed);
    if (!allowed) {
        info_string("machine:io_uring:reason", "", reason);
    }
}

/* What the memory components that were selected notice here. */
static void print_support(void)
{
    char names[128];
    if (opal_mem_hooks_support_names(opal_mem_hooks_support_level(), ",", names, sizeof names) == 0) {
        names[0] = '\0';
    }
    info_words("opalmem:hooks:support", "hooks notice", names, "nothing");
}

void info_print_machine(void)
{
    info_section_begin("machine", "Machine");
    print_kernel();
    print_topology();
    print_lock_limit();
    print_uring();
    info_print_rdma();
    print_support();
    info_section_end();
}
