/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements rcache_base_list.h. */
#include "rcache/base/rcache_base_list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "framework/hooks/hooks_internal.h"

#define CHUNK_SLOTS 64

struct mca_rcache_entry_t {
    bool taken; /* The rest under list_lock. */
    bool caching;
    _Atomic(mca_rcache_base_module_t *) *slot;
    const void *reg_data; /* Constant while the slot is filled, and until no dispatch sees the cache any more. */
    mca_base_component_item_t *owner; /* NULL once the list was closed: the component is kept then. */
};

/* Slots are filled and emptied under list_lock; hooks read them without it. A cache is freed only after its slot was
 * emptied and every dispatch then running has ended. Chunks are never freed. */
struct chunk {
    _Atomic size_t used; /* Slots from here on have never been taken. Raised before a slot is filled. */
    _Atomic(struct chunk *) next;
    _Atomic(mca_rcache_base_module_t *) slot[CHUNK_SLOTS];
    mca_rcache_entry_t *entry; /* As many. */
};

static mca_rcache_entry_t first_entries[CHUNK_SLOTS];
static OPAL_MEM_HOOKS_DATA struct chunk first_chunk = { .entry = first_entries };
static size_t cache_count; /* Under list_lock, as is the next. */
static bool is_open;

/* Protects the entries, and the slots against other writers. Never held across an allocation, a callback or a wait. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

void mca_rcache_list_open(void)
{
    pthread_mutex_lock(&list_lock);
    is_open = true;
    pthread_mutex_unlock(&list_lock);
}

static void disown_locked(mca_rcache_entry_t *entry, bool keep)
{
    if (entry->owner != NULL && keep) {
        entry->owner->keep = true;
    }
    entry->owner = NULL;
}

size_t mca_rcache_list_close(void)
{
    pthread_mutex_lock(&list_lock);
    is_open = false;
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < CHUNK_SLOTS; i++) {
            disown_locked(&chunk->entry[i], true);
            chunk->entry[i].caching = false; /* For good: nobody listens for it after the next open. */
        }
    }
    size_t left = cache_count;
    pthread_mutex_unlock(&list_lock);
    opal_mem_hooks_wait_dispatch();
    return left;
}

/* Not under the lock: look may allocate. */
bool mca_rcache_list_while_open(void (*look)(void *arg), void *arg)
{
    opal_mem_hooks_window_t window;
    opal_mem_hooks_enter(&window);
    pthread_mutex_lock(&list_lock);
    bool open = is_open;
    pthread_mutex_unlock(&list_lock);
    if (open) {
        look(arg);
    }
    opal_mem_hooks_leave(&window);
    return open;
}

/* ---- Entries ------------------------------------------------------------------------------------ */

static mca_rcache_entry_t *find_free_locked(struct chunk **last)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        *last = chunk;
        for (size_t i = 0; i < CHUNK_SLOTS; i++) {
            if (!chunk->entry[i].taken) {
                if (i >= atomic_load(&chunk->used)) {
                    atomic_store(&chunk->used, i + 1);
                }
                chunk->entry[i].slot = &chunk->slot[i];
                return &chunk->entry[i];
            }
        }
    }
    return NULL;
}

struct large_chunk {
    struct chunk chunk;
    mca_rcache_entry_t entry[CHUNK_SLOTS];
};

static struct chunk *make_chunk(void)
{
    struct large_chunk *large = calloc(1, sizeof(*large));

    if (large == NULL) {
        return NULL;
    }
    large->chunk.entry = large->entry;
    return &large->chunk;
}

/* OPAL_ERR_TEMP_OUT_OF_RESOURCE: no entry is free, and spare is needed. */
static int take_locked(mca_rcache_list_pick_fn_t pick, void *arg, struct chunk **spare,
                       mca_rcache_entry_t **out_entry)
{
    struct chunk *last;
    mca_rcache_entry_t *entry = find_free_locked(&last);
    if (entry == NULL && *spare != NULL) {
        atomic_store(&last->next, *spare);
        *spare = NULL;
        entry = find_free_locked(&last);
    }
    if (entry == NULL) {
        return OPAL_ERR_TEMP_OUT_OF_RESOURCE;
    }
    mca_base_component_item_t *owner = is_open ? pick(arg) : NULL;
    if (owner == NULL) {
        return OPAL_ERR_NOT_FOUND;
    }
    entry->taken = true;
    entry->owner = owner;
    *out_entry = entry;
    return OPAL_SUCCESS;
}

int mca_rcache_list_take(mca_rcache_list_pick_fn_t pick, void *arg, mca_rcache_entry_t **entry,
                         const mca_rcache_base_component_t **component)
{
    struct chunk *spare = NULL;
    int rc;
    for (;;) {
        pthread_mutex_lock(&list_lock);
        rc = take_locked(pick, arg, &spare, entry);
        if (rc == OPAL_SUCCESS) {
            *component = (const mca_rcache_base_component_t *) (*entry)->owner->component;
        }
        pthread_mutex_unlock(&list_lock);
        if (rc != OPAL_ERR_TEMP_OUT_OF_RESOURCE) {
            break;
        }
        spare = make_chunk();
        if (spare == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
    free(spare);
    return rc;
}

bool mca_rcache_list_publish(mca_rcache_entry_t *entry, mca_rcache_base_module_t *module, bool caching,
                             const void *reg_data)
{
    pthread_mutex_lock(&list_lock);
    bool open = entry->owner != NULL; /* Not is_open: it may have been closed and opened again. */
    if (open) {
        entry->caching = caching;
        entry->reg_data = reg_data;
        atomic_store(entry->slot, module);
        cache_count++;
    }
    pthread_mutex_unlock(&list_lock);
    return open;
}

static mca_rcache_entry_t *find_locked(const mca_rcache_base_module_t *module)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < CHUNK_SLOTS; i++) {
            if (atomic_load_explicit(&chunk->slot[i], memory_order_relaxed) == module) {
                return &chunk->entry[i];
            }
        }
    }
    return NULL;
}

mca_rcache_entry_t *mca_rcache_list_hide(const mca_rcache_base_module_t *module)
{
    pthread_mutex_lock(&list_lock);
    mca_rcache_entry_t *entry = module != NULL ? find_locked(module) : NULL;
    if (entry != NULL) {
        atomic_store(entry->slot, NULL);
        cache_count--;
    }
    pthread_mutex_unlock(&list_lock);
    return entry;
}

void mca_rcache_list_give_back(mca_rcache_entry_t *entry, bool keep)
{
    pthread_mutex_lock(&list_lock);
    disown_locked(entry, keep);
    entry->caching = false;
    entry->taken = false;
    pthread_mutex_unlock(&list_lock);
}

bool mca_rcache_list_is_caching(const mca_rcache_base_module_t *module)
{
    pthread_mutex_lock(&list_lock);
    const mca_rcache_entry_t *entry = module != NULL ? find_locked(module) : NULL;
    bool caching = entry != NULL && entry->caching && is_open;
    pthread_mutex_unlock(&list_lock);
    return caching;
}

/* ---- Without the lock --------------------------------------------------------------------------- */

OPAL_MEM_HOOKS_PATH void mca_rcache_list_visit(void (*visit)(mca_rcache_base_module_t *module, void *arg),
                                               void *arg)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
        for (size_t i = 0; i < used; i++) {
            mca_rcache_base_module_t *module = atomic_load_explicit(&chunk->slot[i], memory_order_acquire);
            if (module != NULL) {
                visit(module, arg);
            }
        }
    }
}

void mca_rcache_list_visit_of(const void *reg_data, void (*visit)(mca_rcache_base_module_t *module, void *arg),
                              void *arg)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < CHUNK_SLOTS; i++) {
            mca_rcache_base_module_t *module = atomic_load(&chunk->slot[i]);
            if (module != NULL && chunk->entry[i].reg_data == reg_data) {
                visit(module, arg);
            }
        }
    }
}

void mca_rcache_list_reset_child(void)
{
    /* An entry that another thread had taken stays taken: its cache is never seen here. */
    pthread_mutex_init(&list_lock, NULL);
}
