/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: system calls that take pages away. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/linux/paths.h"
#include "test/test_main.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

#define DONTNEED_LOCKED 24
#define GUARD_INSTALL 102

/* ---- munmap ---------------------------------------------------------------------------------- */

static void unmap(char *start, size_t length, size_t length_said)
{
    int result;

    expect(start, length, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    watch(true);
    result = libc.munmap(start, length_said);
    unwatch(); /* Check allocates, and on a new thread that means mmap and munmap. */
    ck_assert_int_eq(result, 0);
}

static void munmap_whole(void)
{
    unmap(map_filled(8), 8 * PAGE, 8 * PAGE);
}

static void munmap_middle(void)
{
    unmap(map_filled(8) + 2 * PAGE, 3 * PAGE, 3 * PAGE);
}

static void munmap_part_of_a_page(void)
{
    unmap(map_filled(8), 2 * PAGE, PAGE + 1);
}

static void munmap_several_mappings(void)
{
    char *memory = map_filled(8);

    ck_assert_int_eq(mprotect(memory + 2 * PAGE, PAGE, PROT_READ), 0);
    ck_assert_int_eq(libc.munmap(memory + 5 * PAGE, PAGE), 0);
    unmap(memory, 8 * PAGE, 8 * PAGE);
}

static void munmap_file(void)
{
    const int fd = make_file(2);
    char *memory = libc.mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    unmap(memory, 2 * PAGE, 2 * PAGE);
}

static void *unmap_in_thread(void *arg)
{
    unmap(arg, PAGE, PAGE);
    return NULL;
}

static void munmap_in_a_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, unmap_in_thread, map_filled(1));
    pthread_join(thread, NULL);
}

static void munmap_in_a_fork_child(void)
{
    char *memory = map_filled(2);
    pid_t child;
    int status;

    child = fork();
    if (child == 0) {
        unmap(memory, 2 * PAGE, 2 * PAGE);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    expect(memory, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

/* ---- mmap ------------------------------------------------------------------------------------ */

static void map_over(char *place, size_t length, int flags, int fd)
{
    expect(place, length, OPAL_MEM_HOOKS_CAUSE_MMAP);
    watch(true);
    ck_assert_ptr_eq(libc.mmap(place, length, RW, flags | MAP_FIXED, fd, 0), place);
    unwatch();
}

static void mmap_over_all(void)
{
    map_over(map_filled(4), 4 * PAGE, ANON, -1);
}

static void mmap_over_middle(void)
{
    map_over(map_filled(4) + PAGE, 2 * PAGE, ANON, -1);
}

static void mmap_file_over(void)
{
    map_over(map_filled(4), PAGE, MAP_SHARED, make_file(1));
}

/* ---- mremap ---------------------------------------------------------------------------------- */

static void mremap_shrinks(void)
{
    char *memory = map_filled(8);

    expect(memory + 3 * PAGE, 5 * PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(true);
    ck_assert_ptr_eq(libc.mremap(memory, 8 * PAGE, 3 * PAGE, 0), memory);
    unwatch();
}

static void mremap_moves(void)
{
    char *memory = map_filled(4), *moved;

    expect(memory, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(true);
    moved = libc.mremap(memory, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    unwatch();
    ck_assert(moved != MAP_FAILED && moved != memory && moved[2 * PAGE - 1] == FILL);
}

static void mremap_fixed_both_ends(void)
{
    char *from = map_filled(2), *to = map_filled(2);

    expect(from, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    expect(to, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(true);
    ck_assert_ptr_eq(libc.mremap(from, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
    unwatch();
}

static void mremap_fixed_shrinks(void)
{
    char *from = map_filled(4), *to = map_filled(2);

    expect(from, 4 * PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    expect(to, PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(true);
    ck_assert_ptr_eq(libc.mremap(from, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
    unwatch();
}

static void mremap_dontunmap(void)
{
    char *memory = map_filled(2), *moved;

    expect(memory, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
    watch(true);
    moved = libc.mremap(memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    unwatch();
    if (moved == MAP_FAILED) {
        cannot_play("the kernel or libc has no MREMAP_DONTUNMAP");
        return;
    }
    ck_assert(memory[0] == 0 && moved[0] == FILL);
}

/* ---- madvise --------------------------------------------------------------------------------- */

static void discard(char *memory, size_t length, int advice)
{
    if (libc.madvise(map_pages(1), PAGE, advice) != 0 && advice != MADV_REMOVE) {
        cannot_play("the kernel does not know this advice");
        return;
    }
    expect(memory, length, OPAL_MEM_HOOKS_CAUSE_MADVISE);
    watch(true);
    ck_assert_int_eq(libc.madvise(memory, length, advice), 0);
    unwatch();
}

static void madvise_dontneed(void)
{
    discard(map_filled(4) + PAGE, 2 * PAGE, MADV_DONTNEED);
}

static void madvise_free(void)
{
    discard(map_filled(2), 2 * PAGE, MADV_FREE);
}

static void madvise_remove(void)
{
    char *memory = libc.mmap(NULL, 2 * PAGE, RW, MAP_SHARED, make_file(2), 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    discard(memory, 2 * PAGE, MADV_REMOVE);
}

static void madvise_dontneed_locked(void)
{
    discard(map_filled(2), 2 * PAGE, DONTNEED_LOCKED);
}

static void madvise_guard(void)
{
    discard(map_filled(2), 2 * PAGE, GUARD_INSTALL);
}

/* ---- brk ------------------------------------------------------------------------------------- */

/* The break, rounded up, and `pages` filled pages below it. */
static char *grow_heap(size_t pages)
{
    char *present = libc.sbrk(0);
    char *aligned = (char *) (((uintptr_t) present + PAGE - 1) & ~(PAGE - 1));

    ck_assert_int_eq(libc.brk(aligned + pages * PAGE), 0);
    memset(aligned, FILL, pages * PAGE);
    return aligned + pages * PAGE;
}

static void sbrk_negative(void)
{
    char *end = grow_heap(8);

    expect(end - 3 * PAGE, 3 * PAGE, OPAL_MEM_HOOKS_CAUSE_BRK);
    watch(true);
    ck_assert_ptr_eq(libc.sbrk(-3 * (intptr_t) PAGE), end);
    unwatch();
}

static void brk_unaligned(void)
{
    char *end = grow_heap(8);

    expect(end - 2 * PAGE, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_BRK);
    watch(true);
    ck_assert_int_eq(libc.brk(end - 2 * PAGE - 100), 0);
    unwatch();
}

/* ---- System V segments ----------------------------------------------------------------------- */

/* Four filled pages, but 10 bytes; gone with the last detach. */
static char *attach_segment(int *id)
{
    char *memory;

    *id = shmget(IPC_PRIVATE, 4 * PAGE - 10, IPC_CREAT | 0600);
    if (*id < 0) {
        cannot_play("no System V segments here");
        return NULL;
    }
    memory = libc.shmat(*id, NULL, 0);
    shmctl(*id, IPC_RMID, NULL);
    ck_assert_ptr_ne(memory, (void *) -1);
    memset(memory, FILL, 4 * PAGE);
    return memory;
}

static void shmdt_whole(void)
{
    int id;
    char *memory = attach_segment(&id);

    if (memory == NULL) {
        return;
    }
    expect(memory, 4 * PAGE, OPAL_MEM_HOOKS_CAUSE_SHMDT);
    watch(true);
    ck_assert_int_eq(libc.shmdt(memory), 0);
    unwatch();
}

static void shmdt_with_a_hole(void)
{
    int id;
    char *memory = attach_segment(&id);

    if (memory == NULL) {
        return;
    }
    ck_assert_ptr_eq(libc.mmap(memory + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), memory + PAGE);
    expect(memory, PAGE, OPAL_MEM_HOOKS_CAUSE_SHMDT);
    expect(memory + 2 * PAGE, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_SHMDT);
    watch(true);
    ck_assert_int_eq(libc.shmdt(memory), 0);
    unwatch();
    memory[PAGE] = 1; /* What was mapped there is still there. */
}

static void shmat_over(void)
{
    char *place = map_filled(6);
    int id;
    char *memory = attach_segment(&id);

    if (memory == NULL) {
        return;
    }
    expect(place + PAGE, 4 * PAGE, OPAL_MEM_HOOKS_CAUSE_SHMAT);
    watch(true);
    ck_assert_ptr_eq(libc.shmat(id, place + PAGE + 5, SHM_REMAP | SHM_RND), place + PAGE);
    unwatch();
    ck_assert_int_eq(place[5 * PAGE], FILL);
}

static void remap_of_file_pages(void)
{
    char *memory = libc.mmap(NULL, 4 * PAGE, RW, MAP_SHARED, make_file(4), 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    if (under_emulator()) {
        cannot_play("no remap_file_pages in the emulator");
        return;
    }
    expect(memory, 2 * PAGE, OPAL_MEM_HOOKS_CAUSE_REMAP_FILE_PAGES);
    watch(true);
    ck_assert_int_eq(libc.remap_file_pages(memory, 2 * PAGE, 0, 2, 0), 0);
    unwatch();
}

const scene_t scenes_system[] = {
    { "munmap whole", munmap_whole, NULL },
    { "munmap middle", munmap_middle, NULL },
    { "munmap part of a page", munmap_part_of_a_page, NULL },
    { "munmap several mappings", munmap_several_mappings, NULL },
    { "munmap file", munmap_file, NULL },
    { "munmap in a thread", munmap_in_a_thread, NULL },
    { "munmap in a fork child", munmap_in_a_fork_child, NULL },
    { "mmap over all", mmap_over_all, "mmap" },
    { "mmap over middle", mmap_over_middle, "mmap" },
    { "mmap file over", mmap_file_over, "mmap" },
    { "mremap shrinks", mremap_shrinks, NULL },
    { "mremap moves", mremap_moves, NULL },
    { "mremap fixed both ends", mremap_fixed_both_ends, NULL },
    { "mremap fixed shrinks", mremap_fixed_shrinks, NULL },
    { "mremap dontunmap", mremap_dontunmap, NULL },
    { "madvise dontneed", madvise_dontneed, NULL },
    { "madvise free", madvise_free, NULL },
    { "madvise remove", madvise_remove, NULL },
    { "madvise dontneed locked", madvise_dontneed_locked, NULL },
    { "madvise guard", madvise_guard, NULL },
    { "sbrk negative", sbrk_negative, "brk" },
    { "brk unaligned", brk_unaligned, "brk" },
    { "shmdt whole", shmdt_whole, "shmdt" },
    { "shmdt with a hole", shmdt_with_a_hole, "shmdt" },
    { "shmat over", shmat_over, "shmat" },
    { "remap_file_pages", remap_of_file_pages, "remap_file_pages" },
    { NULL, NULL, NULL },
};
