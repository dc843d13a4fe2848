/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider of bad_provider.h. Its device is a table in shared memory, as a
 * kernel's would be: a fork child that changes it changes its parent's. */
#include "bad_provider.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"

#define ENTRIES 15000 /* Within the suite's reach. */

typedef struct device_entry_t {
    _Atomic(char *) base; /* NULL: free. */
    _Atomic size_t size;
} device_entry_t;

typedef struct device_t {
    _Atomic size_t bytes;
    _Atomic uint32_t next;
    device_entry_t entries[ENTRIES];
} device_t;

typedef struct provider_t {
    device_t *device;
    pid_t process;
    _Atomic long ended;
    atomic_bool lost;
    _Atomic int kept; /* FAULT_KEEPS_ONE: entry + 1. */
    void *note;
} provider_t;

typedef struct bad_registration_t {
    mca_rcache_base_registration_t super;
    int32_t entry;
    pid_t thread;
    uint32_t uses;
} bad_registration_t;

static fault_t fault;
static device_t *only_device;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_flag spinning = ATOMIC_FLAG_INIT;

/* ---- The device --------------------------------------------------------------------------------- */

static void count(device_t *device, size_t add, size_t take)
{
    if (fault == FAULT_RACES) {
        static atomic_uint turns;
        size_t bytes = device->bytes;
        if (atomic_fetch_add(&turns, 1) % 64 == 0) {
            usleep(1); /* Others come in between, on any machine. */
        }
        device->bytes = bytes + add - take;
    } else {
        atomic_fetch_add(&device->bytes, add - take);
    }
}

static int device_enter(device_t *device, char *base, size_t size)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t number = atomic_fetch_add(&device->next, 1) % ENTRIES;
        char *free_entry = NULL;
        if (atomic_compare_exchange_strong(&device->entries[number].base, &free_entry, base)) {
            device->entries[number].size = size;
            count(device, size, 0);
            return (int) number;
        }
    }
    return -1;
}

static void device_end(device_t *device, int number)
{
    device_entry_t *entry = &device->entries[number];
    size_t size = entry->size;
    if (atomic_exchange(&entry->base, NULL) != NULL) {
        count(device, 0, size);
    }
}

static void device_end_overlapping(device_t *device, const char *base, size_t size)
{
    for (int i = 0; i < ENTRIES; i++) {
        const char *other = device->entries[i].base;
        if (other != NULL && other < base + size && base < other + device->entries[i].size) {
            device_end(device, i);
        }
    }
}

static int device_find(device_t *device, const char *base)
{
    for (int i = 0; i < ENTRIES; i++) {
        if (device->entries[i].base == base) {
            return i;
        }
    }
    return -1;
}

/* ---- Registering -------------------------------------------------------------------------------- */

static bool is_there(void *base, size_t size)
{
    unsigned char pages[65536];
    for (size_t done = 0; done < size; done += (size_t) 65536 * 4096) {
        if (mincore((char *) base + done, size - done, pages) != 0) {
            return false;
        }
    }
    return true;
}

static void mistreat(bad_registration_t *own)
{
    if (fault == FAULT_WRITES_BEHIND) {
        ((char *) own)[sizeof(*own) + 3] = 1;
    } else if (fault == FAULT_WRITES_BASE) {
        own->super.flags |= 0x1000;
    }
}

static int refusal(provider_t *provider, void *base, size_t size, const mca_rcache_base_registration_t *reg)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    if (atomic_load(&provider->lost)) {
        return fault == FAULT_LOST_IS_FULL ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_ERR_UNREACH;
    }
    if (!is_there(base, size)) {
        if (fault == FAULT_LEAKS_REFUSED) {
            count(provider->device, size, 0);
        } else if (fault == FAULT_ENDS_TOO_MANY) {
            count(provider->device, 0, page);
        }
        return fault == FAULT_POSITIVE_CODE ? 5 : OPAL_ERR_BAD_PARAM;
    }
    if ((fault == FAULT_SMALL && size > 16 * page)
        || (fault == FAULT_STATIC_REFUSED && (char *) base < (char *) sbrk(0))) {
        return OPAL_ERR_NOT_SUPPORTED;
    }
    bool writes = (reg->access_flags & MCA_RCACHE_ACCESS_LOCAL_WRITE) != 0;
    if (fault == FAULT_RIGHTS_REFUSED && !writes) {
        return OPAL_ERR_PERM;
    }
    return fault == FAULT_FULL_AT_500 && provider->device->bytes >= 500 * page ? OPAL_ERR_OUT_OF_RESOURCE
                                                                               : OPAL_SUCCESS;
}

static void lock(void)
{
    if (fault == FAULT_MUTEX) {
        pthread_mutex_lock(&mutex);
    }
    while (fault == FAULT_SPINS && atomic_flag_test_and_set(&spinning)) {
    }
}

static void unlock(void)
{
    if (fault == FAULT_MUTEX) {
        pthread_mutex_unlock(&mutex);
    }
    if (fault == FAULT_SPINS) {
        atomic_flag_clear(&spinning);
    }
}

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    provider_t *provider = reg_data;
    bad_registration_t *own = (bad_registration_t *) reg;
    int rc = refusal(provider, base, size, reg);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    if (fault == FAULT_UNCHECKED_IN_REGISTER) {
        char *note = malloc(10);
        *(volatile char *) note = 1;
        free(note);
    }
    lock();
    int entry = fault == FAULT_FINDS_BY_BASE ? device_find(provider->device, base) : -1;
    own->entry = entry >= 0 ? entry : device_enter(provider->device, base, size);
    if (fault == FAULT_SPINS || fault == FAULT_MUTEX) {
        sched_yield();
    }
    unlock();
    own->thread = gettid();
    own->uses = fault == FAULT_NEEDS_ZEROES ? own->uses + 1 : 1;
    mistreat(own);
    return own->entry >= 0                       ? OPAL_SUCCESS
           : fault == FAULT_WRONG_CODE_WHEN_FULL ? OPAL_ERROR
                                                 : OPAL_ERR_OUT_OF_RESOURCE;
}

/* ---- Deregistering ------------------------------------------------------------------------------ */

static bool forgets(provider_t *provider, const bad_registration_t *own)
{
    long number = ++provider->ended;
    return (fault == FAULT_LEAKS && number % 50 == 0) || (fault == FAULT_LEAKS_ONE_IN_1000 && number % 1000 == 0)
           || (fault == FAULT_SAME_THREAD && own->thread != gettid())
           || (fault == FAULT_NEEDS_ZEROES && own->uses != 1);
}

static void misbehave_in_hook(const bad_registration_t *own)
{
    if (fault == FAULT_TOUCHES_MEMORY) {
        (void) *(volatile unsigned char *) own->super.base;
    } else if (fault == FAULT_ALLOCATES) {
        void *volatile note = malloc(10);
        free(note);
    } else if (fault == FAULT_LOSES_ERRNO) {
        errno = EINVAL;
    } else if (fault == FAULT_PRINTS) {
        fprintf(stderr, "ended %p\n", (void *) own->super.base);
    }
}

static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    provider_t *provider = reg_data;
    const bad_registration_t *own = (const bad_registration_t *) reg;
    misbehave_in_hook(own);
    if (forgets(provider, own)) {
        return OPAL_SUCCESS;
    }
    if (fault == FAULT_LOST_ENDS_NOTHING && atomic_load(&provider->lost)) {
        return OPAL_ERROR;
    }
    if (fault == FAULT_LIES_WHEN_ENDED && provider->ended % 10 == 0) {
        return OPAL_ERROR;
    }
    lock();
    if (fault == FAULT_ENDS_OVERLAPPING) {
        device_end_overlapping(provider->device, (char *) reg->base, (size_t) (reg->bound - reg->base) + 1);
    } else if (fault == FAULT_KEEPS_ONE) {
        int before = atomic_exchange(&provider->kept, own->entry + 1);
        if (before != 0) {
            device_end(provider->device, before - 1);
        }
    } else {
        device_end(provider->device, own->entry);
    }
    unlock();
    return OPAL_SUCCESS;
}

static int deregister_many(void *reg_data, mca_rcache_base_registration_t **regs, size_t n)
{
    for (size_t i = 0; i + (fault == FAULT_MANY_FORGETS_LAST) < n; i++) {
        deregister_mem(reg_data, regs[i]);
    }
    return OPAL_SUCCESS;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static device_t *new_device(void)
{
    return mmap(NULL, sizeof(device_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void end_everything(device_t *device)
{
    for (int i = 0; i < ENTRIES; i++) {
        device_end(device, i);
    }
}

/* The inherited device stays mapped: what is registered with it is the parent's. */
static int after_fork(void *reg_data)
{
    provider_t *provider = reg_data;
    if (fault == FAULT_CHILD_ENDS_PARENTS) {
        end_everything(provider->device);
    }
    if (fault != FAULT_CLOSE_ENDS_PARENTS) {
        provider->device = new_device();
    }
    provider->process = getpid();
    return OPAL_SUCCESS;
}

static size_t registered(void *state)
{
    return ((provider_t *) state)->device->bytes;
}

static bool works(void *state, mca_rcache_base_registration_t *reg)
{
    device_entry_t *entry = &((provider_t *) state)->device->entries[((bad_registration_t *) reg)->entry];
    return entry->base == (char *) reg->base && entry->size == (size_t) (reg->bound - reg->base) + 1;
}

static void lose(void *state)
{
    provider_t *provider = state;
    atomic_store(&provider->lost, true);
    if (fault != FAULT_LOSS_IS_NOT_TOLD) {
        mca_rcache_base_void(provider);
    }
}

static int open_provider(void **state, mca_rcache_base_resources_t *resources)
{
    provider_t *provider = calloc(1, sizeof(*provider));
    if (provider == NULL && fault != FAULT_UNCHECKED_IN_OPEN) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    provider->device = fault == FAULT_ONE_DEVICE && only_device != NULL ? only_device : new_device();
    only_device = provider->device;
    provider->process = getpid();
    if (fault == FAULT_LEAKS_DESCRIPTOR && dup(0) < 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    resources->cache_name = "bad";
    resources->reg_data = provider;
    resources->sizeof_reg = sizeof(bad_registration_t);
    resources->register_mem = register_mem;
    resources->deregister_mem = deregister_mem;
    resources->deregister_many = deregister_many;
    resources->after_fork = after_fork;
    resources->flags = MCA_RCACHE_RESOURCES_HOOK_SAFE | (fault == FAULT_UNKNOWN_FLAG ? 0x80U : 0);
    *state = provider;
    return OPAL_SUCCESS;
}

static void close_provider(void *state)
{
    provider_t *provider = state;
    if (fault == FAULT_CLOSE_ENDS_PARENTS || fault == FAULT_ONE_DEVICE) {
        end_everything(provider->device);
    } else {
        munmap(provider->device, sizeof(device_t));
    }
    free(provider);
}

provider_suite_t bad_provider(fault_t which)
{
    fault = which;
    only_device = NULL;
    return (provider_suite_t){
        .name = "bad",
        .open = open_provider,
        .close = close_provider,
        .registered = registered,
        .works = works,
        .lose = lose,
        .largest = (size_t) 4 << 20,
        .settle_ms = which == FAULT_NONE ? 0 : 10, /* It ends at once, or never. */
        .hang_s = which == FAULT_NONE ? 0 : 3,
    };
}
