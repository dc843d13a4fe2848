/* SPDX-License-Identifier: BSD-3-Clause */
/* Ways to release memory that every library of the company notices when it is alone, and one (dlclose) that only ours
 * does. Each proves that the call did what it does without them. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "company.h"

#define BLOCK ((size_t) 4 << 20)   /* More than malloc has in reserve: it maps such blocks. */
#define RESERVE ((size_t) 1 << 20) /* Of the heap, so that it leaves the break alone. */
#define FILLED 0x5a

static bool is_gone(char *memory)
{
    unsigned char pages[COMPANY_PAGES];

    errno = 0;
    return mincore(memory, COMPANY_SIZE, pages) == -1 && errno == ENOMEM;
}

static bool holds(const char *memory, char value)
{
    return memory[0] == value && memory[COMPANY_SIZE - 1] == value;
}

static char *page_after(char *address)
{
    return address + (-(uintptr_t) address & (COMPANY_PAGE - 1));
}

static void leave(char *memory)
{
    (void) memory;
}

/* ---- Mappings ------------------------------------------------------------------------------------ */

static char *map(void)
{
    char *memory = mmap(NULL, COMPANY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memset(memory, FILLED, COMPANY_SIZE);
}

static void unmap(char *memory)
{
    munmap(memory, COMPANY_SIZE);
}

static const char *release_munmap(char *memory)
{
    if (munmap(memory, COMPANY_SIZE) != 0) {
        return "munmap fails";
    }
    return is_gone(memory) ? NULL : "munmap leaves the pages";
}

static void *munmap_in_thread(void *memory)
{
    return (void *) release_munmap(memory);
}

static const char *release_in_thread(char *memory)
{
    pthread_t thread;
    void *wrong;

    if (pthread_create(&thread, NULL, munmap_in_thread, memory) != 0 || pthread_join(thread, &wrong) != 0) {
        return "no thread";
    }
    return wrong;
}

static const char *release_fixed(char *memory)
{
    char *there =
        mmap(memory, COMPANY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    if (there != memory) {
        return "mmap maps elsewhere";
    }
    return holds(memory, 0) ? NULL : "mmap leaves the pages";
}

static char *moved; /* Where mremap has put the memory. */
static char *fence; /* What keeps it from growing in place. */

/* (UCX 1.13 forgets the address that goes with MREMAP_FIXED, so the kernel chooses here.) */
static char *map_before_fence(void)
{
    char *memory =
        mmap(NULL, COMPANY_SIZE + COMPANY_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    fence = memory + COMPANY_SIZE;
    return memset(memory, FILLED, COMPANY_SIZE);
}

static const char *release_mremap(char *memory)
{
    moved = mremap(memory, COMPANY_SIZE, 2 * COMPANY_SIZE, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED || moved == memory) {
        return "mremap does not move";
    }
    return holds(moved, FILLED) && is_gone(memory) ? NULL : "mremap does not take the pages along";
}

static void clean_mremap(char *memory)
{
    (void) memory;
    munmap(moved, 2 * COMPANY_SIZE);
    munmap(fence, COMPANY_PAGE);
}

static const char *release_madvise(char *memory)
{
    if (madvise(memory, COMPANY_SIZE, MADV_DONTNEED) != 0) {
        return "madvise fails";
    }
    return holds(memory, 0) ? NULL : "madvise leaves the pages";
}

/* ---- The break ----------------------------------------------------------------------------------- */

static char *grow_break(void)
{
    char *memory = page_after(sbrk(0));

    if (brk(memory + COMPANY_SIZE) != 0 || (char *) sbrk(0) != memory + COMPANY_SIZE) {
        return NULL;
    }
    return memset(memory, FILLED, COMPANY_SIZE);
}

static const char *check_break(char *memory, bool failed)
{
    if (failed) {
        return "brk or sbrk fails";
    }
    return (char *) sbrk(0) == memory ? NULL : "the break is elsewhere";
}

static const char *release_brk(char *memory)
{
    if ((char *) sbrk(0) != memory + COMPANY_SIZE) {
        return "somebody else has moved the break";
    }
    return check_break(memory, brk(memory) != 0);
}

static const char *release_sbrk(char *memory)
{
    if ((char *) sbrk(0) != memory + COMPANY_SIZE) {
        return "somebody else has moved the break";
    }
    return check_break(memory, (char *) sbrk(-(intptr_t) COMPANY_SIZE) != memory + COMPANY_SIZE);
}

/* ---- Shared memory of System V -------------------------------------------------------------------- */

static char *attach(void)
{
    const int id = shmget(IPC_PRIVATE, COMPANY_SIZE, IPC_CREAT | 0600);
    char *memory = id < 0 ? (char *) -1 : shmat(id, NULL, 0);

    shmctl(id, IPC_RMID, NULL);
    return memory == (char *) -1 ? NULL : memset(memory, FILLED, COMPANY_SIZE);
}

static const char *release_shmdt(char *memory)
{
    if (shmdt(memory) != 0) {
        return "shmdt fails";
    }
    return is_gone(memory) ? NULL : "shmdt leaves the pages";
}

/* ---- malloc -------------------------------------------------------------------------------------- */

static char *allocate(char **block)
{
    *block = malloc(BLOCK);
    return *block == NULL ? NULL : page_after(memset(*block, FILLED, BLOCK));
}

static char *freed;

static char *allocate_to_free(void)
{
    return allocate(&freed);
}

static const char *release_free(char *memory)
{
    free(freed);
    return is_gone(memory) ? NULL : "free leaves the pages";
}

static char *block, *block_fence;

static char *allocate_before_fence(void)
{
    char *memory = allocate(&block);

    if (memory != NULL) {
        block_fence = mmap(page_after(block + BLOCK), COMPANY_PAGE, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }
    return memory;
}

static const char *release_realloc(char *memory)
{
    char *const before = block;

    block = realloc(before, 4 * BLOCK);
    if (block == NULL || block == before || !is_gone(memory)) {
        return "realloc does not move";
    }
    return holds(block, FILLED) ? NULL : "realloc does not take the data along";
}

static void clean_realloc(char *memory)
{
    (void) memory;
    free(block);
    if (block_fence != MAP_FAILED) {
        munmap(block_fence, COMPANY_PAGE);
    }
}

/* ---- dlclose ------------------------------------------------------------------------------------- */

static const char *dso_name;
static void *dso;

static char *load(void)
{
    char *memory;

    dso = dlopen(dso_name, RTLD_NOW);
    memory = dso == NULL ? NULL : dlsym(dso, "company_side");
    return memory == NULL ? NULL : page_after(memory);
}

static const char *release_dlclose(char *memory)
{
    if (dlclose(dso) != 0) {
        return "dlclose fails";
    }
    return is_gone(memory) ? NULL : "dlclose leaves the pages";
}

/* The last made is the first released: brk before sbrk. A call of mprotect may make ours look at its sites again, so
 * what needs one comes early (loading a DSO) or last (the stack of a thread). */
const path_t paths[PATHS] = {
    { "munmap", map, release_munmap, leave, false, true },
    { "mmap over it", map, release_fixed, unmap, false, true },
    { "mremap", map_before_fence, release_mremap, clean_mremap, false, false },
    { "madvise", map, release_madvise, unmap, false, true },
    { "brk", grow_break, release_brk, leave, false, false },
    { "sbrk", grow_break, release_sbrk, leave, false, false },
    { "shmdt", attach, release_shmdt, leave, false, false },
    { "free", allocate_to_free, release_free, leave, false, false },
    { "realloc", allocate_before_fence, release_realloc, clean_realloc, false, false },
    { "dlclose", load, release_dlclose, leave, true, false },
    { "munmap in a thread", map, release_in_thread, leave, false, false },
};

void paths_prepare(const char *name)
{
    dso_name = name;
    paths_set_malloc();
}

void paths_set_malloc(void)
{
    mallopt(M_MMAP_THRESHOLD, BLOCK / 2);
    mallopt(M_TRIM_THRESHOLD, BLOCK);
    mallopt(M_TOP_PAD, RESERVE);
    free(malloc(RESERVE));
}

#define EXPECT_ERRNO(call, code)                       \
    do {                                               \
        errno = 0;                                     \
        if ((long) (call) != -1 || errno != (code)) {  \
            return #call " does not fail with " #code; \
        }                                              \
    } while (0)

const char *paths_wrong_errno(void)
{
    char *none = map();

    unmap(none);
    EXPECT_ERRNO(munmap(none + 1, COMPANY_PAGE), EINVAL);
    EXPECT_ERRNO(munmap(none, 0), EINVAL);
    EXPECT_ERRNO(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    EXPECT_ERRNO(mmap(none + 1, COMPANY_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
    EXPECT_ERRNO(mmap(none, COMPANY_PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 1 << 20, 0), EBADF);
    EXPECT_ERRNO(mremap(none, COMPANY_PAGE, 2 * COMPANY_PAGE, MREMAP_MAYMOVE), EFAULT);
    EXPECT_ERRNO(madvise(none, COMPANY_PAGE, MADV_DONTNEED), ENOMEM);
    EXPECT_ERRNO(madvise(none, COMPANY_PAGE, 1 << 20), EINVAL);
    EXPECT_ERRNO(shmdt(none), EINVAL);
    EXPECT_ERRNO(shmat(-1, NULL, 0), EINVAL);
    EXPECT_ERRNO(brk((void *) (INTPTR_MAX & -COMPANY_PAGE)), ENOMEM);
    return NULL;
}
