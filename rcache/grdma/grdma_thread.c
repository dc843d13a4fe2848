/* SPDX-License-Identifier: BSD-3-Clause */
/* References: counted by each thread in memory of its own. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"

struct grdma_thread_t {
    grdma_block_t *blocks; /* Those it owns. Under threads_lock. */
};

grdma_thread_t grdma_nobody;

_Thread_local grdma_self_t grdma_self __attribute__((tls_model("initial-exec")));

#ifdef MCA_RCACHE_THREAD_POINTER
uintptr_t grdma_thread_pointer(void)
{
    return (uintptr_t) &grdma_self;
}
#endif

/* Protects which thread owns which blocks, against the end of threads and of caches. Above the caches' locks. Never taken by
 * hooks. */
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key; /* Its destructor lets go of a thread's blocks. Under threads_lock until has_key. */
static bool has_key;

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* ---- The barrier of all threads --------------------------------------------------------------------- */

#ifndef MEMBARRIER_CMD_PRIVATE_EXPEDITED
enum { MEMBARRIER_CMD_PRIVATE_EXPEDITED = 1 << 3, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 1 << 4 };
#endif

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

/* Where the system call is not there (valgrind, old kernels, filters): on x86-64 a page whose rights are taken away makes
 * every processor that runs a thread of this process take an interrupt, and none goes on before it has. A page for each
 * time: no lock that a fork child could find taken. */
static bool interrupt_all(void)
{
#if defined(__x86_64__)
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    *(volatile char *) page = 1; /* It must be in use for anybody to be told. */
    const bool good = mprotect(page, 4096, PROT_READ) == 0;
    munmap(page, 4096);
    return good;
#else
    return false;
#endif
}

bool grdma_can_settle(void)
{
    static _Atomic int answer; /* 0: not asked. */
    int known = atomic_load(&answer);

    if (known == 0) {
        known = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 || interrupt_all() ? 1 : -1;
        atomic_store(&answer, known);
    }
    return known > 0;
}

bool grdma_settle(const grdma_module_t *module)
{
    grdma_block_t *own = grdma_block_of(module);

    if (atomic_load(&module->owners) == (own != NULL ? 1 : 0)) {
        return true; /* A thread that begins now takes the lock first, and sees what was done under it. */
    }
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0 || interrupt_all();
}

/* ---- Blocks --------------------------------------------------------------------------------------- */

static void let_go_of_blocks(void *arg)
{
    grdma_thread_t *thread = arg;

    memset(&grdma_self, 0, sizeof(grdma_self));
    pthread_mutex_lock(&threads_lock);
    for (grdma_block_t *block = thread->blocks; block != NULL; block = block->next_of_thread) {
        atomic_fetch_sub(&block->module->owners, 1);
        atomic_store_explicit(&block->owner, NULL, memory_order_release); /* With all counts. */
    }
    pthread_mutex_unlock(&threads_lock);
    free(thread);
}

static bool make_key_locked(void)
{
    has_key = has_key || pthread_key_create(&key, let_go_of_blocks) == 0;
    return has_key;
}

static grdma_thread_t *this_thread(void)
{
    if (grdma_self.thread == NULL) {
        grdma_thread_t *thread = calloc(1, sizeof(*thread));

        pthread_mutex_lock(&threads_lock);
        const bool good = thread != NULL && make_key_locked();
        pthread_mutex_unlock(&threads_lock);
        if (!good || pthread_setspecific(key, thread) != 0) {
            free(thread);
            return NULL;
        }
        grdma_self.thread = thread;
    }
    return grdma_self.thread;
}

static void forget(grdma_block_t *block)
{
    for (uintptr_t page = 0; page < MCA_RCACHE_FRONTS; page++) {
        mca_rcache_front_t *front = mca_rcache_front_of(&block->super, page << 12);

        if (front->size != 0) {
            front->size = 0;
        }
    }
}

/* Take over a block whose thread has ended. In a fork child it may be one in which a lookup went on that a signal handler
 * had forked in the middle of: what that has remembered is the parent's. */
static grdma_block_t *adopt_locked(grdma_module_t *module, grdma_thread_t *thread)
{
    for (grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        if (atomic_load_explicit(&block->owner, memory_order_acquire) == NULL) {
            atomic_store_explicit(&block->owner, thread, memory_order_relaxed);
            forget(block);
            return block;
        }
    }
    return NULL;
}

_Static_assert(MCA_RCACHE_FRONTS * sizeof(mca_rcache_front_t) <= 4096, "they fit into the page before a block");

#define HUGE_COUNTS_FROM ((size_t) 2 << 20)

/* Counts that may fill huge pages begin at one, where pages have the size of fronts. */
static size_t before_block(const grdma_module_t *module)
{
    const size_t page = module->page_mask + 1;

    return page == MCA_RCACHE_COUNTS_AT && module->max_capacity * sizeof(grdma_count_t) >= 2 * HUGE_COUNTS_FROM
               ? GRDMA_SPAN_ALIGNMENT - MCA_RCACHE_COUNTS_AT
               : page;
}

static size_t before_counts(const grdma_module_t *module)
{
    return before_block(module) + MCA_RCACHE_COUNTS_AT;
}

static size_t reserved_bytes(const grdma_module_t *module)
{
    return before_counts(module) + (size_t) module->max_capacity * sizeof(grdma_count_t);
}

static char *span_of(const grdma_module_t *module, grdma_block_t *block)
{
    return (char *) block - before_block(module);
}

void grdma_block_unmap(const grdma_module_t *module, grdma_block_t *block)
{
    munmap(span_of(module, block), reserved_bytes(module));
}

/* Pages of its own: in memory that the program registers, a fork child would find counts as they were at another moment than
 * the rest (the kernel copies pinned pages early). */
grdma_block_t *grdma_block_map(const grdma_module_t *module)
{
    const size_t page = module->page_mask + 1, fronts = before_block(module) - page;
    char *span = grdma_span_reserve(reserved_bytes(module));

    if (span == NULL) {
        return NULL;
    }
    grdma_block_t *block = (grdma_block_t *) (void *) (span + fronts + page);
    if (!grdma_span_open(span, fronts, before_counts(module), SIZE_MAX)) {
        grdma_block_unmap(module, block);
        return NULL;
    }
    block->has_fronts = madvise(span + fronts, page, MADV_WIPEONFORK) == 0;
    block->module = (grdma_module_t *) (uintptr_t) module;
    return block;
}

bool grdma_block_open(const grdma_module_t *module, grdma_block_t *block, uint32_t from, uint32_t capacity)
{
    const size_t begin = before_counts(module);

    return grdma_span_open(span_of(module, block), begin + from * sizeof(grdma_count_t),
                           begin + capacity * sizeof(grdma_count_t), HUGE_COUNTS_FROM);
}

bool grdma_blocks_open(const grdma_module_t *module, grdma_block_t *first, uint32_t from, uint32_t capacity)
{
    bool are_open = true;

    for (grdma_block_t *block = first; block != NULL && are_open; block = block->next) {
        are_open = grdma_block_open(module, block, from, capacity);
    }
    return are_open;
}

/* A new block, which is nobody's yet, with counts of all ids that there are. What is taken last, its figures, goes back with the
 * cache only. @return false: no memory. */
static bool have_spare(grdma_module_t *module, grdma_block_t **spare)
{
    grdma_block_t *block = *spare != NULL ? *spare : grdma_block_map(module);

    *spare = block;
    if (block == NULL) {
        return false;
    }
    grdma_lock(module);
    const uint32_t capacity = module->capacity;
    grdma_unlock(module);
    if (capacity != 0 && !grdma_block_open(module, block, 0, capacity)) {
        return false;
    }
    block->capacity = capacity;
    if (block->counters == NULL) {
        block->counters = mca_rcache_stats_new_thread(module->counters);
        block->super.hits = block->counters != NULL ? (uint64_t *) (void *) &block->counters->hits : NULL;
    }
    return block->counters != NULL;
}

/* Both locks: whoever ends regions under the cache's lock either knows this owner, or has marked them before. */
static grdma_block_t *own(grdma_module_t *module, grdma_thread_t *thread, grdma_block_t **spare)
{
    pthread_mutex_lock(&threads_lock);
    grdma_lock(module);
    grdma_block_t *block = adopt_locked(module, thread);
    if (block == NULL && *spare != NULL && (*spare)->capacity >= module->capacity) {
        block = *spare;
        *spare = NULL;
        atomic_store_explicit(&block->owner, thread, memory_order_relaxed);
        block->next = atomic_load(&module->blocks);
        atomic_store(&module->blocks, block);
    }
    if (block != NULL) {
        atomic_fetch_add(&module->owners, 1);
        block->next_of_thread = thread->blocks;
        thread->blocks = block;
    }
    pthread_mutex_unlock(&threads_lock);
    grdma_unlock(module);
    return block;
}

/* NULL: no memory. */
static grdma_block_t *own_any(grdma_module_t *module, grdma_thread_t *thread)
{
    grdma_block_t *spare = NULL, *block = own(module, thread, &spare);

    while (block == NULL && have_spare(module, &spare)) {
        block = own(module, thread, &spare);
    }
    if (spare != NULL) {
        grdma_block_unmap(module, spare);
    }
    return block;
}

/* A thread with many caches finds those that it has not used lately in the caches' lists. */
static grdma_block_t *find_own(const grdma_module_t *module, const grdma_thread_t *thread)
{
    for (grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        if (atomic_load_explicit(&block->owner, memory_order_relaxed) == thread) {
            return block;
        }
    }
    return NULL;
}

grdma_block_t *grdma_block_get(grdma_module_t *module)
{
    grdma_thread_t *thread = this_thread();
    grdma_block_t *block = thread != NULL ? find_own(module, thread) : NULL;

    if (thread != NULL && block == NULL) {
        block = own_any(module, thread);
    }
    if (block != NULL) {
        grdma_remember_block(module, block);
    }
    return block;
}

static void disown_locked(grdma_block_t *block)
{
    grdma_thread_t *thread = atomic_load(&block->owner);
    grdma_block_t **link = thread != NULL ? &thread->blocks : NULL;

    while (link != NULL && *link != NULL && *link != block) {
        link = &(*link)->next_of_thread;
    }
    if (link != NULL && *link == block) {
        *link = block->next_of_thread;
    }
}

void grdma_blocks_free(grdma_module_t *module)
{
    grdma_block_t *block, *list = atomic_load(&module->blocks);

    pthread_mutex_lock(&threads_lock);
    for (block = list; block != NULL; block = block->next) {
        disown_locked(block);
    }
    pthread_mutex_unlock(&threads_lock);
    while ((block = list) != NULL) {
        list = block->next;
        if (block != module->common) {
            grdma_block_unmap(module, block);
        }
    }
}

/* Only this thread is left. It keeps no block either: a lookup that it is in the middle of, since the fork is a signal
 * handler's, may still remember what it found in the parent. */
void grdma_blocks_reset_child(grdma_module_t *module)
{
    pthread_mutex_init(&threads_lock, NULL);
    for (grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        if (atomic_load(&block->owner) == &grdma_nobody) {
            continue; /* No thread may have it, and none remembers anything there. */
        }
        forget(block); /* The kernel has, where it does what it is told. */
        atomic_store(&block->pinning, 0);
        if (grdma_self.thread != NULL && atomic_load(&block->owner) == grdma_self.thread) {
            disown_locked(block);
        }
        atomic_store(&block->owner, NULL);
    }
    if (grdma_block_of(module) != NULL) {
        grdma_self.recent[grdma_recent_place(module)] = (mca_rcache_recent_t){ 0 };
    }
    atomic_store(&module->owners, 0);
}

/* ---- Sums ----------------------------------------------------------------------------------------- */

/* Puts first: whoever has given back had taken before, so a sum of gets that is read later has that, too. */
bool grdma_is_idle(const grdma_module_t *module, uint32_t id)
{
    uint32_t puts = 0;

    for (grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        puts += __atomic_load_n(&grdma_count_of(block, id)->puts, __ATOMIC_ACQUIRE);
    }
    return puts == grdma_gets(module, id);
}

uint32_t grdma_gets(const grdma_module_t *module, uint32_t id)
{
    uint32_t gets = 0;

    for (grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        gets += __atomic_load_n(&grdma_count_of(block, id)->gets, __ATOMIC_ACQUIRE);
    }
    return gets;
}

bool grdma_is_alone_locked(const grdma_module_t *module)
{
    const uint32_t owners = atomic_load_explicit(&module->owners, memory_order_acquire);

    return owners == 0
           || (owners == 1
               && (grdma_block_of(module) != NULL
                   || (grdma_self.thread != NULL && find_own(module, grdma_self.thread) != NULL)));
}
