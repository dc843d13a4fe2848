/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: calls that fail, or that take no page away. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "test/linux/paths.h"
#include "test/test_main.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
/* Of any user address space. aarch64 ignores the highest 8 bits. */
#ifdef __aarch64__
#define BEHIND_THE_END ((void *) (1UL << 54))
#else
#define BEHIND_THE_END ((void *) (1UL << 58))
#endif

static void munmap_refused(void)
{
    char *memory = map_filled(2);

    watch(true);
    ck_assert_int_eq(libc.munmap(memory + 1, PAGE), -1);
    ck_assert_int_eq(libc.munmap(memory, 0), -1);
    if (emulator_can("munmap of more than there is")) {
        ck_assert_int_eq(libc.munmap(memory, SIZE_MAX), -1);
        ck_assert_int_eq(libc.munmap((void *) -PAGE, PAGE), -1);
    }
}

static void mmap_refused(void)
{
    char *memory = map_filled(2);

    watch(true);
    ck_assert_ptr_eq(libc.mmap(memory + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), MAP_FAILED);
    ck_assert_ptr_eq(libc.mmap(memory, 0, RW, ANON | MAP_FIXED, -1, 0), MAP_FAILED);
    ck_assert_ptr_eq(libc.mmap(memory, PAGE, RW, MAP_PRIVATE | MAP_FIXED, 99999, 0), MAP_FAILED);
    if (emulator_can("MAP_FIXED_NOREPLACE")) {
        ck_assert_ptr_eq(libc.mmap(memory, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), MAP_FAILED);
    }
}

static void mmap_elsewhere(void)
{
    char *memory = map_filled(2);

    watch(true);
    ck_assert_ptr_ne(libc.mmap(NULL, PAGE, RW, ANON, -1, 0), MAP_FAILED);
    ck_assert_ptr_ne(libc.mmap(memory, PAGE, RW, ANON, -1, 0), memory);
}

static void mremap_refused(void)
{
    char *memory = map_filled(4);

    watch(true);
    ck_assert_ptr_eq(libc.mremap(memory, 2 * PAGE, 4 * PAGE, 0), MAP_FAILED); /* no room behind it */
    ck_assert_ptr_eq(libc.mremap(memory + 1, 2 * PAGE, PAGE, 0), MAP_FAILED);
    ck_assert_ptr_eq(libc.mremap(memory, 2 * PAGE, 0, 0), MAP_FAILED);
    ck_assert_ptr_eq(libc.mremap(memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory), MAP_FAILED);
    ck_assert_ptr_eq(libc.mremap(memory, 64 * PAGE, 65 * PAGE, MREMAP_MAYMOVE), MAP_FAILED); /* not mapped */
}

static void mremap_same_size(void)
{
    char *memory = map_filled(2);

    watch(true);
    if (emulator_can("mremap that may move, but need not")) {
        ck_assert_ptr_eq(libc.mremap(memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE), memory);
    }
    ck_assert_ptr_eq(libc.mremap(memory, 2 * PAGE, 2 * PAGE - 5, 0), memory);
}

static void mremap_grows_in_place(void)
{
    char *memory = map_filled(4);

    ck_assert_int_eq(libc.munmap(memory + 2 * PAGE, 2 * PAGE), 0);
    watch(true);
    ck_assert_ptr_eq(libc.mremap(memory, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE), memory);
}

static void mremap_duplicates(void)
{
    char *memory = libc.mmap(NULL, 2 * PAGE, RW, MAP_SHARED, make_file(2), 0);

    if (under_emulator()) {
        cannot_play("no mremap of old length 0 in the emulator");
        return;
    }
    watch(true);
    ck_assert_ptr_ne(libc.mremap(memory, 0, 2 * PAGE, MREMAP_MAYMOVE), MAP_FAILED);
}

static void madvise_keeps(void)
{
    char *memory = map_filled(2);

    watch(true);
    ck_assert_int_eq(libc.madvise(memory, PAGE, MADV_WILLNEED), 0);
    ck_assert_int_eq(libc.madvise(memory, PAGE, MADV_NORMAL), 0);
    ck_assert_int_eq(libc.madvise(memory, 0, MADV_DONTNEED), 0);
    ck_assert_int_eq(libc.madvise(memory + 1, PAGE, MADV_DONTNEED), -1);
    if (emulator_can("madvise behind the end of the address space")) {
        ck_assert_int_eq(libc.madvise(BEHIND_THE_END, PAGE, MADV_DONTNEED), -1);
    }
    ck_assert_int_eq(libc.posix_madvise(memory, PAGE, POSIX_MADV_WILLNEED), 0);
    ck_assert_int_eq(libc.posix_madvise(memory, PAGE, POSIX_MADV_DONTNEED), 0); /* does nothing in glibc */
}

static void mprotect_keeps(void)
{
    char *memory = map_filled(2);

    watch(true);
    ck_assert_int_eq(mprotect(memory, PAGE, PROT_NONE), 0);
}

static void brk_keeps(void)
{
    char *present = libc.sbrk(0);

    watch(true);
    ck_assert_int_eq(libc.brk(present), 0);
    ck_assert_int_eq(libc.brk(present + 8 * PAGE), 0);
    if (emulator_can("where the heap starts")) {
        ck_assert_int_eq(libc.brk((void *) PAGE), 0); /* below the heap: refused, which libc does not report */
    }
    ck_assert_ptr_eq(libc.sbrk(0), present + 8 * PAGE);
    ck_assert_ptr_ne(libc.sbrk(100), (void *) -1);
}

static void shmdt_of_nothing(void)
{
    char *memory = map_filled(2);

    watch(true);
    ck_assert_int_eq(libc.shmdt(memory), -1);
    ck_assert_int_eq(libc.shmdt(memory + 1), -1);
    ck_assert_int_eq(libc.shmdt(BEHIND_THE_END), -1);
}

static void shmat_elsewhere(void)
{
    const int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
    char *memory = map_filled(2);

    if (id < 0) {
        cannot_play("no System V segments here");
        return;
    }
    watch(true);
    ck_assert_ptr_ne(libc.shmat(id, NULL, 0), (void *) -1);
    ck_assert_ptr_eq(libc.shmat(id, memory, 0), (void *) -1);
    ck_assert_ptr_eq(libc.shmat(id, memory + 1, SHM_REMAP), (void *) -1);
    shmctl(id, IPC_RMID, NULL);
    ck_assert_ptr_eq(libc.shmat(-1, memory, SHM_REMAP), (void *) -1);
}

const scene_t scenes_quiet[] = {
    { "munmap refused", munmap_refused, NULL },
    { "mmap refused", mmap_refused, NULL },
    { "mmap elsewhere", mmap_elsewhere, NULL },
    { "mremap refused", mremap_refused, NULL },
    { "mremap same size", mremap_same_size, NULL },
    { "mremap grows in place", mremap_grows_in_place, NULL },
    { "mremap duplicates", mremap_duplicates, NULL },
    { "madvise keeps", madvise_keeps, NULL },
    { "mprotect keeps", mprotect_keeps, NULL },
    { "brk keeps", brk_keeps, NULL },
    { "shmdt of nothing", shmdt_of_nothing, NULL },
    { "shmat elsewhere", shmat_elsewhere, NULL },
    { NULL, NULL, NULL },
};
