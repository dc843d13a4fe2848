/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring: slots, and the tables that they are in. Taking a slot may
 * make another table; giving it back and emptying it is fit for hooks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "rcache/providers/uring.h"

/* ---- Slots of one table ------------------------------------------------------------------------- */

/* @return The slot in the kernel's table, or -1. */
static int64_t take_from(uring_table_t *table)
{
    const uint32_t words = (table->slots + 63) / 64;
    uint32_t start = atomic_load_explicit(&table->next_word, memory_order_relaxed);
    for (uint32_t i = 0; i < words; i++) {
        uint32_t word = (start + i) % words;
        uint64_t used = atomic_load_explicit(&table->used[word], memory_order_relaxed);
        while (used != UINT64_MAX) {
            int bit = __builtin_ctzll(~used);
            used = atomic_fetch_or(&table->used[word], UINT64_C(1) << bit);
            if ((used & UINT64_C(1) << bit) == 0) {
                atomic_store_explicit(&table->next_word, word, memory_order_relaxed);
                atomic_fetch_sub_explicit(&table->free, 1, memory_order_relaxed);
                return (int64_t) table->first + word * 64 + (uint32_t) bit;
            }
        }
    }
    return -1;
}

void uring_give_slot(uring_table_t *table, uint32_t slot)
{
    uint32_t bit = slot - table->first;
    atomic_fetch_and(&table->used[bit / 64], ~(UINT64_C(1) << (bit % 64)));
    atomic_fetch_add_explicit(&table->free, 1, memory_order_relaxed);
}

/* The raw call: liburing's may one day do more than that. */
int uring_update(const uring_table_t *table, uint32_t slot, const struct iovec *iov, const uint64_t *tags,
                 uint32_t n)
{
    struct io_uring_rsrc_update2 update = {
        .offset = slot,
        .data = (uint64_t) (uintptr_t) iov,
        .tags = (uint64_t) (uintptr_t) tags,
        .nr = n,
    };
    long rc = syscall(__NR_io_uring_register, table->fd, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
    return rc < 0 ? -errno : rc == 0 ? -EIO : (int) rc;
}

/* A slot that could not be emptied is given back, too: who takes it next replaces what is in it. */
int uring_empty_slots(uring_table_t *table, uint32_t slot, uint32_t n)
{
    static const struct iovec nothing[URING_BATCH];
    int result = OPAL_SUCCESS;
    while (n > 0) {
        int done = uring_update(table, slot, nothing, NULL, n < URING_BATCH ? n : URING_BATCH);
        if (done < 0) {
            result = OPAL_ERROR;
            done = 1;
        }
        n -= (uint32_t) done;
        for (; done > 0; done--) {
            uring_give_slot(table, slot++);
        }
    }
    return result;
}

/* ---- Tables ------------------------------------------------------------------------------------- */

void uring_table_init(uring_table_t *table, int fd, uint32_t first, uint32_t slots)
{
    table->fd = fd;
    table->first = first;
    table->slots = slots;
    table->tags = 0;
    table->leader = table->broken = false;
    table->sleepers = 0;
    pthread_mutex_init(&table->lock, NULL);
    for (uint32_t i = 0; i < URING_SLOTS / 64; i++) {
        uint32_t left = slots > i * 64 ? slots - i * 64 : 0;
        atomic_store(&table->used[i], left >= 64 ? 0 : UINT64_MAX << left);
    }
    atomic_store(&table->next_word, 0);
    atomic_store(&table->free, slots);
}

/* What has been made, for uring_close_tables(). In a fork child it is another one. */
static void identify(uring_table_t *table)
{
    struct stat file = { 0 };

    (void) fstat(table->ring.ring_fd, &file);
    table->device = file.st_dev;
    table->inode = file.st_ino;
}

int uring_first_table(uring_provider_t *provider)
{
    const char *what;
    uring_table_t *table = &provider->first_table;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int rc = uring_make_ring(&table->ring, URING_FIRST_SLOTS, &what);
    if (rc < 0) {
        return uring_explain(what, -rc);
    }
    uring_table_init(table, table->ring.ring_fd, 0, URING_FIRST_SLOTS);
    identify(table);
    provider->tables[0] = table;
    provider->spread = processors < 1 ? 1 : processors < URING_SPREAD ? (uint32_t) processors : URING_SPREAD;
    atomic_store_explicit(&provider->count, 1, memory_order_release);
    return OPAL_SUCCESS;
}

/* Under grow_lock. */
static bool add_table(uring_provider_t *provider, uint32_t number, uint32_t slots)
{
    const char *what;
    if (provider->tables[number] == NULL) {
        provider->tables[number] = calloc(1, sizeof(uring_table_t));
    }
    uring_table_t *table = provider->tables[number];
    int rc = table == NULL ? -ENOMEM : uring_make_ring(&table->ring, slots, &what);
    if (rc < 0) {
        mca_base_log(MCA_BASE_LOG_INFO, "no further io_uring for registrations beside %u: %s", number,
                     strerror(-rc));
        return false;
    }
    uring_table_init(table, table->ring.ring_fd, 0, slots);
    identify(table);
    atomic_store_explicit(&provider->count, number + 1, memory_order_release);
    return true;
}

/* @param[in] seen  Tables that there were when the caller found too few. @return Is there another one? */
static bool grow(uring_provider_t *provider, uint32_t seen, uint32_t slots)
{
    pthread_mutex_lock(&provider->grow_lock);
    uint32_t count = atomic_load_explicit(&provider->count, memory_order_relaxed);
    bool grown = count > seen || (!provider->adopted && count < URING_TABLES && add_table(provider, count, slots));
    pthread_mutex_unlock(&provider->grow_lock);
    return grown;
}

/* Threads are numbered as they come: the first ones get a ring each. */
static uint32_t number_of_thread(void)
{
    static _Atomic uint32_t threads;
    static _Thread_local uint32_t number __attribute__((tls_model("initial-exec"))); /* 0: not yet. */
    if (number == 0) {
        number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    }
    return number - 1;
}

/* The table where a thread begins to look. If there can be no ring for it, it shares those there are. */
static uint32_t home_of_thread(uring_provider_t *provider)
{
    uint32_t count = atomic_load_explicit(&provider->count, memory_order_acquire);
    uint32_t home = number_of_thread() % __atomic_load_n(&provider->spread, __ATOMIC_RELAXED);
    if (home < count) {
        return home;
    }
    if (!grow(provider, count, URING_FIRST_SLOTS)) {
        __atomic_store_n(&provider->spread, count, __ATOMIC_RELAXED);
    }
    return atomic_load_explicit(&provider->count, memory_order_acquire) - 1;
}

bool uring_take_slot(uring_provider_t *provider, uint32_t *number, uint32_t *slot)
{
    uint32_t count, home = home_of_thread(provider);
    do {
        count = atomic_load_explicit(&provider->count, memory_order_acquire);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t candidate = (home + i) % count;
            uring_table_t *table = uring_table(provider, candidate);
            int64_t taken = atomic_load_explicit(&table->free, memory_order_relaxed) == 0 ? -1 : take_from(table);
            if (taken >= 0) {
                *number = candidate;
                *slot = (uint32_t) taken;
                return true;
            }
        }
    } while (grow(provider, count, URING_SLOTS));
    return false;
}

/* Where the kernel does not say (a filter of system calls): yes. */
static bool is_ours(const uring_table_t *table)
{
    struct stat file;

    if (fstat(table->ring.ring_fd, &file) != 0) {
        return errno != EBADF;
    }
    return table->inode == 0 || (file.st_dev == table->device && file.st_ino == table->inode);
}

/* A descriptor that the program has closed may be another file's by now: only the mappings are ours. */
void uring_close_tables(uring_provider_t *provider)
{
    uint32_t count = provider->adopted ? 0 : atomic_load(&provider->count);
    for (uint32_t i = 0; i < count; i++) {
        uring_table_t *table = provider->tables[i];
        if (atomic_load(&provider->lost) || !is_ours(table)) {
            table->ring.ring_fd = -1;
        }
        io_uring_queue_exit(&table->ring);
        pthread_mutex_destroy(&table->lock);
    }
    for (uint32_t i = 1; i < URING_TABLES; i++) {
        free(provider->tables[i]);
    }
}
