/* SPDX-License-Identifier: BSD-3-Clause */
/* A sanitizer's runtime gives memory back by system calls of its own, at times when its checks cannot run, so that its code is
 * left alone (linux_search.c). Its allocator is asked instead to tell of each block that is freed, by the hooks that
 * sanitizer/allocator_interface.h documents. Blocks are told before they go: the runtime may put them aside first. */
#include <dlfcn.h>
#include <stdatomic.h>

#include "components/linux/linux.h"
#include "components/linux/linux_malloc.h"
#include "opal/mca/base/base.h"

typedef int (*install_hooks_fn_t)(void (*malloc_hook)(const volatile void *block, size_t size),
                                  void (*free_hook)(const volatile void *block));
typedef int (*is_owner_fn_t)(const volatile void *block);
typedef size_t (*size_fn_t)(const volatile void *block);

/* Written under the init lock before the hook is there, and constant from then on: it stays for good. */
static is_owner_fn_t is_owner;
static size_fn_t size_of;
static bool is_installed; /* Under the init lock. */

/* Written under the init lock, read by any thread that frees. What is under way then finishes as it began; a fork child goes on
 * with what it inherits. */
static atomic_bool is_live;

/* Own thread only. A callback that frees breaks the rules of hook context: it does not recurse, and a signal handler that comes
 * in the middle of it is not heard. */
static _Thread_local bool is_in_callback __attribute__((tls_model("initial-exec")));

static void leave(bool *const *guard)
{
    **guard = false;
}

/* Of a block that is none, the runtime complains later on, better than if it was asked for its size. */
static void tell_free(const volatile void *block)
{
    if (block == NULL || is_in_callback || !atomic_load_explicit(&is_live, memory_order_acquire)
        || !is_owner(block)) {
        return;
    }
    bool *const guard __attribute__((cleanup(leave))) = &is_in_callback;
    const opal_mem_hooks_range_t range = { (uintptr_t) block, size_of(block) };
    opal_mem_hooks_window_t window;

    *guard = true;
    atomic_signal_fence(memory_order_seq_cst);
    if (range.length != 0) {
        opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_FREE, true);
        opal_mem_hooks_window_close(&window);
    }
    atomic_signal_fence(memory_order_seq_cst);
}

static void ignore_malloc(const volatile void *block, size_t size)
{
    (void) block, (void) size;
}

static void find_allocator(void)
{
    is_owner = (is_owner_fn_t) dlsym(RTLD_DEFAULT, "__sanitizer_get_ownership");
    size_of = (size_fn_t) dlsym(RTLD_DEFAULT, "__sanitizer_get_allocated_size");
}

static bool install(void)
{
    const install_hooks_fn_t install_hooks =
        (install_hooks_fn_t) dlsym(RTLD_DEFAULT, "__sanitizer_install_malloc_and_free_hooks");

    return install_hooks != NULL && install_hooks(ignore_malloc, tell_free) != 0;
}

void linux_sanitizer_enable(int *support)
{
    if (!is_installed) {
        find_allocator();
        if (is_owner == NULL || size_of == NULL) {
            return; /* No sanitizer, or one that leaves the allocator alone. */
        }
        is_installed = install();
    }
    if (!is_installed) {
        mca_base_log(
            MCA_BASE_LOG_WARN,
            "memory: component linux: this process has a sanitizer that takes no more hooks of free(): what its "
            "allocator gives back is not noticed");
        *support &= ~OPAL_MEMORY_FREE_SUPPORT;
    }
    atomic_store_explicit(&is_live, is_installed, memory_order_release);
}

void linux_sanitizer_disable(void)
{
    atomic_store_explicit(&is_live, false, memory_order_release);
}
