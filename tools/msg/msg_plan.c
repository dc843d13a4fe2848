/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits. io_uring counts pinned pages of users without CAP_IPC_LOCK against
 * RLIMIT_MEMLOCK, for each user over all rings and processes: so the peers of a
 * run have to share it, and leave something to others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "tools/msg/msg_plan.h"

#define CACHE_BYTES ((size_t) 256 << 20) /* Enough where there is no limit. */
#define SPIN_NS 20000                    /* About what a wake-up costs. */
#define CAP_IPC_LOCK_BIT 14              /* linux/capability.h */

/* Capabilities count only in the first user namespace, which maps every id to itself. */
static bool in_first_user_namespace(void)
{
    unsigned long inside = 1, outside = 1, count = 0;
    FILE *file = fopen("/proc/self/uid_map", "re");

    if (file == NULL) {
        return true; /* Built without namespaces. */
    }
    if (fscanf(file, "%lu %lu %lu", &inside, &outside, &count) != 3) {
        count = 0;
    }
    fclose(file);
    return inside == 0 && outside == 0 && count == UINT32_MAX;
}

static bool may_lock_everything(void)
{
    char line[256];
    unsigned long long effective = 0;
    FILE *file = fopen("/proc/self/status", "re");

    if (file == NULL) {
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "CapEff:", 7) == 0) {
            effective = strtoull(line + 7, NULL, 16);
        }
    }
    fclose(file);
    return (effective >> CAP_IPC_LOCK_BIT & 1) != 0 && in_first_user_namespace();
}

uint64_t msg_lockable_bytes(void)
{
    struct rlimit limit;

    if (may_lock_everything() || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_cur;
}

static size_t user_max_bytes(void)
{
    mca_base_var_info_t info;

    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strcmp(info.full_name, "rcache_base_max_bytes") == 0) {
            size_t value = strtoull(info.value, NULL, 10);

            return value == 0 ? SIZE_MAX : value;
        }
    }
    return SIZE_MAX;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t peer_share(const msg_options_t *options, const machine_info_t *machine, uint64_t lockable)
{
    if (lockable != UINT64_MAX) {
        return lockable / 4 * 3 / options->peers;
    }
    if (machine->memory_bytes == 0) {
        return CACHE_BYTES;
    }
    return smaller(CACHE_BYTES, machine->memory_bytes / 4 / options->peers);
}

bool msg_plan_make(const msg_options_t *options, const machine_info_t *machine, uint64_t lockable,
                   msg_plan_t *plan)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t share = peer_share(options, machine, lockable);
    size_t user = user_max_bytes();

    *plan = (msg_plan_t){ .max_bytes = smaller(share, user), .lockable = lockable };
    /* A peer has two portions in use, one a direction, each with a page more where it is not aligned. */
    plan->chunk = plan->max_bytes / 4 / page * page;
    plan->spin_ns = machine->processors >= options->peers && machine->processors > 1 ? SPIN_NS : 0;
    if (plan->chunk > 0) {
        return true;
    }
    if (user <= share) {
        msg_error("rcache_base_max_bytes is %zu: a peer needs %zu bytes of pinned memory at least", user,
                  4 * page);
    } else {
        msg_error(
            "%u peers cannot share %llu KiB of lockable memory (RLIMIT_MEMLOCK), each needs %zu KiB: take fewer "
            "peers, or raise the limit with \"ulimit -l\" or in /etc/security/limits.conf",
            options->peers, (unsigned long long) lockable >> 10, 4 * page * 4 / 3 >> 10);
    }
    return false;
}
