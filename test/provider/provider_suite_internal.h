/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the parts of the conformance suite: what a scene works with. A scene
 * runs in a process of its own and ends it when something is wrong. */
#ifndef PROVIDER_SUITE_INTERNAL_H
#define PROVIDER_SUITE_INTERNAL_H

#include <stdint.h>
#include <sys/types.h>

#include "provider_suite.h"

#define SUITE_SKIP 77 /* Exit status of a scene that does not apply; it has said why. */

typedef struct scene_t {
    const provider_suite_t *suite;
    void *state;
    mca_rcache_base_resources_t resources;
    size_t page;
    size_t before; /* Registered when the provider had just been opened. */
} scene_t;

typedef struct scene_entry_t {
    const char *name;
    void (*run)(scene_t *scene);
} scene_entry_t;

/* provider_suite_direct.c, _threads.c, _hook.c, _cache.c; each list ends with a NULL name. */
extern const scene_entry_t suite_direct_scenes[], suite_thread_scenes[], suite_hook_scenes[], suite_cache_scenes[];

/* ---- Results ------------------------------------------------------------------------------------ */

/* Say what is wrong, and end the process. */
_Noreturn void suite_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void suite_skip(const char *why);
#define FAIL(...) suite_fail(__FILE__, __LINE__, __VA_ARGS__)
#define REQUIRE(condition, ...) \
    do {                        \
        if (!(condition)) {     \
            FAIL(__VA_ARGS__);  \
        }                       \
    } while (0)

/* ---- Memory and registrations ------------------------------------------------------------------- */

/* Readable, writable, populated. */
char *suite_map(size_t size);
void suite_unmap(void *memory, size_t size);

/* A registration as a cache hands it to the provider: the base part filled in, the provider's part full of rubbish, and
 * marked bytes behind it. */
mca_rcache_base_registration_t *suite_new(const scene_t *scene, void *base, size_t size, int32_t access);
void suite_free(mca_rcache_base_registration_t *reg);

/* Call the provider, and check that it keeps to its part of the registration. @return its code */
int suite_register(scene_t *scene, mca_rcache_base_registration_t *reg);
int suite_deregister(scene_t *scene, mca_rcache_base_registration_t *reg);

/* A registration that must succeed; and its end. */
mca_rcache_base_registration_t *suite_enter(scene_t *scene, void *base, size_t size);
void suite_end(scene_t *scene, mca_rcache_base_registration_t *reg);

/* So many bytes must be registered now; waits a little for a device that ends late. */
void suite_must_have(scene_t *scene, size_t bytes);
/* The registration must be usable, if the suite was told how to find out. */
void suite_must_work(scene_t *scene, mca_rcache_base_registration_t *reg);

/* ---- The provider and the process --------------------------------------------------------------- */

void suite_open(scene_t *scene);
/* Nothing may be registered any more. */
void suite_close(scene_t *scene);

/* Descriptors and mappings of this process. */
typedef struct suite_footprint_t {
    long descriptors, mappings;
} suite_footprint_t;
suite_footprint_t suite_footprint(void);

/* In a child: run it, and end with status 0. The parent waits for that. */
void suite_in_child(scene_t *scene, void (*run)(scene_t *scene, void *arg), void *arg);

/* ---- provider_suite_trap.c: what must not be done in hook context -------------------------------- */

/* Can allocations be trapped in this build? */
bool suite_trap_works(void);
/* Between begin and end, allocations and waiting locks of this thread are counted. */
void suite_trap_begin(void);
typedef struct suite_trapped_t {
    long allocations, locks;
} suite_trapped_t;
suite_trapped_t suite_trap_end(void);
/* The nth allocation of this thread from now on fails (from 1; 0: none). */
void suite_fail_allocation(long nth);
/* Has it failed? */
bool suite_allocation_failed(void);

#endif
