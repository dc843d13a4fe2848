/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "arena", an example of a PUSH component: it hears of a release in the releasing thread, before
 * the pages go.
 *
 * A program whose allocator gives pages back behind libc's back (see arena.h) exports `arena_interface`; the
 * component finds it and puts a function around each release. It notices nothing else, so it is meant to run
 * beside another component: --mca memory linux+arena. */
#include "arena.h"

#include <dlfcn.h>
#include <opal/mca/base/base.h>
#include <opal/mca/memory/memory.h>
#include <opal/memoryhooks/memory_internal.h>
#include <stdatomic.h>

/* ---- Variables: memory_arena_priority, memory_arena_covers ---------------------------------------- */

typedef enum covers_t { COVERS_ARENA, COVERS_EVERYTHING } covers_t;

/* They hold the defaults until they are registered, and get them back when the library stops. */
static int component_priority = 30;
static int covers = COVERS_ARENA;

static int register_params(void)
{
    static const mca_base_var_enum_value_t names[] = {
        { "arena", COVERS_ARENA },
        { "everything", COVERS_EVERYTHING },
        { NULL, 0 },
    };
    int rc = mca_base_var_register(&(mca_base_var_def_t){
        .framework = "memory",
        .component = "arena",
        .name = "priority",
        .help = "Priority of the component that is told by the program's own allocator.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 5,
        .min = 0,
        .max = 100,
        .storage = &component_priority,
    });
    if (rc != OPAL_SUCCESS) {
        return rc; /* The library has said what is wrong with the value. */
    }
    return mca_base_var_register(&(mca_base_var_def_t){
        .framework = "memory",
        .component = "arena",
        .name = "covers",
        .help =
            "Where registered memory comes from: arena (and elsewhere, so that caches need a second component), "
            "everything (nothing else is ever registered: caches may rely on this component alone).",
        .type = MCA_BASE_VAR_TYPE_ENUM,
        .info_level = 3,
        .enumerator = names,
        .storage = &covers,
    });
}

/* ---- Events --------------------------------------------------------------------------------------- */

static const arena_interface_t *arena; /* Set by open, constant afterwards. */
static atomic_bool delivering;         /* Between enable and disable. */
static _Atomic(void *) last_start;     /* What was released last; for the self-test. */

/* Hook context: runs in the middle of the program's free function. Allocates nothing, prints nothing, waits for
 * nothing. The window is open until the pages are gone: a thread that registers them meanwhile waits. */
static int around_release(void *start, size_t length, arena_release_fn_t *release)
{
    if (!atomic_load(&delivering)) {
        return release(start, length);
    }
    opal_mem_hooks_window_t window;
    const opal_mem_hooks_range_t range = { (uintptr_t) start, length };
    opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MADVISE, true);
    int rc = release(start, length);
    opal_mem_hooks_window_close(&window);
    atomic_store(&last_start, start);
    return rc;
}

/* ---- Life ----------------------------------------------------------------------------------------- */

/* Is there something to work with? Cheap, and without effect: the component may never be selected. */
static int open_arena(void)
{
    arena = dlsym(RTLD_DEFAULT, "arena_interface");
    if (arena == NULL) {
        mca_base_component_set_reason(
            "the program exports no arena_interface (link it with -rdynamic, if it has one)");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (arena->version != ARENA_INTERFACE_VERSION) {
        mca_base_component_set_reason("the program's arena_interface has version %u, not %d", arena->version,
                                      ARENA_INTERFACE_VERSION);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

static int enable(void);
static int disable(void);

static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
    .flags = OPAL_MEMORY_MODULE_PUSH,
    .sees = OPAL_MEMORY_SEES_BEFORE,
    .enable = enable,
    .disable = disable,
};

static int query(mca_base_module_t **out_module, int *priority)
{
    *out_module = (mca_base_module_t *) &module;
    *priority = component_priority;
    return OPAL_SUCCESS;
}

/* Give a block back, and see whether the news arrives: that the program accepts the function proves nothing. */
static bool hears_of_a_release(void)
{
    void *block = arena->take();
    if (block == NULL) {
        return false;
    }
    atomic_store(&last_start, NULL);
    arena->give(block);
    return atomic_load(&last_start) == block;
}

/* The component was selected. A support bit is a promise that caches rely on: it is given only for what the self-test
 * has shown, and for all memory only because the user said so. */
static int enable(void)
{
    arena_around_fn_t *other = arena->watch(around_release);
    if (other != NULL) {
        arena->watch(other);
        mca_base_component_set_reason("somebody else watches the arena already");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    atomic_store(&delivering, true);
    if (!hears_of_a_release()) {
        disable();
        mca_base_component_set_reason("the self-test gave an arena block back and heard nothing of it");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (covers == COVERS_EVERYTHING) {
        module.support = OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT;
    }
    return OPAL_SUCCESS;
}

/* A thread may be inside around_release() now, or about to enter it. Nothing has to wait for it, because the DSO is
 * never unloaded (RESIDENT), and the memory hooks know by themselves when a callback is over. */
static int disable(void)
{
    atomic_store(&delivering, false);
    arena->watch(NULL);
    module.support = 0;
    return OPAL_SUCCESS;
}

/* ---- The component -------------------------------------------------------------------------------- */

/* The symbol's name is mca_<framework>_<component>_component, the file's mca_<framework>_<component>.so. */
MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_arena_component;
const opal_memory_base_component_t mca_memory_arena_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0, /* What it was written for; the library refuses others. */
        .mca_component_name = "arena",
        .mca_component_major_version = 1, /* Its own version, for listings. */
        .mca_open_component = open_arena,
        .mca_query_component = query,
        .mca_register_component_params = register_params,
        .flags = MCA_BASE_COMPONENT_FLAG_RESIDENT,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
