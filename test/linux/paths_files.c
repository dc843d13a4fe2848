/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: calls that take pages away from whoever has the file mapped, or that
 * name the pages in memory; and those of the same calls that take nothing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/linux/paths.h"
#include "test/test_main.h"

#define RW (PROT_READ | PROT_WRITE)
#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define CAUSE(name) OPAL_MEM_HOOKS_CAUSE_##name

/* Newer than the headers of many systems. */
#define UFFDIO_MOVE_PAGES _IOWR(0xaa, 5, uint64_t[5])
#define UFFD_FEATURE_MOVE_PAGES (UINT64_C(1) << 16)

/* ---- Files ----------------------------------------------------------------------------------- */

static char name[64];

/* Files of a scene have a name only while it plays. */
static int make_named(size_t pages)
{
    char page[4096];
    int fd;

    strcpy(name, "paths-files-XXXXXX");
    fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    memset(page, FILL, sizeof(page));
    for (size_t i = 0; i < pages; i++) {
        ck_assert_int_eq(write(fd, page, sizeof(page)), sizeof(page));
    }
    return fd;
}

/* On the file system of the build, without a name. */
static int make_on_disk(size_t pages)
{
    const int fd = make_named(pages);

    unlink(name);
    return fd;
}

static char *map_file(int fd, size_t pages, int flags)
{
    char *memory = libc.mmap(NULL, pages * PAGE, RW, flags, fd, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    for (size_t i = 0; i < pages; i++) {
        ck_assert_int_eq(memory[i * PAGE], FILL);
    }
    return memory;
}

static char *map_named(size_t pages)
{
    const int fd = make_named(pages);
    char *memory = map_file(fd, pages, MAP_SHARED);

    close(fd);
    return memory;
}

/* ---- truncate and ftruncate ------------------------------------------------------------------ */

static void shrink(int fd, off_t length)
{
    int result;

    watch(true);
    result = libc.ftruncate(fd, length);
    unwatch();
    ck_assert_int_eq(result, 0);
}

static void ftruncate_shrinks(void)
{
    const int fd = make_file(4);
    char *memory = map_file(fd, 4, MAP_SHARED);

    expect(memory + PAGE, 3 * PAGE, CAUSE(TRUNCATE));
    shrink(fd, PAGE);
}

static void ftruncate_within_a_page(void)
{
    const int fd = make_on_disk(4);
    char *memory = map_file(fd, 4, MAP_SHARED);

    expect(memory + 2 * PAGE, 2 * PAGE, CAUSE(TRUNCATE));
    shrink(fd, PAGE + 1);
    ck_assert_int_eq(memory[PAGE], FILL);
}

static void ftruncate_takes_private_copies(void)
{
    const int fd = make_on_disk(4);
    char *memory = map_file(fd, 4, MAP_PRIVATE);

    memset(memory, FILL, 4 * PAGE);
    expect(memory, 4 * PAGE, CAUSE(TRUNCATE));
    shrink(fd, 0);
}

static void ftruncate_of_two_mappings(void)
{
    const int fd = make_file(4);
    char *a = map_file(fd, 4, MAP_SHARED), *hole, *b;

    hole = map_pages(1);
    b = map_file(fd, 2, MAP_PRIVATE);
    expect(a < b ? a + PAGE : b + PAGE, a < b ? 3 * PAGE : PAGE, CAUSE(TRUNCATE));
    expect(a < b ? b + PAGE : a + PAGE, a < b ? PAGE : 3 * PAGE, CAUSE(TRUNCATE));
    shrink(fd, PAGE);
    libc.munmap(hole, PAGE);
}

/* Twenty pieces and room for eight: the first thirteen go as one, with what lies between. */
static void ftruncate_of_many_mappings(void)
{
    const int fd = make_file(40);
    char *memory = map_file(fd, 40, MAP_SHARED);

    for (size_t i = 1; i < 40; i += 2) {
        ck_assert_ptr_ne(libc.mmap(memory + i * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                         MAP_FAILED);
        memset(memory + i * PAGE, FILL, PAGE);
    }
    expect(memory, 25 * PAGE, CAUSE(TRUNCATE));
    for (size_t i = 26; i < 40; i += 2) {
        expect(memory + i * PAGE, PAGE, CAUSE(TRUNCATE));
    }
    shrink(fd, 0);
}

static void truncate_by_path(void)
{
    char *memory = map_named(4);
    int result;

    expect(memory + 3 * PAGE, PAGE, CAUSE(TRUNCATE));
    watch(true);
    result = libc.truncate(name, 3 * PAGE);
    unwatch();
    unlink(name);
    ck_assert_int_eq(result, 0);
}

/* ---- open ------------------------------------------------------------------------------------ */

static int open_truncating(const char *path)
{
    return libc.open(path, O_WRONLY | O_TRUNC);
}

static int open_read_only(const char *path)
{
    return libc.open(path, O_RDONLY | O_TRUNC);
}

static int openat_truncating(const char *path)
{
    return libc.openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

static int creat_truncating(const char *path)
{
    return libc.creat(path, 0600);
}

static int fopen_truncating(const char *path)
{
    FILE *stream = fopen(path, "w");

    return stream != NULL ? fileno(stream) : -1;
}

static void play_open(int (*open_it)(const char *path))
{
    char *memory = map_named(4);
    int fd;

    expect(memory, 4 * PAGE, CAUSE(TRUNCATE));
    watch(true);
    fd = open_it(name);
    unwatch();
    unlink(name);
    ck_assert_int_ge(fd, 0);
}

static void open_truncates(void)
{
    play_open(open_truncating);
}

static void open_truncates_read_only(void)
{
    play_open(open_read_only);
}

static void openat_truncates(void)
{
    play_open(openat_truncating);
}

static void creat_truncates(void)
{
    play_open(creat_truncating);
}

static void fopen_truncates(void)
{
    play_open(fopen_truncating);
}

/* A child that shares this process's memory, as the one of posix_spawn does. */
static int truncate_in_child(void *arg)
{
    const int fd = libc.open(arg, O_WRONLY | O_TRUNC);

    _exit(fd >= 0 ? 0 : 1);
}

static void open_truncates_in_a_vfork_child(void)
{
    char *memory = map_named(2), *stack = map_pages(16);
    pid_t child;
    int status;

    if (under_emulator()) {
        cannot_play("no memory is shared with a vfork child in the emulator");
        return;
    }
    expect(memory, 2 * PAGE, CAUSE(TRUNCATE));
    watch(true);
    child = clone(truncate_in_child, stack + 16 * PAGE, CLONE_VM | CLONE_VFORK | SIGCHLD, name);
    unwatch();
    unlink(name);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

/* ---- fallocate ------------------------------------------------------------------------------- */

static void allocate(int fd, int mode, off_t offset, off_t length)
{
    int result;

    watch(true);
    result = libc.fallocate(fd, mode, offset, length);
    unwatch();
    if (result != 0) {
        ck_assert(errno == EOPNOTSUPP || errno == EINVAL);
        cannot_play("the file system cannot do that");
    }
}

static void fallocate_hole_in_memory(void)
{
    const int fd = make_file(4);
    char *memory = map_file(fd, 4, MAP_SHARED);

    expect(memory + PAGE, 2 * PAGE, CAUSE(FALLOCATE));
    allocate(fd, HOLE, PAGE, 2 * PAGE);
    ck_assert_int_eq(memory[PAGE], 0);
}

static void fallocate_hole_of_parts(void)
{
    const int fd = make_file(4);
    char *memory = map_file(fd, 4, MAP_SHARED);

    expect(memory + 2 * PAGE, PAGE, CAUSE(FALLOCATE));
    allocate(fd, HOLE, PAGE + 1, 3 * PAGE - 2);
    ck_assert(memory[PAGE] == FILL && memory[3 * PAGE] == 0 && memory[4 * PAGE - 1] == FILL);
}

static void play_on_disk(int mode, size_t first, size_t pages)
{
    const int fd = make_on_disk(8);
    char *memory = map_file(fd, 8, MAP_SHARED);

    expect_cover(memory + first * PAGE, pages * PAGE);
    allocate(fd, mode, 2 * PAGE, 2 * PAGE);
}

static void fallocate_hole_on_disk(void)
{
    play_on_disk(HOLE, 2, 2);
}

static void fallocate_zeroes(void)
{
    play_on_disk(FALLOC_FL_ZERO_RANGE, 2, 2);
}

static void fallocate_collapses(void)
{
    play_on_disk(FALLOC_FL_COLLAPSE_RANGE, 2, 6);
}

static void fallocate_inserts(void)
{
    play_on_disk(FALLOC_FL_INSERT_RANGE, 2, 6);
}

/* ---- Named in memory ------------------------------------------------------------------------- */

static void process_madvise_of_itself(void)
{
    char *memory = map_filled(8);
    const struct iovec vector[] = { { memory + 4 * PAGE, PAGE }, { memory, 2 * PAGE } };
    const int pidfd = (int) syscall(SYS_pidfd_open, getpid(), 0);
    ssize_t result;

    expect(memory, 2 * PAGE, CAUSE(PROCESS_MADVISE));
    expect(memory + 4 * PAGE, PAGE, CAUSE(PROCESS_MADVISE));
    watch(true);
    result = libc.process_madvise(pidfd, vector, 2, MADV_DONTNEED, 0);
    unwatch();
    if (result < 0) {
        cannot_play("the kernel lets process_madvise discard nothing");
        return;
    }
    ck_assert_int_eq(result, 3 * (ssize_t) PAGE);
    ck_assert(memory[0] == 0 && memory[2 * PAGE] == FILL && memory[4 * PAGE] == 0);
}

/* @return a descriptor that may move pages to `to`; -1: none here. */
static int open_mover(char *to, size_t length)
{
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MOVE_PAGES };
    struct uffdio_register range = { .range = { (uintptr_t) to, length }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    const int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

    if (fd < 0 || libc.ioctl(fd, UFFDIO_API, &api) != 0 || libc.ioctl(fd, UFFDIO_REGISTER, &range) != 0) {
        return -1;
    }
    return fd;
}

static void uffd_moves(void)
{
    char *from = map_filled(2), *to = map_pages(2);
    const int fd = open_mover(to, 2 * PAGE);
    uint64_t move[5] = { (uintptr_t) to, (uintptr_t) from, 2 * PAGE, 0, 0 };
    int result;

    if (fd < 0) {
        cannot_play("no userfaultfd that moves pages here");
        return;
    }
    expect(from, 2 * PAGE, CAUSE(UFFD_MOVE));
    watch(true);
    result = libc.ioctl(fd, UFFDIO_MOVE_PAGES, move);
    unwatch();
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(to[PAGE], FILL);
}

/* Newer architectures have openat only. */
#ifdef SYS_creat
#define CREAT_SITE "creat"
#else
#define CREAT_SITE "openat"
#endif

const scene_t scenes_files[] = {
    { "ftruncate shrinks", ftruncate_shrinks, "ftruncate" },
    { "ftruncate within a page", ftruncate_within_a_page, "ftruncate" },
    { "ftruncate takes private copies", ftruncate_takes_private_copies, "ftruncate" },
    { "ftruncate of two mappings", ftruncate_of_two_mappings, "ftruncate" },
    { "ftruncate of many mappings", ftruncate_of_many_mappings, "ftruncate" },
    { "truncate by path", truncate_by_path, "truncate" },
    { "open truncates", open_truncates, "openat" },
    { "open truncates read only", open_truncates_read_only, "openat" },
    { "openat truncates", openat_truncates, "openat" },
    { "creat truncates", creat_truncates, CREAT_SITE },
    { "fopen truncates", fopen_truncates, "openat" },
    { "open truncates in a vfork child", open_truncates_in_a_vfork_child, "openat" },
    { "fallocate hole in memory", fallocate_hole_in_memory, "fallocate" },
    { "fallocate hole of parts of pages", fallocate_hole_of_parts, "fallocate" },
    { "fallocate hole on disk", fallocate_hole_on_disk, "fallocate" },
    { "fallocate zeroes", fallocate_zeroes, "fallocate" },
    { "fallocate collapses", fallocate_collapses, "fallocate" },
    { "fallocate inserts", fallocate_inserts, "fallocate" },
    { "process_madvise of itself", process_madvise_of_itself, "process_madvise" },
    { "userfaultfd moves", uffd_moves, "ioctl" },
    { NULL, NULL, NULL },
};

/* ---- Nothing goes ---------------------------------------------------------------------------- */

static void ftruncate_keeps(void)
{
    const int fd = make_file(2);
    char *memory = map_file(fd, 2, MAP_SHARED);

    watch(true);
    ck_assert_int_eq(libc.ftruncate(fd, 2 * PAGE), 0);
    ck_assert_int_eq(libc.ftruncate(fd, 4 * PAGE), 0);
    ck_assert_int_eq(libc.ftruncate(fd, 3 * PAGE + 1), 0);
    ck_assert_int_eq(libc.ftruncate(fd, 2 * PAGE), 0); /* Page 2 is not mapped. */
    unwatch();
    ck_assert_int_eq(memory[PAGE], FILL);
}

static void ftruncate_refused(void)
{
    const int fd = make_on_disk(2), sealed = (int) syscall(SYS_memfd_create, "sealed", 2 /* MFD_ALLOW_SEALING */);
    char path[32];
    int reader;

    map_file(fd, 2, MAP_SHARED);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY);
    ck_assert_int_eq(libc.ftruncate(sealed, PAGE), 0);
    ck_assert_ptr_ne(libc.mmap(NULL, PAGE, RW, MAP_SHARED, sealed, 0), MAP_FAILED);
    ck_assert_int_eq(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    watch(true);
    ck_assert(libc.ftruncate(reader, 0) == -1 && errno == EINVAL);
    ck_assert(libc.ftruncate(fd, -1) == -1 && errno == EINVAL);
    ck_assert(libc.ftruncate(99999, 0) == -1 && errno == EBADF);
    ck_assert(libc.ftruncate(sealed, 0) == -1 && errno == EPERM);
    ck_assert(libc.truncate("/", 0) == -1 && errno == EISDIR);
    ck_assert(libc.truncate("/none/such", 0) == -1 && errno == ENOENT);
    ck_assert(libc.truncate((const char *) 1, 0) == -1 && errno == EFAULT);
}

static void truncation_of_others_files(void)
{
    const int mapped = make_on_disk(2), fd = make_named(2);
    int again;

    map_file(mapped, 2, MAP_SHARED);
    watch(true);
    ck_assert_int_eq(libc.ftruncate(fd, PAGE), 0);
    again = libc.open(name, O_WRONLY | O_TRUNC);
    unwatch();
    unlink(name);
    ck_assert_int_ge(again, 0);
}

static void open_keeps(void)
{
    int fds[4];
    bool is_refused;

    map_named(2);
    watch(true);
    fds[0] = libc.open(name, O_RDWR);
    fds[1] = libc.open(name, O_RDWR | O_CREAT, 0600);
    is_refused = libc.open(name, O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, 0600) == -1 && errno == EEXIST;
    fds[2] = libc.open(name, O_PATH | O_TRUNC);
    fds[3] = libc.open("/dev/null", O_WRONLY | O_TRUNC);
    unwatch();
    unlink(name);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_ge(fds[i], 0);
    }
    ck_assert(is_refused);
}

static void open_of_new_and_empty_files(void)
{
    int fd, again;

    close(make_named(0));
    watch(true);
    fd = libc.creat(name, 0600);
    unlink(name);
    again = libc.open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    unlink(name);
    unwatch();
    ck_assert(fd >= 0 && again >= 0);
}

static void fallocate_keeps(void)
{
    const int fd = make_file(2);
    char *memory = map_file(fd, 2, MAP_SHARED);

    watch(true);
    ck_assert_int_eq(libc.fallocate(fd, 0, 0, 2 * PAGE), 0);
    ck_assert_int_eq(libc.fallocate(fd, HOLE, 1, PAGE - 2), 0);
    ck_assert_int_eq(libc.fallocate(fd, HOLE, 2 * PAGE, PAGE), 0);
    ck_assert(libc.fallocate(fd, HOLE, 0, 0) == -1 && errno == EINVAL);
    ck_assert(libc.fallocate(fd, HOLE, -1, PAGE) == -1 && errno == EINVAL);
    ck_assert(libc.fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE) == -1 && errno == EOPNOTSUPP);
    ck_assert(libc.fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE) == -1 && errno == EOPNOTSUPP);
    unwatch();
    ck_assert(memory[0] == FILL && memory[PAGE] == FILL);
}

static void process_madvise_keeps(void)
{
    char *memory = map_filled(2);
    const struct iovec vector = { memory, PAGE };
    const int pidfd = (int) syscall(SYS_pidfd_open, getppid(), 0);

    watch(true);
    ck_assert_int_eq(libc.process_madvise(pidfd, &vector, 1, MADV_DONTNEED, 0), -1);
    if (emulator_can("process_madvise")) {
        ck_assert(libc.process_madvise(-1, &vector, 1, MADV_DONTNEED, 0) == -1 && errno == EBADF);
    }
    ck_assert_int_eq(libc.process_madvise(pidfd, (const struct iovec *) 16, 1, MADV_DONTNEED, 0), -1);
    unwatch();
    ck_assert_int_eq(memory[0], FILL);
}

static void ioctl_keeps(void)
{
    uint64_t move[5] = { 0, 0, PAGE, 0, 0 };
    int waiting;

    map_filled(2);
    watch(true);
    ck_assert(libc.ioctl(99999, FIONREAD, &waiting) == -1 && errno == EBADF);
    if (emulator_can("ioctl of userfaultfd")) {
        ck_assert(libc.ioctl(99999, UFFDIO_MOVE_PAGES, move) == -1 && errno == EBADF);
    }
    ck_assert_int_eq(libc.ioctl(STDERR_FILENO, UFFDIO_MOVE_PAGES, (void *) 16), -1);
}

const scene_t scenes_files_quiet[] = {
    { "ftruncate keeps", ftruncate_keeps, NULL },
    { "ftruncate refused", ftruncate_refused, NULL },
    { "truncation of others' files", truncation_of_others_files, NULL },
    { "open keeps", open_keeps, NULL },
    { "open of new and empty files", open_of_new_and_empty_files, NULL },
    { "fallocate keeps", fallocate_keeps, NULL },
    { "process_madvise keeps", process_madvise_keeps, NULL },
    { "ioctl keeps", ioctl_keeps, NULL },
    { NULL, NULL, NULL },
};
