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

/* Serialises changes of both lists. Never held across an allocation, a wait or a callback, and only with
 * signals blocked: an unregister in a signal handler's callback may take it. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

OPAL_MEM_HOOKS_DATA struct opal_mem_hooks_list opal_mem_hooks_release_list = {
    .array = &opal_mem_hooks_release_list.initial,
    .initial = { .capacity = OPAL_MEM_HOOKS_INITIAL_CAPACITY, .items = opal_mem_hooks_release_list.initial_items },
    .needed_support = OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT,
};
static struct opal_mem_hooks_list alloc_list = {
    .array = &alloc_list.initial,
    .initial = { .capacity = OPAL_MEM_HOOKS_INITIAL_CAPACITY, .items = alloc_list.initial_items },
    .needed_support = OPAL_MEMORY_MALLOC_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT,
};

static atomic_int support_level;
static atomic_int userfaultfd = -1;

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

static struct opal_mem_hooks_entry *find_in(struct opal_mem_hooks_array *array, opal_mem_hooks_callback_fn_t *func)
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
static bool kill_locked(struct opal_mem_hooks_list *list, opal_mem_hooks_callback_fn_t *func)
{
    bool was_alive = find_in(opal_mem_hooks_current(list), func) != NULL;
    for (struct opal_mem_hooks_array *array = opal_mem_hooks_current(list); array != NULL; array = array->older) {
        struct opal_mem_hooks_entry *item = find_in(array, func);
        if (item != NULL) {
            atomic_store(&item->func, NULL);
        }
    }
    return was_alive;
}

static bool append_locked(struct opal_mem_hooks_array *array, opal_mem_hooks_callback_fn_t *func, void *cbdata)
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

static struct opal_mem_hooks_array *new_array(uint32_t capacity)
{
    struct opal_mem_hooks_array *array = calloc(1, sizeof(*array) + capacity * sizeof(array->items[0]));
    if (array != NULL) {
        array->capacity = capacity;
        array->items = (struct opal_mem_hooks_entry *) (array + 1);
    }
    return array;
}

/* Nobody reads the replaced array any more. */
static void free_array(struct opal_mem_hooks_list *list, struct opal_mem_hooks_array *old)
{
    sigset_t saved;
    lock_lists(&saved);
    struct opal_mem_hooks_array **link = &opal_mem_hooks_current(list)->older;
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
static struct opal_mem_hooks_array *install_locked(struct opal_mem_hooks_list *list,
                                                   struct opal_mem_hooks_array *array)
{
    struct opal_mem_hooks_array *old = opal_mem_hooks_current(list);
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
static int try_register(struct opal_mem_hooks_list *list, opal_mem_hooks_callback_fn_t *func, void *cbdata,
                        struct opal_mem_hooks_array **spare, struct opal_mem_hooks_array **old, uint32_t *wanted)
{
    sigset_t saved;
    int rc = OPAL_SUCCESS;
    lock_lists(&saved);
    struct opal_mem_hooks_array *array = opal_mem_hooks_current(list);
    if ((opal_mem_hooks_support_level() & list->needed_support) == 0) {
        rc = OPAL_ERR_NOT_SUPPORTED; /* Again: finalize may have been here. */
    } else if (find_in(array, func) != NULL) {
        rc = OPAL_EXISTS;
    } else if (!append_locked(array, func, cbdata)) {
        uint32_t room = 2 * (atomic_load_explicit(&list->live, memory_order_relaxed) + 1);
        *wanted = room < OPAL_MEM_HOOKS_INITIAL_CAPACITY ? OPAL_MEM_HOOKS_INITIAL_CAPACITY : room;
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

static int list_register(struct opal_mem_hooks_list *list, opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    struct opal_mem_hooks_array *spare = NULL, *old = NULL;
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

static int list_unregister(struct opal_mem_hooks_list *list, opal_mem_hooks_callback_fn_t *func)
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
static void clear(struct opal_mem_hooks_list *list)
{
    sigset_t saved;
    lock_lists(&saved);
    for (struct opal_mem_hooks_array *array = opal_mem_hooks_current(list); array != NULL; array = array->older) {
        uint32_t count = atomic_load_explicit(&array->count, memory_order_relaxed);
        for (uint32_t i = 0; i < count; i++) {
            atomic_store(&array->items[i].func, NULL);
        }
    }
    atomic_store(&list->live, 0);
    unlock_lists(&saved);
}

static bool has_callback_in(struct opal_mem_hooks_list *list, uintptr_t start, uintptr_t end)
{
    sigset_t saved;
    bool found = false;
    lock_lists(&saved);
    struct opal_mem_hooks_array *array = opal_mem_hooks_current(list);
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
    return has_callback_in(&opal_mem_hooks_release_list, start, end) || has_callback_in(&alloc_list, start, end);
}

void opal_mem_hooks_stop(void)
{
    opal_mem_hooks_set_support(0);
    clear(&opal_mem_hooks_release_list);
    clear(&alloc_list);
    opal_mem_hooks_wait_dispatch();
}

int opal_mem_hooks_register_alloc(opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    return list_register(&alloc_list, func, cbdata);
}

int opal_mem_hooks_register_release(opal_mem_hooks_callback_fn_t *func, void *cbdata)
{
    return list_register(&opal_mem_hooks_release_list, func, cbdata);
}

int opal_mem_hooks_unregister_alloc(opal_mem_hooks_callback_fn_t *func)
{
    return list_unregister(&alloc_list, func);
}

int opal_mem_hooks_unregister_release(opal_mem_hooks_callback_fn_t *func)
{
    return list_unregister(&opal_mem_hooks_release_list, func);
}

/* ---- Raising events ---------------------------------------------------------------------------- */

bool opal_mem_hooks_has_release_callbacks(void)
{
    return atomic_load(&opal_mem_hooks_release_list.live) != 0;
}

OPAL_MEM_HOOKS_PATH bool opal_mem_hooks_wants_alloc(void)
{
    return atomic_load_explicit(&alloc_list.live, memory_order_relaxed) != 0;
}

void opal_mem_hooks_alloc_hook(void *buf, size_t length, bool from_alloc)
{
    /* A callback that is being registered just now may miss this one: nobody relies on an alloc event. */
    if (length == 0 || !opal_mem_hooks_wants_alloc()) {
        return;
    }
    const opal_mem_hooks_range_t range = { .start = (uintptr_t) buf, .length = length };
    /* Left at the end, or when a callback is left by unwinding: see close_unfinished(). */
    opal_mem_hooks_window_t window __attribute__((cleanup(opal_mem_hooks_leave)));
    opal_mem_hooks_enter(&window);
    opal_mem_hooks_dispatch(&alloc_list, &range, 1, from_alloc, &errno);
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

_Static_assert(OPAL_MEM_HOOKS_CAUSE_COUNT <= OPAL_MEM_HOOKS_UNCERTAIN, "a window's cause holds both");

void opal_mem_hooks_change_hook(void *buf, size_t length, bool from_alloc)
{
    const unsigned cause = OPAL_MEM_HOOKS_CAUSE_KERNEL | OPAL_MEM_HOOKS_UNCERTAIN;

    opal_mem_hooks_release_cause(buf, length, from_alloc, (opal_mem_hooks_cause_t) cause);
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

void opal_mem_hooks_set_userfaultfd(int fd)
{
    atomic_store(&userfaultfd, fd);
}

int opal_mem_hooks_userfaultfd(void)
{
    return atomic_load(&userfaultfd);
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
        [OPAL_MEM_HOOKS_CAUSE_FREE] = "free",
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
