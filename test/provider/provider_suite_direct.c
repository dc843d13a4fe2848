/* SPDX-License-Identifier: BSD-3-Clause */
/* Conformance suite: scenes that call a provider as a cache does, on one thread. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "provider_suite_internal.h"

#define MANY_AT_ONCE 200

static void resources_are_complete(scene_t *scene)
{
    suite_open(scene);
    const mca_rcache_base_resources_t *resources = &scene->resources;
    REQUIRE(resources->register_mem != NULL, "register_mem is missing");
    REQUIRE(resources->deregister_mem != NULL, "deregister_mem is missing");
    REQUIRE(resources->sizeof_reg >= sizeof(mca_rcache_base_registration_t),
            "sizeof_reg is %zu, less than the %zu of a registration", resources->sizeof_reg,
            sizeof(mca_rcache_base_registration_t));
    REQUIRE(resources->sizeof_reg <= MCA_RCACHE_MAX_SIZEOF_REG, "sizeof_reg is %zu, more than %d",
            resources->sizeof_reg, MCA_RCACHE_MAX_SIZEOF_REG);
    const uint32_t known =
        MCA_RCACHE_RESOURCES_HOOK_SAFE | MCA_RCACHE_RESOURCES_MEMLOCK_USER | MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS;
    REQUIRE((resources->flags & ~known) == 0, "flags has unknown bits: %#x", resources->flags);
    for (size_t i = 0; i < sizeof(resources->reserved) / sizeof(resources->reserved[0]); i++) {
        REQUIRE(resources->reserved[i] == NULL, "reserved[%zu] is not NULL", i);
    }
    suite_close(scene);
}

static void each_end_leaves_nothing(scene_t *scene)
{
    suite_open(scene);
    char *memory = suite_map(4 * scene->page);
    for (int i = 0; i < 100; i++) {
        mca_rcache_base_registration_t *reg = suite_enter(scene, memory + scene->page, 2 * scene->page);
        suite_must_have(scene, 2 * scene->page);
        if (i == 0) {
            suite_must_work(scene, reg);
        }
        suite_end(scene, reg);
        suite_must_have(scene, 0);
    }
    suite_close(scene);
}

static void sizes_from_one_page_to_the_largest(scene_t *scene)
{
    size_t largest = scene->suite->largest != 0 ? scene->suite->largest : (size_t) 1 << 20;
    suite_open(scene);
    char *memory = suite_map(largest);
    for (size_t size = scene->page; size <= largest;
         size = size < 8 * scene->page ? size + scene->page : size * 2) {
        mca_rcache_base_registration_t *reg = suite_enter(scene, memory + largest - size, size);
        suite_must_have(scene, size);
        suite_must_work(scene, reg);
        suite_end(scene, reg);
    }
    suite_close(scene);
}

/* ---- Memory of every kind ----------------------------------------------------------------------- */

/* Registered or refused: afterwards there must be nothing. */
static int try_memory(scene_t *scene, void *base, size_t size, int32_t access)
{
    mca_rcache_base_registration_t *reg = suite_new(scene, base, size, access);
    int rc = suite_register(scene, reg);
    if (rc == OPAL_SUCCESS) {
        suite_end(scene, reg);
    } else {
        suite_free(reg);
    }
    suite_must_have(scene, 0);
    return rc;
}

static void memory_that_programs_send_from(scene_t *scene)
{
    _Alignas(65536) static char data[65536];
    size_t page = scene->page;
    suite_open(scene);
    int channel = memfd_create("memory", MFD_CLOEXEC);
    REQUIRE(channel >= 0 && ftruncate(channel, 65536) == 0, "no memfd");
    void *shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, channel, 0);
    char *heap = aligned_alloc(page, 65536);
    char *untouched = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED && heap != NULL && untouched != MAP_FAILED, "no memory for the scene");
    struct {
        const char *name;
        void *base;
    } kinds[] = { { "shared", shared }, { "static", data }, { "heap", heap }, { "untouched", untouched } };
    for (size_t i = 0; i < 4; i++) {
        int rc = try_memory(scene, kinds[i].base, 65536, MCA_RCACHE_ACCESS_LOCAL_WRITE);
        REQUIRE(rc == OPAL_SUCCESS, "%s memory: register_mem returned %d", kinds[i].name, rc);
    }
    free(heap);
    suite_close(scene);
}

static void memory_that_is_not_there(scene_t *scene)
{
    size_t size = 4 * scene->page;
    suite_open(scene);
    char *hole = suite_map(size), *forbidden = suite_map(size);
    suite_unmap(hole + scene->page, scene->page);
    REQUIRE(mprotect(forbidden, size, PROT_NONE) == 0, "mprotect failed");
    for (int i = 0; i < 50; i++) {
        try_memory(scene, hole, size, MCA_RCACHE_ACCESS_LOCAL_WRITE);
        try_memory(scene, forbidden, size, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    }
    REQUIRE(try_memory(scene, suite_map(size), size, 0) == OPAL_SUCCESS, "it registers nothing any more");
    suite_close(scene);
}

static void every_combination_of_rights(scene_t *scene)
{
    size_t size = 2 * scene->page;
    suite_open(scene);
    char *writable = suite_map(size), *readable = suite_map(size);
    REQUIRE(mprotect(readable, size, PROT_READ) == 0, "mprotect failed");
    for (int32_t access = 0; access <= MCA_RCACHE_ACCESS_ANY; access++) {
        bool remote_only = (access & (MCA_RCACHE_ACCESS_REMOTE_WRITE | MCA_RCACHE_ACCESS_REMOTE_ATOMIC)) != 0
                           && (access & MCA_RCACHE_ACCESS_LOCAL_WRITE) == 0;
        int rc = try_memory(scene, writable, size, access);
        REQUIRE(rc == OPAL_SUCCESS || remote_only, "rights %#x on writable memory: %d", (unsigned) access, rc);
        try_memory(scene, readable, size, access);
    }
    suite_close(scene);
}

/* ---- Several of them ---------------------------------------------------------------------------- */

static void same_range_twice(scene_t *scene)
{
    size_t size = 2 * scene->page;
    suite_open(scene);
    char *memory = suite_map(size);
    mca_rcache_base_registration_t *first = suite_enter(scene, memory, size);
    mca_rcache_base_registration_t *second = suite_enter(scene, memory, size);
    suite_must_have(scene, 2 * size);
    suite_end(scene, first);
    suite_must_have(scene, size);
    suite_must_work(scene, second);
    suite_end(scene, second);
    suite_close(scene);
}

static void overlapping_ranges(scene_t *scene)
{
    size_t page = scene->page;
    suite_open(scene);
    char *memory = suite_map(6 * page);
    mca_rcache_base_registration_t *left = suite_enter(scene, memory, 4 * page);
    mca_rcache_base_registration_t *right = suite_enter(scene, memory + 2 * page, 4 * page);
    mca_rcache_base_registration_t *inner = suite_enter(scene, memory + page, page);
    suite_must_have(scene, 9 * page);
    suite_end(scene, left);
    suite_must_have(scene, 5 * page);
    suite_must_work(scene, right);
    suite_must_work(scene, inner);
    suite_end(scene, right);
    suite_end(scene, inner);
    suite_close(scene);
}

static void many_ended_in_another_order(scene_t *scene)
{
    size_t many = scene->suite->many != 0 ? scene->suite->many : 1000;
    suite_open(scene);
    char *memory = suite_map(many * scene->page);
    mca_rcache_base_registration_t **regs = calloc(many, sizeof(regs[0]));
    for (size_t i = 0; i < many; i++) {
        regs[i] = suite_enter(scene, memory + i * scene->page, scene->page);
    }
    suite_must_have(scene, many * scene->page);
    uint64_t random = 88172645463325252;
    for (size_t left = many; left > 0; left--) {
        random = random * 6364136223846793005 + 1442695040888963407;
        size_t pick = (size_t) (random >> 33) % left;
        suite_end(scene, regs[pick]);
        regs[pick] = regs[left - 1];
    }
    free(regs);
    suite_close(scene);
}

/* Up to a limit, if there is one within reach: a cache must be told by the right code, or it would not evict. */
static void limit_is_out_of_resource(scene_t *scene)
{
    enum { REACH = 20000 };
    static mca_rcache_base_registration_t *regs[REACH];
    size_t count = 0;
    int rc = OPAL_SUCCESS;
    suite_open(scene);
    char *memory = suite_map(REACH * scene->page);
    while (count < REACH && rc == OPAL_SUCCESS) {
        regs[count] = suite_new(scene, memory + count * scene->page, scene->page, 0);
        rc = suite_register(scene, regs[count]);
        count += rc == OPAL_SUCCESS;
    }
    REQUIRE(count == REACH || rc == OPAL_ERR_OUT_OF_RESOURCE, "after %zu registrations register_mem returned %d",
            count, rc);
    suite_must_have(scene, count * scene->page);
    if (count < REACH) {
        suite_end(scene, regs[--count]);
        REQUIRE(suite_register(scene, regs[count + 1]) == OPAL_SUCCESS, "one was ended, and there is no room");
        suite_end(scene, regs[count + 1]);
    }
    while (count > 0) {
        suite_end(scene, regs[--count]);
    }
    suite_close(scene);
}

static void ended_together(scene_t *scene)
{
    static const size_t strides[] = { 1, MANY_AT_ONCE - 1, 7 }; /* In order, backwards, mixed. */
    mca_rcache_base_registration_t *regs[MANY_AT_ONCE], *list[MANY_AT_ONCE];
    suite_open(scene);
    if (scene->resources.deregister_many == NULL) {
        suite_skip("the provider has no deregister_many");
    }
    char *memory = suite_map(MANY_AT_ONCE * scene->page);
    for (size_t k = 0; k < sizeof(strides) / sizeof(strides[0]); k++) {
        size_t ended = 0;
        for (size_t i = 0; i < MANY_AT_ONCE; i++) {
            regs[i] = suite_enter(scene, memory + i * scene->page, scene->page);
        }
        for (size_t i = 0; i < MANY_AT_ONCE; i++) {
            size_t pick = (i + 1) * strides[k] % MANY_AT_ONCE;
            if (pick % 4 != 0) { /* A quarter stays. */
                list[ended++] = regs[pick];
            }
        }
        int rc = scene->resources.deregister_many(scene->resources.reg_data, list, 0);
        REQUIRE(rc == OPAL_SUCCESS, "deregister_many of none returned %d", rc);
        rc = scene->resources.deregister_many(scene->resources.reg_data, list, ended);
        REQUIRE(rc == OPAL_SUCCESS, "deregister_many of %zu returned %d", ended, rc);
        for (size_t i = 0; i < ended; i++) {
            suite_free(list[i]);
        }
        suite_must_have(scene, (MANY_AT_ONCE - ended) * scene->page);
        for (size_t i = 0; i < MANY_AT_ONCE; i += 4) {
            suite_must_work(scene, regs[i]);
            suite_end(scene, regs[i]);
        }
    }
    suite_close(scene);
}

/* ---- Memory that went first --------------------------------------------------------------------- */

static void ended_after_the_memory_went(scene_t *scene)
{
    size_t size = 4 * scene->page;
    suite_open(scene);
    for (int i = 0; i < 50; i++) {
        char *memory = suite_map(size);
        mca_rcache_base_registration_t *reg = suite_enter(scene, memory, size);
        suite_unmap(memory, size);
        suite_end(scene, reg);
        suite_must_have(scene, 0);
    }
    suite_close(scene);
}

/* The old registration ends after the same addresses were given out, and registered, again. */
static void ended_after_other_memory_came(scene_t *scene)
{
    size_t size = 4 * scene->page;
    suite_open(scene);
    char *memory = suite_map(size);
    mca_rcache_base_registration_t *old = suite_enter(scene, memory, size);
    suite_unmap(memory, size);
    REQUIRE(mmap(memory, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory,
            "no memory for the scene");
    memset(memory, 'n', size);
    mca_rcache_base_registration_t *fresh = suite_enter(scene, memory, size);
    suite_end(scene, old);
    suite_must_have(scene, size);
    suite_must_work(scene, fresh);
    suite_end(scene, fresh);
    suite_close(scene);
}

/* ---- Opened and closed -------------------------------------------------------------------------- */

static void closed_and_opened_again(scene_t *scene)
{
    char *memory = suite_map(scene->page);
    suite_footprint_t first = { 0, 0 };
    for (int i = 0; i < 200; i++) {
        suite_open(scene);
        suite_end(scene, suite_enter(scene, memory, scene->page));
        suite_close(scene);
        if (i == 19) {
            first = suite_footprint();
        }
    }
    suite_footprint_t last = suite_footprint();
    REQUIRE(last.descriptors <= first.descriptors, "180 rounds left %ld descriptors",
            last.descriptors - first.descriptors);
    REQUIRE(last.mappings < first.mappings + 90, "180 rounds left %ld mappings", last.mappings - first.mappings);
}

static void two_open_at_once(scene_t *scene)
{
    scene_t other = *scene;
    char *memory = suite_map(2 * scene->page);
    suite_open(scene);
    mca_rcache_base_registration_t *first = suite_enter(scene, memory, scene->page);
    suite_open(&other);
    mca_rcache_base_registration_t *second = suite_enter(&other, memory + scene->page, scene->page);
    suite_end(&other, second);
    suite_close(&other);
    suite_must_work(scene, first);
    suite_end(scene, first);
    suite_close(scene);
}

/* ---- Allocations that fail ---------------------------------------------------------------------- */

#define ALLOCATIONS 1000 /* More than one call makes. */

static void allocation_fails_in_open(scene_t *scene)
{
    bool failed = true;
    if (!suite_trap_works()) {
        suite_skip("this build has an allocator of its own");
    }
    for (long nth = 1; failed && nth < ALLOCATIONS; nth++) {
        scene->state = NULL;
        suite_fail_allocation(nth);
        memset(&scene->resources, 0, sizeof(scene->resources));
        int rc = scene->suite->open(&scene->state, &scene->resources);
        failed = suite_allocation_failed();
        suite_fail_allocation(0);
        REQUIRE(rc <= 0, "open returned %d, which is no code", rc);
        REQUIRE(failed || rc == OPAL_SUCCESS, "open returned %d", rc);
        if (rc == OPAL_SUCCESS) {
            scene->suite->close(scene->state);
        }
    }
    suite_open(scene);
    suite_close(scene);
}

static void allocation_fails_in_register(scene_t *scene)
{
    bool failed = true;
    if (!suite_trap_works()) {
        suite_skip("this build has an allocator of its own");
    }
    suite_open(scene);
    char *memory = suite_map(scene->page);
    for (long nth = 1; failed && nth < ALLOCATIONS; nth++) {
        mca_rcache_base_registration_t *reg = suite_new(scene, memory, scene->page, 0);
        suite_fail_allocation(nth);
        int rc = suite_register(scene, reg);
        failed = suite_allocation_failed();
        suite_fail_allocation(0);
        REQUIRE(failed || rc == OPAL_SUCCESS, "register_mem returned %d", rc);
        REQUIRE(!failed || rc == OPAL_SUCCESS || rc == OPAL_ERR_OUT_OF_RESOURCE,
                "without memory, register_mem returned %d", rc);
        if (rc == OPAL_SUCCESS) {
            suite_end(scene, reg);
        }
        suite_must_have(scene, 0);
    }
    suite_close(scene);
}

const scene_entry_t suite_direct_scenes[] = {
    { "resources_are_complete", resources_are_complete },
    { "each_end_leaves_nothing", each_end_leaves_nothing },
    { "sizes_from_one_page_to_the_largest", sizes_from_one_page_to_the_largest },
    { "memory_that_programs_send_from", memory_that_programs_send_from },
    { "memory_that_is_not_there", memory_that_is_not_there },
    { "every_combination_of_rights", every_combination_of_rights },
    { "same_range_twice", same_range_twice },
    { "overlapping_ranges", overlapping_ranges },
    { "many_ended_in_another_order", many_ended_in_another_order },
    { "limit_is_out_of_resource", limit_is_out_of_resource },
    { "ended_together", ended_together },
    { "ended_after_the_memory_went", ended_after_the_memory_went },
    { "ended_after_other_memory_came", ended_after_other_memory_came },
    { "closed_and_opened_again", closed_and_opened_again },
    { "two_open_at_once", two_open_at_once },
    { "allocation_fails_in_open", allocation_fails_in_open },
    { "allocation_fails_in_register", allocation_fails_in_register },
    { NULL, NULL },
};
