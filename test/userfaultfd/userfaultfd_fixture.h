/* SPDX-License-Identifier: BSD-3-Clause */
/* The library with the component userfaultfd alone, on the real kernel, and one
 * watched range with what was heard of it. */
#ifndef TEST_USERFAULTFD_USERFAULTFD_FIXTURE_H
#define TEST_USERFAULTFD_USERFAULTFD_FIXTURE_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory.h"
#include "opal/opalmem.h"
#include "test/sanitized.h"
#include "test/test_main.h"

/** What is missing where the component cannot run. Tests that look into it are linked with it, and with all of the library. */
#if defined(COMPONENTS_USERFAULTFD_USERFAULTFD_H) && !defined(OPALMEM_STATIC_MEMORY_USERFAULTFD)
#define USERFAULTFD_LACK "the component userfaultfd as a part of the library (it is a DSO in this build)"
#else
#define USERFAULTFD_LACK "userfaultfd with asynchronous write protection (Linux 6.7)"
#endif
#define USERFAULTFD_SKIP \
    (TEST_SANITIZED ? "the component userfaultfd does not run in a build with a sanitizer" : USERFAULTFD_LACK)

#define PAGE ((size_t) 4096)

typedef struct watched_t {
    opal_memory_watch_t watch;
    uintptr_t start, end;
    atomic_bool is_released; /* By a callback. */
} watched_t;

/* Two, for scenes with a neighbour. */
static watched_t watched[2];

static inline void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    const uintptr_t start = (uintptr_t) buf, end = length == SIZE_MAX ? UINTPTR_MAX : start + length;

    (void) cbdata, (void) from_alloc;
    for (int i = 0; i < 2; i++) {
        if (start < watched[i].end && end > watched[i].start) {
            atomic_store(&watched[i].is_released, true);
        }
    }
}

static inline int start_with(const char *components)
{
    setenv("OPALMEM_MCA_memory", components, 1);
    const int rc = opalmem_init(NULL, NULL);
    if (rc == OPAL_SUCCESS) {
        ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    }
    return rc;
}

static inline void start(void)
{
    ck_assert_int_eq(start_with("userfaultfd"), OPAL_SUCCESS);
}

static inline void stop(void)
{
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

/* Outside of tests, as the next one. */
static inline bool can_run_beside_linux(void)
{
    setenv("OPALMEM_MCA_memory", "linux+userfaultfd", 1);
    const bool result = opalmem_init(NULL, NULL) == OPAL_SUCCESS;
    opalmem_finalize();
    return result;
}

static inline bool can_run(void)
{
    setenv("OPALMEM_MCA_memory", "^linux", 1);
    const bool result = opalmem_init(NULL, NULL) == OPAL_SUCCESS
                        && strcmp(opal_memory->memoryc_version.mca_component_name, "userfaultfd") == 0;
    opalmem_finalize();
    return result;
}

static inline int watch_range(watched_t *one, void *memory, size_t length)
{
    one->start = (uintptr_t) memory;
    one->end = one->start + length;
    atomic_store(&one->is_released, false);
    one->watch = (opal_memory_watch_t){ .cookie = opal_memory_base_new_cookie() };
    return opal_memory_base_watch(memory, length, &one->watch);
}

static inline void watch_it(watched_t *one, void *memory, size_t length)
{
    ck_assert_int_eq(watch_range(one, memory, length), OPAL_SUCCESS);
}

static inline void unwatch_it(watched_t *one)
{
    ck_assert_int_eq(opal_memory_base_unwatch((void *) one->start, one->end - one->start, &one->watch),
                     OPAL_SUCCESS);
}

/* As a cache does it: deliver, look, ask, look again. */
static inline bool hits(watched_t *one)
{
    return opal_memory_base_sync() == OPAL_SUCCESS && !atomic_load(&one->is_released)
           && opal_memory_watch_holds(&one->watch)
           && opal_memory_base_valid((void *) one->start, one->end - one->start, &one->watch)
           && !atomic_load(&one->is_released);
}

static inline char *map_pages(size_t pages)
{
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    memset(memory, 1, pages * PAGE);
    return memory;
}

#endif
