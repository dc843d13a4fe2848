/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting memory, of each sort, and giving up all of a buffer. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "test/stress/stress.h"

/* glibc maps blocks of this size by themselves, if no free one would do, and unmaps them when they are freed. */
#define MAPPED_BLOCK ((size_t) 128 << 10)

void stress_buffer_init(stress_buffer_t *buffer)
{
    static bool once;
    if (!once) {
        once = true;
        mallopt(M_MMAP_THRESHOLD, (int) MAPPED_BLOCK); /* Or it would grow by itself. */
    }
    pthread_rwlock_init(&buffer->lock, NULL);
    atomic_init(&buffer->start, 0);
    atomic_init(&buffer->length, 0);
    atomic_flag_clear(&buffer->transfer);
    buffer->fd = -1;
}

size_t stress_buffer_pages(const stress_buffer_t *buffer)
{
    return atomic_load_explicit(&buffer->start, memory_order_relaxed) == 0
               ? 0
               : atomic_load_explicit(&buffer->length, memory_order_relaxed) / stress_page;
}

static void *map(int flags, int fd, size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* The file is as long as any buffer may become. */
static void *map_file(stress_buffer_t *buffer, int flags, size_t length)
{
    buffer->fd = memfd_create("buffer", MFD_CLOEXEC);
    if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t) (STRESS_MAX_PAGES * stress_page)) != 0) {
        return NULL;
    }
    return map(flags, buffer->fd, length);
}

static void *attach(size_t length)
{
    int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600);
    void *memory = id < 0 ? (void *) -1 : shmat(id, NULL, 0);
    if (id >= 0) {
        shmctl(id, IPC_RMID, NULL);
    }
    return memory == (void *) -1 ? NULL : memory;
}

static void *get(stress_buffer_t *buffer, stress_sort_t sort, size_t length)
{
    switch (sort) {
    case STRESS_ANON: return map(MAP_PRIVATE | MAP_ANONYMOUS, -1, length);
    case STRESS_SHARED: return map(MAP_SHARED | MAP_ANONYMOUS, -1, length);
    case STRESS_FILE: return map_file(buffer, MAP_SHARED, length);
    case STRESS_FILE_PRIVATE: return map_file(buffer, MAP_PRIVATE, length);
    case STRESS_SHM: return attach(length);
    case STRESS_HEAP: break;
    }
    return malloc(length);
}

/* Blocks of the heap of any size, small ones more often. */
static size_t pick_length(stress_worker_t *worker, stress_sort_t sort)
{
    if (sort == STRESS_HEAP) {
        return 1 + stress_below(worker, (size_t) 16 << stress_below(worker, 16));
    }
    return (1 + stress_below(worker, stress_chance(worker, 4) ? STRESS_MAX_PAGES : 8)) * stress_page;
}

void stress_buffer_make(stress_worker_t *worker, stress_buffer_t *buffer, stress_sort_t sort)
{
    size_t length = pick_length(worker, sort);
    void *memory = get(buffer, sort, length);
    if (memory == NULL) {
        stress_fault(worker, "there is no memory", (uint64_t) sort, length, 0);
        return;
    }
    buffer->sort = sort;
    atomic_store(&buffer->length, length);
    atomic_store(&buffer->start, (uintptr_t) memory);
}

static void give_up(const stress_buffer_t *buffer, void *memory, size_t length)
{
    switch (buffer->sort) {
    case STRESS_HEAP: free(memory); break;
    case STRESS_SHM: shmdt(memory); break;
    default: munmap(memory, length); break;
    }
}

void stress_buffer_drop(stress_buffer_t *buffer)
{
    size_t length = atomic_load(&buffer->length);
    uintptr_t start = atomic_exchange(&buffer->start, 0);
    if (start != 0) {
        uint64_t begun = stress_release_begin(start, length);
        give_up(buffer, (void *) start, length);
        stress_release_end(begun, start, length, buffer->sort != STRESS_HEAP);
        if (buffer->sort == STRESS_SHM && !stress_sees(OPAL_MEMORY_SEES_SHM)) {
            stress_release_silent(begun, start, length);
        }
    }
    if (buffer->fd >= 0) {
        close(buffer->fd);
        buffer->fd = -1;
    }
}
