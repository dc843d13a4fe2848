/* SPDX-License-Identifier: BSD-3-Clause */
/* The callback lists of the memory hooks, and what raises them.
 *
 * A list is an array that only grows at its end. Removing marks an entry dead
 * in place, which hook context may do; the room of dead entries is won back
 * when the array is full, by installing a copy without them and waiting until
 * nobody reads the old one. Until then the old one is chained behind the new:
 * whoever marks an entry dead marks it in all of them.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "framework/hooks/hooks_internal.h"
#include "framework/util/fork.h"

#define INITIAL_CAPACITY 16

struct callback {
    _Atomic(opal_mem_hooks_callback_fn_t *) func; /* NULL: dead. Set once before count covers the entry. */
    void *cbdata;
};

struct callback_array {
    struct callback_array *older; /* Replaced, perhaps still read; under list_lock. */
    uint32_t capacity;
    _Atomic uint32_t count; /* Release store by the appender, acquire load by dispatchers. */
    struct callback *items;
};

struct callback_list {
    _Atomic(struct callback_array *) array; /* Release store under list_lock, acquire load by dispatchers. */
    struct callback_array initial;
    struct callback initial_items[INITIAL_CAPACITY];
    _Atomic uint32_t live; /* Entries that are not dead; written under list_lock. */
    int needed_support;    /* One of these bits must be there to register. */
};

/* Serialises changes of both lists. Never held across an allocation, a wait or a callback, and only with
 * signals blocked: an unregister in a signal handler's callback may take it. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

static struct callback_list release_list = {
    .array = &release_list.initial,
    .initial = { .capacity = INITIAL_CAPACITY, .items = release_list.initial_items },
    .needed_support = OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT,
};
static struct callback_list alloc_list = {
    .array = &alloc_list.initial,
    .initial = { .capacity = INITIAL_CAPACITY, .items = alloc_list.initial_items },
    .needed_support = OPAL_MEMORY_MALLOC_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT,
};

static atomic_int support_level;

static void lock_lists(sigset_t *saved)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, saved);
    pthread_mutex_lock(&list_lock);
}

static void unlock_lists(const sigset_t *saved)
{
    pthread_mutex_unlock(&list_lock);
    pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* ---- Changing a list --------------------------------------------------------------------------- */

static struct callback_array *current(struct callback_list *list)
{
    return atomic_load_explicit(&list->array, memory_order_acquire);
}

static struct callback *find_in(struct callback_array *array, opal_mem_hooks_callback_fn_t *func)
{
    uint32_t count = atomic_load_explicit(&array->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        if (atomic_load_explicit(&array->items[i].func, memory_order_relaxed) == func) {
            return &array->items[i];
        }
    }
    return NULL;
}

/* Mark func dead wherever a dispatcher may find it. @return whether it was alive. */
static bool kill_locked(struct callback_list *list, opal_mem_hooks_callback_fn_t *func)
{
    bool was_alive = find_in(current(list), func) != NULL;
    for (struct callback_array *array = current(list); array != NULL; array = array->older) {
        struct callback *item = find_in(array, func);
        if (item != NULL) {
            atomic_store(&item->func, NULL);
        }
    }
    return was_alive;
}

static bool append_locked(struct callback_array *array, opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    uint32_t count = atomic_load_explicit(&array->count, memory_order_relaxed);
    if (count == array->capacity) {
        return false;
    }
    array->items[count].cbdata = cbdata;
    atomic_store_explicit(&array->items[count].func, func, memory_order_relaxed);
    atomic_store_explicit(&array->count, count + 1, memory_order_release);
    return true;
}

static struct callback_array *new_array(uint32_t capacity)
{
    struct callback_array *array = calloc(1, sizeof(*array) + capacity * sizeof(array->items[0]));
    if (array != NULL) {
        array->capacity = capacity;
        array->items = (struct callback *) (array + 1);
    }
    return array;
}

/* Nobody reads the replaced array any more. */
static void free_array(struct callback_list *list, struct callback_array *old)
{
    sigset_t saved;
    lock_lists(&saved);
    struct callback_array **link = &current(list)->older;
    while (*link != old) {
        link = &(*link)->older;
    }
    *link = old->older;
    unlock_lists(&saved);
    if (old != &list->initial) {
        free(old);
    }
}

/* Replace the array by `array`, with the live entries. Returns the old one, which dispatchers may still read. */
static struct callback_array *install_locked(struct callback_list *list, struct callback_array *array)
{
    struct callback_array *old = current(list);
    uint32_t count = atomic_load_explicit(&old->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        opal_mem_hooks_callback_fn_t *func = atomic_load_explicit(&old->items[i].func, memory_order_relaxed);
        if (func != NULL) {
            append_locked(array, func, old->items[i].cbdata);
        }
    }
    array->older = old;
    atomic_store_explicit(&list->array, array, memory_order_release);
    return old;
}

/* One attempt. OPAL_ERR_TEMP_OUT_OF_RESOURCE: no room; *wanted says what capacity would do. */
static int try_register(struct callback_list *list, opal_mem_hooks_callback_fn_t *func, void *cbdata,
                        struct callback_array **spare, struct callback_array **old, uint32_t *wanted)
{
    sigset_t saved;
    int rc = OPAL_SUCCESS;
    lock_lists(&saved);
    struct callback_array *array = current(list);
    if ((opal_mem_hooks_support_level() & list->needed_support) == 0) {
        rc = OPAL_ERR_NOT_SUPPORTED; /* Again: finalize may have been here. */
    } else if (find_in(array, func) != NULL) {
        rc = OPAL_EXISTS;
    } else if (!append_locked(array, func, cbdata)) {
        uint32_t room = 2 * (atomic_load_explicit(&list->live, memory_order_relaxed) + 1);
        *wanted = room < INITIAL_CAPACITY ? INITIAL_CAPACITY : room;
        if (*spare != NULL && (*spare)->capacity >= *wanted) {
            *old = install_locked(list, *spare);
            append_locked(*spare, func, cbdata);
            *spare = NULL;
        } else {
            rc = OPAL_ERR_TEMP_OUT_OF_RESOURCE;
        }
    }
    if (rc == OPAL_SUCCESS) {
        atomic_fetch_add(&list->live, 1);
    }
    unlock_lists(&saved);
    return rc;
}

static int list_register(struct callback_list *list, opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    struct callback_array *spare = NULL, *old = NULL;
    uint32_t wanted = 0;
    int rc;

    opal_fork_check();
    if (func == NULL) {
        return OPAL_ERR_BAD_PARAM;
    }
    if ((opal_mem_hooks_support_level() & list->needed_support) == 0) {
        return OPAL_ERR_NOT_SUPPORTED;
    }
    while ((rc = try_register(list, func, cbdata, &spare, &old, &wanted)) == OPAL_ERR_TEMP_OUT_OF_RESOURCE) {
        free(spare);
        spare = new_array(wanted);
        if (spare == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
    free(spare);
    if (old != NULL) {
        opal_mem_hooks_wait_dispatch();
        free_array(list, old);
    }
    return rc;
}

static int list_unregister(struct callback_list *list, opal_mem_hooks_callback_fn_t *func)
{
    sigset_t saved;
    opal_fork_check();
    lock_lists(&saved);
    bool found = func != NULL && kill_locked(list, func);
    if (found) {
        atomic_fetch_sub(&list->live, 1);
    }
    unlock_lists(&saved);
    return found ? opal_mem_hooks_wait_dispatch() : OPAL_ERR_NOT_FOUND;
}

/* Mark all entries dead; their room is won back by later registrations. */
static void clear(struct callback_list *list)
{
    sigset_t saved;
    lock_lists(&saved);
    for (struct callback_array *array = current(list); array != NULL; array = array->older) {
        uint32_t count = atomic_load_explicit(&array->count, memory_order_relaxed);
        for (uint32_t i = 0; i < count; i++) {
            atomic_store(&array->items[i].func, NULL);
        }
    }
    atomic_store(&list->live, 0);
    unlock_lists(&saved);
}

static bool has_callback_in(struct callback_list *list, uintptr_t start, uintptr_t end)
{
    sigset_t saved;
    bool found = false;
    lock_lists(&saved);
    struct callback_array *array = current(list);
    uint32_t count = atomic_load_explicit(&array->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count && !found; i++) {
        uintptr_t func = (uintptr_t) atomic_load_explicit(&array->items[i].func, memory_order_relaxed);
        found = func >= start && func < end;
    }
    unlock_lists(&saved);
    return found;
}

bool opal_mem_hooks_has_callback_in(uintptr_t start, uintptr_t end)
{
    return has_callback_in(&release_list, start, end) || has_callback_in(&alloc_list, start, end);
}

void opal_mem_hooks_stop(void)
{
    opal_mem_hooks_set_support(0);
    clear(&release_list);
    clear(&alloc_list);
    opal_mem_hooks_wait_dispatch();
}

int opal_mem_hooks_register_alloc(opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    return list_register(&alloc_list, func, cbdata);
}

int opal_mem_hooks_register_release(opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    return list_register(&release_list, func, cbdata);
}

int opal_mem_hooks_unregister_alloc(opal_mem_hooks_callback_fn_t *func)
{
    return list_unregister(&alloc_list, func);
}

int opal_mem_hooks_unregister_release(opal_mem_hooks_callback_fn_t *func)
{
    return list_unregister(&release_list, func);
}

/* ---- Raising events ---------------------------------------------------------------------------- */

OPAL_MEM_HOOKS_PATH static void dispatch(struct callback_list *list, void *buf, size_t length, bool from_alloc)
{
    struct callback_array *array = current(list);
    uint32_t count = atomic_load_explicit(&array->count, memory_order_acquire);
    if (count == 0) {
        return;
    }
    int saved_errno = errno;
    for (uint32_t i = 0; i < count; i++) {
        opal_mem_hooks_callback_fn_t *func = atomic_load_explicit(&array->items[i].func, memory_order_acquire);
        if (func != NULL) {
            func(buf, length, array->items[i].cbdata, from_alloc);
        }
    }
    errno = saved_errno;
}

OPAL_MEM_HOOKS_PATH void opal_mem_hooks_dispatch_release(const opal_mem_hooks_range_t *range, bool from_alloc)
{
    dispatch(&release_list, (void *) range->start, range->length, from_alloc);
}

bool opal_mem_hooks_has_release_callbacks(void)
{
    return atomic_load(&release_list.live) != 0;
}

OPAL_MEM_HOOKS_PATH bool opal_mem_hooks_wants_alloc(void)
{
    return atomic_load_explicit(&alloc_list.live, memory_order_relaxed) != 0;
}

void opal_mem_hooks_alloc_hook(void *buf, size_t length, bool from_alloc)
{
    /* A callback that is being registered just now may miss this one: nobody relies on an alloc event. */
    if (length == 0 || atomic_load_explicit(&alloc_list.live, memory_order_relaxed) == 0) {
        return;
    }
    /* Left at the end, or when a callback is left by unwinding: see close_unfinished(). */
    opal_mem_hooks_window_t window __attribute__((cleanup(opal_mem_hooks_leave)));
    opal_mem_hooks_enter(&window);
    dispatch(&alloc_list, buf, length, from_alloc);
}

static opal_mem_hooks_range_t round_to_pages(uintptr_t start, size_t length)
{
    uintptr_t mask = (uintptr_t) sysconf(_SC_PAGESIZE) - 1;
    uintptr_t first = start & ~mask;
    if (length > UINTPTR_MAX - start || start + length > UINTPTR_MAX - mask) {
        return (opal_mem_hooks_range_t){ .start = first, .length = UINTPTR_MAX - first };
    }
    return (opal_mem_hooks_range_t){ .start = first, .length = ((start + length + mask) & ~mask) - first };
}

void opal_mem_hooks_release_cause(void *buf, size_t length, bool from_alloc, opal_mem_hooks_cause_t cause)
{
    if (length == 0) {
        return;
    }
    opal_mem_hooks_range_t range = round_to_pages((uintptr_t) buf, length);
    opal_mem_hooks_window_t window;
    opal_mem_hooks_window_open(&window, &range, 1, cause, from_alloc);
    opal_mem_hooks_window_close(&window);
}

void opal_mem_hooks_release_hook(void *buf, size_t length, bool from_alloc)
{
    opal_mem_hooks_release_cause(buf, length, from_alloc, OPAL_MEM_HOOKS_CAUSE_CALLER);
}

/* ---- Support, names, fork ---------------------------------------------------------------------- */

int opal_mem_hooks_support_level(void)
{
    return atomic_load_explicit(&support_level, memory_order_acquire);
}

void opal_mem_hooks_set_support(int support)
{
    atomic_store_explicit(&support_level, support, memory_order_release);
}

int opal_mem_hooks_support_names(int support, const char *separator, char *text, size_t size)
{
    static const char *const names[] = { "free", "malloc", "chunk", "mmap", "munmap" }; /* Bits 0 to 4. */
    int count = 0;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((support & 1 << i) != 0 && used < size) {
            used += (size_t) snprintf(text + used, size - used, "%s%s", count > 0 ? separator : "", names[i]);
            count++;
        }
    }
    return count;
}

const char *opal_mem_hooks_cause_name(opal_mem_hooks_cause_t cause)
{
    static const char *const names[OPAL_MEM_HOOKS_CAUSE_COUNT] = {
        [OPAL_MEM_HOOKS_CAUSE_UNKNOWN] = "unknown",
        [OPAL_MEM_HOOKS_CAUSE_MUNMAP] = "munmap",
        [OPAL_MEM_HOOKS_CAUSE_MMAP] = "mmap",
        [OPAL_MEM_HOOKS_CAUSE_MREMAP] = "mremap",
        [OPAL_MEM_HOOKS_CAUSE_MADVISE] = "madvise",
        [OPAL_MEM_HOOKS_CAUSE_BRK] = "brk",
        [OPAL_MEM_HOOKS_CAUSE_SHMDT] = "shmdt",
        [OPAL_MEM_HOOKS_CAUSE_SHMAT] = "shmat",
        [OPAL_MEM_HOOKS_CAUSE_REMAP_FILE_PAGES] = "remap_file_pages",
        [OPAL_MEM_HOOKS_CAUSE_PROCESS_MADVISE] = "process_madvise",
        [OPAL_MEM_HOOKS_CAUSE_TRUNCATE] = "truncate",
        [OPAL_MEM_HOOKS_CAUSE_FALLOCATE] = "fallocate",
        [OPAL_MEM_HOOKS_CAUSE_UFFD_MOVE] = "uffd_move",
        [OPAL_MEM_HOOKS_CAUSE_KERNEL] = "kernel",
        [OPAL_MEM_HOOKS_CAUSE_CALLER] = "caller",
    };
    return (unsigned) cause < OPAL_MEM_HOOKS_CAUSE_COUNT ? names[cause] : names[0];
}

void opal_mem_hooks_reset_child(void)
{
    pthread_mutex_init(&list_lock, NULL);
    opal_mem_hooks_windows_reset_child();
}
