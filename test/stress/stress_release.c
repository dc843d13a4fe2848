/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways to lose memory; tools/coverage has each of them alone. An address that
 * is given up is unpublished first: whoever has read it before races, and is judged
 * by what was over before its lookup. Afterwards the buffer is usable, or empty. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/stress/stress.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#define ADVICE_GUARD_INSTALL 102 /* Linux 6.13; older headers do not have them. */
#define ADVICE_GUARD_REMOVE 103
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define RW (PROT_READ | PROT_WRITE)

static uintptr_t start_of(const stress_buffer_t *buffer)
{
    return atomic_load_explicit(&buffer->start, memory_order_relaxed);
}

static size_t length_of(const stress_buffer_t *buffer)
{
    return atomic_load_explicit(&buffer->length, memory_order_relaxed);
}

/* Some of its pages, at least one. */
static stress_range_t pages_of(stress_worker_t *worker, const stress_buffer_t *buffer)
{
    size_t pages = stress_buffer_pages(buffer);
    size_t first = stress_below(worker, pages), count = 1 + stress_below(worker, pages - first);
    return (stress_range_t){ start_of(buffer) + first * stress_page, count * stress_page };
}

static void *at(stress_range_t range)
{
    return (void *) range.start;
}

static off_t offset_in(const stress_buffer_t *buffer, stress_range_t range)
{
    return (off_t) (range.start - start_of(buffer));
}

static uint64_t begin(stress_range_t range)
{
    return stress_release_begin(range.start, range.length);
}

static void end(uint64_t begun, stress_range_t range, bool gone)
{
    stress_release_end(begun, range.start, range.length, gone);
}

/* The same, by a call of which components tell that see segments. */
static void end_of_mapping(uint64_t begun, stress_range_t range, bool gone)
{
    end(begun, range, gone);
    if (gone && !stress_sees(OPAL_MEMORY_SEES_SHM)) {
        stress_release_silent(begun, range.start, range.length);
    }
}

static void publish(stress_buffer_t *buffer, void *memory, size_t length)
{
    atomic_store(&buffer->length, length);
    atomic_store(&buffer->start, (uintptr_t) memory);
}

/* ---- munmap, mmap ------------------------------------------------------------------------------- */

static void drop(stress_worker_t *worker, stress_buffer_t *buffer)
{
    (void) worker;
    stress_buffer_drop(buffer);
}

/* The kernel rounds the length up. */
static void unmap_by(stress_worker_t *worker, stress_buffer_t *buffer, bool raw)
{
    stress_range_t range = { atomic_exchange(&buffer->start, 0), length_of(buffer) };
    size_t odd = stress_below(worker, stress_page);
    uint64_t begun = begin(range);
    long rc = raw ? syscall(SYS_munmap, at(range), range.length - odd) : munmap(at(range), range.length - odd);
    end(begun, range, rc == 0);
    stress_buffer_drop(buffer);
}

static void unmap(stress_worker_t *worker, stress_buffer_t *buffer)
{
    unmap_by(worker, buffer, false);
}

static void unmap_by_number(stress_worker_t *worker, stress_buffer_t *buffer)
{
    unmap_by(worker, buffer, true);
}

/* Memory like that of the buffer, at the place of a part of it. */
static bool map_at(const stress_buffer_t *buffer, stress_range_t part, off_t offset, int fixed)
{
    bool file = buffer->fd >= 0;
    int flags = (buffer->sort & (STRESS_ANON | STRESS_FILE_PRIVATE)) != 0 ? MAP_PRIVATE : MAP_SHARED;
    return mmap(at(part), part.length, RW, flags | fixed | (file ? 0 : MAP_ANONYMOUS), buffer->fd,
                file ? offset : 0)
           == at(part);
}

/* Somebody else may take the hole; then the buffer ends there. */
static void unmap_part(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t part = pages_of(worker, buffer), all = { start_of(buffer), length_of(buffer) };
    off_t offset = offset_in(buffer, part);
    atomic_store(&buffer->start, 0);
    uint64_t begun = begin(part);
    bool gone = munmap(at(part), part.length) == 0;
    end(begun, part, gone);
    if (gone && !map_at(buffer, part, offset, MAP_FIXED_NOREPLACE)) {
        stress_range_t rest = { part.start + part.length, all.start + all.length - part.start - part.length };
        if (rest.length != 0) {
            begun = begin(rest);
            end(begun, rest, munmap(at(rest), rest.length) == 0);
        }
        all.length = (size_t) offset;
    }
    publish(buffer, all.length == 0 ? NULL : at(all), all.length);
}

static void map_over(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t part = pages_of(worker, buffer);
    uint64_t begun = begin(part);
    end(begun, part, map_at(buffer, part, offset_in(buffer, part), MAP_FIXED));
}

static void remap_pages(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t part = pages_of(worker, buffer);
    uint64_t begun = begin(part);
    bool gone = remap_file_pages(at(part), part.length, 0, 0, 0) == 0;
    end_of_mapping(begun, part, map_at(buffer, part, offset_in(buffer, part), MAP_FIXED) || gone);
}

/* ---- mremap ------------------------------------------------------------------------------------- */

static void shrink(stress_worker_t *worker, stress_buffer_t *buffer)
{
    size_t length = length_of(buffer),
           kept = stress_page * (1 + stress_below(worker, stress_buffer_pages(buffer)));
    uintptr_t start = atomic_exchange(&buffer->start, 0);
    stress_range_t tail = { start + kept, length - kept };
    if (tail.length != 0) {
        uint64_t begun = begin(tail);
        bool gone = mremap((void *) start, length, kept, 0) == (void *) start;
        end(begun, tail, gone);
        length = gone ? kept : length;
    }
    publish(buffer, (void *) start, length);
}

static void grow(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t all = { atomic_exchange(&buffer->start, 0), length_of(buffer) };
    size_t length =
        all.length + stress_page * stress_below(worker, STRESS_MAX_PAGES - all.length / stress_page + 1);
    uint64_t begun = begin(all);
    void *moved = mremap(at(all), all.length, length, MREMAP_MAYMOVE);
    end(begun, all, moved != MAP_FAILED && moved != at(all));
    if (moved == MAP_FAILED) { /* More than one mapping, after a part was mapped anew. */
        publish(buffer, at(all), all.length);
    } else {
        publish(buffer, moved, length);
    }
}

/* Linux moves several mappings at a time since 6.17, but none that userfaultfd watches; and what has failed has moved a part,
 * perhaps, or unmapped the destination, where anybody's memory may be by now. So nothing there is touched any more, and from
 * then on only single mappings are moved. */
static _Atomic bool moves_single_ones;

static bool is_single_mapping(stress_range_t range)
{
    uintptr_t first = 0, last = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && last <= range.start && fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &first, &last) != 2) {
            last = 0;
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return first <= range.start && last >= range.start + range.length;
}

/* Over pages that a cache knows, too. */
static void move_over(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t from = { start_of(buffer), length_of(buffer) }, to = { 0, from.length };
    if (atomic_load(&moves_single_ones) && !is_single_mapping(from)) {
        return;
    }
    void *memory = mmap(NULL, to.length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    to.start = (uintptr_t) memory;
    stress_look(worker, &stress_caches[stress_below(worker, STRESS_CACHES)], to, stress_now(), STRESS_LOOK_DATA);
    atomic_store(&buffer->start, 0);
    uint64_t begun = begin(from), begun_to = begin(to);
    bool moved = mremap(at(from), from.length, from.length, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory;
    end(begun, from, moved);
    end(begun_to, to, moved);
    if (moved) {
        publish(buffer, memory, from.length);
    } else {
        atomic_store(&moves_single_ones, true);
    }
}

static void move_away(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t from = { atomic_exchange(&buffer->start, 0), length_of(buffer) };
    uint64_t begun = begin(from);
    (void) worker;
    void *moved = mremap(at(from), from.length, from.length, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    end(begun, from, moved != MAP_FAILED);
    if (moved != MAP_FAILED) {
        begun = begin(from);
        end(begun, from, munmap(at(from), from.length) == 0);
    }
    publish(buffer, moved == MAP_FAILED ? at(from) : moved, from.length);
}

/* ---- Advice ------------------------------------------------------------------------------------- */

static void advise(stress_worker_t *worker, const stress_buffer_t *buffer, int advice)
{
    stress_range_t part = pages_of(worker, buffer);
    uint64_t begun = begin(part);
    end(begun, part, madvise(at(part), part.length - stress_below(worker, stress_page), advice) == 0);
    if (advice == ADVICE_GUARD_INSTALL) {
        madvise(at(part), part.length, ADVICE_GUARD_REMOVE);
    }
}

static void dontneed(stress_worker_t *worker, stress_buffer_t *buffer)
{
    advise(worker, buffer, MADV_DONTNEED);
}

static void lazy_free(stress_worker_t *worker, stress_buffer_t *buffer)
{
    advise(worker, buffer, MADV_FREE);
}

static void remove_pages(stress_worker_t *worker, stress_buffer_t *buffer)
{
    advise(worker, buffer, MADV_REMOVE);
}

static void dontneed_locked(stress_worker_t *worker, stress_buffer_t *buffer)
{
    advise(worker, buffer, MADV_DONTNEED_LOCKED);
}

static void guard(stress_worker_t *worker, stress_buffer_t *buffer)
{
    advise(worker, buffer, ADVICE_GUARD_INSTALL);
}

static void advise_by_process(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t part = pages_of(worker, buffer);
    struct iovec pages = { at(part), part.length };
    int process = (int) syscall(SYS_pidfd_open, getpid(), 0);
    uint64_t begun = begin(part);
    end(begun, part, syscall(SYS_process_madvise, process, &pages, 1, MADV_DONTNEED, 0) == (long) part.length);
    close(process);
}

/* In a signal handler. */
static _Thread_local stress_range_t for_handler __attribute__((tls_model("initial-exec")));

static void handler(int number)
{
    (void) number;
    madvise(at(for_handler), for_handler.length, MADV_DONTNEED);
}

static void advise_in_signal(stress_worker_t *worker, stress_buffer_t *buffer)
{
    struct sigaction action = { .sa_handler = handler };
    for_handler = pages_of(worker, buffer);
    sigaction(SIGUSR1, &action, NULL);
    uint64_t begun = begin(for_handler);
    pthread_kill(pthread_self(), SIGUSR1);
    end(begun, for_handler, true);
}

/* By a child that shares the address space. */
static void __attribute__((noinline)) advise_in_vfork(stress_worker_t *worker, stress_buffer_t *buffer)
{
    const stress_range_t part = pages_of(worker, buffer);
    const uint64_t begun = begin(part);
    const pid_t pid = vfork();
    if (pid == 0) {
        _exit(madvise(at(part), part.length, MADV_DONTNEED) == 0 ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    end(begun, part, status == 0);
}

/* ---- Files, segments ---------------------------------------------------------------------------- */

static void restore_file(const stress_worker_t *worker, const stress_buffer_t *buffer)
{
    if (ftruncate(buffer->fd, (off_t) (STRESS_MAX_PAGES * stress_page)) != 0) {
        stress_fault(worker, "a file does not get its length back", 0, 0, 0);
    }
}

/* From a page on. */
static void cut(stress_worker_t *worker, stress_buffer_t *buffer, bool by_path)
{
    size_t kept = stress_page * stress_below(worker, stress_buffer_pages(buffer));
    stress_range_t tail = { start_of(buffer) + kept, length_of(buffer) - kept };
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", buffer->fd);
    uint64_t begun = begin(tail);
    int rc = by_path ? truncate(path, (off_t) kept) : ftruncate(buffer->fd, (off_t) kept);
    end(begun, tail, rc == 0);
    restore_file(worker, buffer);
}

static void cut_file(stress_worker_t *worker, stress_buffer_t *buffer)
{
    cut(worker, buffer, false);
}

static void cut_path(stress_worker_t *worker, stress_buffer_t *buffer)
{
    cut(worker, buffer, true);
}

static void open_empty(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t all = { start_of(buffer), length_of(buffer) };
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", buffer->fd);
    uint64_t begun = begin(all);
    int fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
    end(begun, all, fd >= 0);
    if (fd >= 0) {
        close(fd);
    }
    restore_file(worker, buffer);
}

static void punch(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t part = pages_of(worker, buffer);
    uint64_t begun = begin(part);
    end(begun, part,
        fallocate(buffer->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_in(buffer, part),
                  (off_t) part.length)
            == 0);
}

static void attach_over(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t all = { start_of(buffer), length_of(buffer) };
    int id = shmget(IPC_PRIVATE, all.length, IPC_CREAT | 0600);
    if (id < 0) {
        stress_fault(worker, "no segment of System V can be made", all.length, 0, 0);
        return;
    }
    uint64_t begun = begin(all);
    end_of_mapping(begun, all, shmat(id, at(all), SHM_REMAP) == at(all));
    shmctl(id, IPC_RMID, NULL);
}

/* ---- The heap ----------------------------------------------------------------------------------- */

/* Whether pages go, and which, is the allocator's business. */
static void resize(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_range_t all = { atomic_exchange(&buffer->start, 0), length_of(buffer) };
    size_t length = 1 + stress_below(worker, (size_t) 16 << stress_below(worker, 16));
    uint64_t begun = begin(all);
    void *block = realloc(at(all), length);
    end(begun, all, false);
    publish(buffer, block == NULL ? at(all) : block, block == NULL ? all.length : length);
}

/* The allocator looks where the break is, and then lowers it: what the main thread has got there in between would go with it. */
static pthread_mutex_t break_lock = PTHREAD_MUTEX_INITIALIZER;

/* A fork child may find the lock taken for good. */
static void trim(stress_worker_t *worker, stress_buffer_t *buffer)
{
    (void) worker, (void) buffer;
    if (pthread_mutex_trylock(&break_lock) == 0) {
        malloc_trim(0);
        pthread_mutex_unlock(&break_lock);
    }
}

static void move_break(stress_worker_t *worker)
{
    size_t odd = (uintptr_t) sbrk(0) % stress_page;
    stress_range_t range = { 0, 8 * stress_page };
    stress_cache_t *cache = &stress_caches[stress_below(worker, STRESS_CACHES)];
    sbrk((intptr_t) (odd == 0 ? 0 : stress_page - odd));
    range.start = (uintptr_t) sbrk((intptr_t) range.length);
    stress_look(worker, cache, range, stress_now(), STRESS_LOOK_DATA);
    for (int round = 0; round < 2 && (uintptr_t) sbrk(0) == range.start + range.length; round++) {
        uint64_t begun = begin(range);
        end(begun, range, sbrk(-(intptr_t) range.length) != (void *) -1);
        if (round == 0 && (uintptr_t) sbrk((intptr_t) range.length) == range.start) {
            stress_look(worker, cache, range, stress_now(), STRESS_LOOK_DATA);
        }
    }
}

/* The main thread is the only one that uses the heap at the break, but when others start, or trim; a break that somebody
 * has moved meanwhile is left alone. */
void stress_break(stress_worker_t *worker)
{
    pthread_mutex_lock(&break_lock);
    move_break(worker);
    pthread_mutex_unlock(&break_lock);
}

/* ---- The table ---------------------------------------------------------------------------------- */

#define MAPPED STRESS_MAPPED
#define FILES (STRESS_FILE | STRESS_FILE_PRIVATE)
#define CAUSE(name) OPAL_MEM_HOOKS_CAUSE_##name

const stress_release_t stress_releases[] = {
    { "munmap", MAPPED | STRESS_SHM, unmap, 60, CAUSE(MUNMAP) },
    { "munmap-part", MAPPED, unmap_part, 30, CAUSE(MUNMAP) },
    { "syscall-munmap", MAPPED, unmap_by_number, 20, CAUSE(MUNMAP) },
    { "mmap-fixed", MAPPED, map_over, 30, CAUSE(MMAP) },
    { "remap-file-pages", STRESS_FILE, remap_pages, 10, CAUSE(REMAP_FILE_PAGES) },
    { "mremap-shrink", MAPPED, shrink, 20, CAUSE(MREMAP) },
    { "mremap-grow", STRESS_ANON | FILES, grow, 30, CAUSE(MREMAP) },
    { "mremap-fixed", MAPPED, move_over, 30, CAUSE(MREMAP) },
    { "mremap-dontunmap", STRESS_ANON | STRESS_SHARED, move_away, 20, CAUSE(MREMAP) },
    { "dontneed", MAPPED | STRESS_SHM, dontneed, 40, CAUSE(MADVISE) },
    { "madv-free", STRESS_ANON, lazy_free, 20, CAUSE(MADVISE) },
    { "madv-remove", STRESS_FILE | STRESS_SHARED, remove_pages, 20, CAUSE(MADVISE) },
    { "dontneed-locked", MAPPED, dontneed_locked, 10, CAUSE(MADVISE) },
    { "guard-install", STRESS_ANON, guard, 10, CAUSE(MADVISE) },
    { "process-madvise", MAPPED, advise_by_process, 10, CAUSE(PROCESS_MADVISE) },
    { "signal", STRESS_ANON, advise_in_signal, 10, CAUSE(MADVISE) },
    { "vfork", STRESS_ANON, advise_in_vfork, 5, CAUSE(MADVISE) },
    { "ftruncate", FILES, cut_file, 20, CAUSE(TRUNCATE) },
    { "truncate", FILES, cut_path, 20, CAUSE(TRUNCATE) },
    { "open-trunc", FILES, open_empty, 20, CAUSE(TRUNCATE) },
    { "punch-hole", STRESS_FILE, punch, 20, CAUSE(FALLOCATE) },
    { "shmdt", STRESS_SHM, drop, 30, CAUSE(SHMDT) },
    { "shmat-remap", STRESS_SHM, attach_over, 10, CAUSE(SHMAT) },
    { "free", STRESS_HEAP, drop, 60, CAUSE(UNKNOWN) },
    { "realloc", STRESS_HEAP, resize, 40, CAUSE(UNKNOWN) },
    { "malloc-trim", STRESS_HEAP, trim, 5, CAUSE(UNKNOWN) },
    { NULL, 0, NULL, 0, CAUSE(UNKNOWN) },
};

/* Tried on a page of its own. */
static bool advice_works(int advice)
{
    void *page = mmap(NULL, stress_page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool works = page != MAP_FAILED && madvise(page, stress_page, advice) == 0;
    munmap(page, stress_page);
    return works;
}

static bool process_madvise_works(void)
{
    void *page = mmap(NULL, stress_page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec pages = { page, stress_page };
    int process = (int) syscall(SYS_pidfd_open, getpid(), 0);
    bool works = syscall(SYS_process_madvise, process, &pages, 1, MADV_DONTNEED, 0) == (long) stress_page;
    close(process);
    munmap(page, stress_page);
    return works;
}

/* An emulator of user programs has it fork: what the child releases is its own. */
static bool __attribute__((noinline)) vfork_shares_memory(void)
{
    static _Atomic int word;
    const pid_t pid = vfork();
    if (pid == 0) {
        atomic_store(&word, 1);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return atomic_load(&word) == 1;
}

/* Linux moves only what grows; an emulator of user programs may move all that may be moved. */
static bool only_growth_moves(void)
{
    void *page = mmap(NULL, stress_page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *same = mremap(page, stress_page, stress_page, MREMAP_MAYMOVE);
    munmap(same, stress_page);
    return same == page;
}

bool stress_release_possible(const stress_release_t *release)
{
    if (release->release == guard) {
        return stress_sees(OPAL_MEMORY_SEES_DISCARD) && advice_works(ADVICE_GUARD_INSTALL);
    }
    if (release->release == dontneed_locked) {
        return advice_works(MADV_DONTNEED_LOCKED);
    }
    if (release->release == grow || release->release == resize) {
        return only_growth_moves();
    }
    if (release->release == advise_in_vfork) {
        return vfork_shares_memory();
    }
    return release->release != advise_by_process || process_madvise_works();
}
