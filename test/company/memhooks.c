/* SPDX-License-Identifier: BSD-3-Clause */
/* libfabric's monitor "memhooks" without the rest of libfabric. Its library starts the monitor only for a provider
 * that has a device, and exports nothing of it; so its own object, util_mem_hooks.o out of Debian's libfabric.a, is
 * linked with what it needs of the others: logging, two locks, and the function that is told of a release. */
#include <pthread.h>
#include <string.h>

#include "company.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

char core_prov[512]; /* For its messages, of which there are none here. */
pthread_mutex_t mm_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_rwlock_t mm_list_rwlock = PTHREAD_RWLOCK_INITIALIZER;

int fi_log_enabled(const void *provider, int level, int subsystem)
{
    (void) provider, (void) level, (void) subsystem;
    return 0;
}

void fi_log(const void *provider, int level, int subsystem, const char *function, int line, const char *format,
            ...)
{
    (void) provider, (void) level, (void) subsystem, (void) function, (void) line, (void) format;
}

const char *fi_strerror(int error)
{
    return strerror(error);
}

void ofi_monitor_init(void *monitor)
{
    (void) monitor;
}

void ofi_monitor_cleanup(void *monitor)
{
    (void) monitor;
}

void ofi_monitor_notify(void *monitor, const void *address, size_t length)
{
    (void) monitor;
    watch_event(MEMHOOKS, (uintptr_t) address, length);
}
