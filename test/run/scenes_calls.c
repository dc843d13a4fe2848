/* SPDX-License-Identifier: BSD-3-Clause */
/* Results of single calls: ends of files, errors, positions, protection, kinds of descriptors. */
#define _GNU_SOURCE 1
#include "test/run/scenes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- Reading --------------------------------------------------------------------------------------- */

static void read_to_the_end(const char *file)
{
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(BLOCK);
    ssize_t count;

    errno = EXDEV;
    do {
        count = read(fd, buffer, BLOCK);
        say("read", count, buffer, BLOCK, fd);
    } while (count > 0);
    printf("errno %d\n", errno == EXDEV);
}

static void pread_everywhere(const char *file)
{
    static const long long offsets[] = { 0, 1, 4097, BLOCK, BLOCKS * BLOCK - 1, BLOCKS * BLOCK, 1LL << 40, -1 };
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(BLOCK + 4096);

    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        say("pread", pread(fd, buffer + i * 13, BLOCK, offsets[i]), buffer, BLOCK + 4096, fd);
    }
}

static void fresh_buffers(const char *file)
{
    const int fd = open_file(file, O_RDONLY);

    for (int i = 0; i < BLOCKS; i++) {
        char *buffer = fresh(BLOCK);

        say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
        munmap(buffer, BLOCK);
    }
}

/* Their registrations are ended together. */
static void buffers_released_at_once(const char *file)
{
    const int fd = open_file(file, O_RDONLY);
    const size_t distance = BLOCK + (64 << 10);
    char *buffers = fresh(BLOCKS * distance);

    for (size_t i = 0; i < BLOCKS; i++) {
        say("read", read(fd, buffers + i * distance, BLOCK), buffers + i * distance, BLOCK, fd);
    }
    munmap(buffers, BLOCKS * distance);
}

static void larger_than_the_file(const char *file)
{
    const int fd = open_file(file, O_RDONLY);
    const size_t size = (size_t) 1 << 30;
    char *buffer = fresh(size);

    say("read", read(fd, buffer, size), buffer, 4 << 20, fd);
    say("pread", pread(fd, buffer, size, BLOCK), buffer, 4 << 20, fd);
}

/* The kernel's limit of one buffer is 1 GiB, of one call a page less than 2 GiB. */
static void over_one_gib(const char *file)
{
    const size_t gib = (size_t) 1 << 30, size = gib + gib / 16 + 12345;
    const int fd = open_file(file, O_RDWR);
    char *buffer = fresh(size + 4096);

    must(ftruncate(fd, (off_t) size) == 0, "ftruncate");
    must(pwrite(fd, "here", 4, (off_t) size - 4) == 4, "pwrite");
    say("read", read(fd, buffer + 77, size), buffer + gib, 1 << 20, fd);
    say("end", 0, buffer + 77 + size - 4096, 4096, fd);
    ftruncate(fd, 0);
}

static void fortified_names(const char *file)
{
    extern ssize_t __read_chk(int fd, void *buffer, size_t count, size_t size);
    extern ssize_t __pread_chk(int fd, void *buffer, size_t count, off_t offset, size_t size);
    extern ssize_t __pread64_chk(int fd, void *buffer, size_t count, off_t offset, size_t size);
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(BLOCK);

    say("read", __read_chk(fd, buffer, BLOCK, BLOCK), buffer, BLOCK, fd);
    say("pread", __pread_chk(fd, buffer, BLOCK, 99, BLOCK), buffer, BLOCK, fd);
    say("pread64", __pread64_chk(fd, buffer, BLOCK, 999, BLOCK), buffer, BLOCK, fd);
    __read_chk(fd, buffer, BLOCK, BLOCK - 1); /* libc ends the program. */
}

/* ---- What the kernel refuses -------------------------------------------------------------------------- */

static void wrong_arguments(const char *file)
{
    const int fd = open_file(file, O_RDONLY), out = open_file(file, O_WRONLY), folder = open_file("/", O_RDONLY);
    char *buffer = fresh(BLOCK);
    volatile size_t huge = SIZE_MAX;
    volatile ssize_t negative = -1;

    say("closed", read(12345, buffer, BLOCK), NULL, 0, -1);
    say("negative descriptor", pread(-1, buffer, BLOCK, 0), NULL, 0, -1);
    say("write only", read(out, buffer, BLOCK), NULL, 0, out);
    say("read only", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("read only pwrite", pwrite(fd, buffer, BLOCK, 0), NULL, 0, fd);
    say("folder", read(folder, buffer, BLOCK), NULL, 0, -1);
    say("negative count", pread(fd, buffer, (size_t) negative, 0), NULL, 0, fd);
    say("huge count", write(out, buffer, huge), NULL, 0, out);
    say("negative offset", pread(fd, buffer, BLOCK, -5), NULL, 0, fd);
    say("offset beyond", pwrite(out, buffer, BLOCK, INT64_MAX - 5), NULL, 0, out);
    say("no memory", read(fd, (void *) 4096, BLOCK), NULL, 0, fd);
}

static void memory_that_ends(const char *file)
{
    const int fd = open_file(file, O_RDWR);
    char *buffer = fresh(2 * BLOCK);

    munmap(buffer + BLOCK / 2, BLOCK);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK / 2, fd);
    say("pwrite", pwrite(fd, buffer, BLOCK, 0), NULL, 0, fd);
    say_file(file);
}

static void read_only_memory(const char *file)
{
    const int fd = open_file(file, O_RDWR);
    char *buffer = fresh(BLOCK);
    char *mapped = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);

    must(mapped != MAP_FAILED, "mmap");
    memset(buffer, 'r', BLOCK);
    mprotect(buffer, BLOCK, PROT_READ);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    say("read into a mapped file", pread(fd, mapped, BLOCK, 1), mapped, BLOCK, fd);
    say("write", write(fd, buffer, BLOCK), buffer, BLOCK, fd);
    say("write from a mapped file", pwrite(fd, mapped, BLOCK, 3 * BLOCK), mapped, BLOCK, fd);
    say_file(file);
}

/* The pages are registered when they lose their rights. */
static void rights_that_go(const char *file)
{
    const int fd = open_file(file, O_RDWR);
    char *buffer = fresh(BLOCK);

    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    mprotect(buffer, BLOCK, PROT_READ);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    mprotect(buffer, BLOCK, PROT_READ | PROT_WRITE);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    mprotect(buffer, BLOCK, PROT_NONE);
    say("pwrite", pwrite(fd, buffer, BLOCK, 0), NULL, 0, fd);
    say_file(file);
}

static void protection_keys(const char *file)
{
    const int fd = open_file(file, O_RDONLY), key = pkey_alloc(0, 0);
    char *buffer = fresh(BLOCK);

    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    if (key < 0) {
        puts("no protection keys here");
        return;
    }
    must(pkey_mprotect(buffer, BLOCK, PROT_READ | PROT_WRITE, key) == 0, "pkey_mprotect");
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    pkey_set(key, PKEY_DISABLE_WRITE);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
}

/* ---- Writing ---------------------------------------------------------------------------------------- */

static char *pattern(char seed)
{
    char *buffer = fresh(BLOCK);

    for (size_t i = 0; i < BLOCK; i++) {
        buffer[i] = (char) (seed + i % 251);
    }
    return buffer;
}

static void write_and_overwrite(const char *file)
{
    const int fd = open_file(file, O_RDWR);
    char *buffer = pattern(1);

    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("write", write(fd, buffer, BLOCK - 1), NULL, 0, fd);
    say("pwrite", pwrite(fd, buffer, BLOCK, 5 * BLOCK + 7), NULL, 0, fd);
    say("beyond the end", pwrite(fd, buffer, BLOCK, 20 * BLOCK), NULL, 0, fd);
    lseek(fd, 0, SEEK_END);
    say("at the end", write(fd, buffer, BLOCK), NULL, 0, fd);
    say_file(file);
}

static void append(const char *file)
{
    const int fd = open_file(file, O_RDWR | O_APPEND);
    char *buffer = pattern(2);

    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("pwrite", pwrite(fd, buffer, BLOCK, 0), NULL, 0, fd); /* Linux appends. */
    lseek(fd, 100, SEEK_SET);
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say_file(file);
}

/* Late: after the descriptor was in use. */
static void append_later(const char *file)
{
    const int fd = open_file(file, O_RDWR);
    char *buffer = pattern(3);

    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    fcntl(fd, F_SETFL, O_APPEND);
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say_file(file);
}

static volatile sig_atomic_t limit_signals;

static void on_limit(int number)
{
    limit_signals += number == SIGXFSZ;
}

static void file_limit(const char *file)
{
    const struct rlimit limit = { 9 * BLOCK + 1000, RLIM_INFINITY };
    const int fd = open_file(file, O_RDWR);
    char *buffer = pattern(4);

    signal(SIGXFSZ, on_limit);
    setrlimit(RLIMIT_FSIZE, &limit);
    lseek(fd, 8 * BLOCK, SEEK_SET);
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("partly", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("refused", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("refused", pwrite(fd, buffer, BLOCK, 20 * BLOCK), NULL, 0, fd);
    printf("signals %d\n", (int) limit_signals);
    say_file(file);
}

static void direct(const char *file)
{
    const int fd = open(file, O_RDWR | O_DIRECT);
    char *buffer = pattern(5);

    if (fd < 0) {
        printf("no O_DIRECT here: %s\n", strerror(errno));
        return;
    }
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("pwrite", pwrite(fd, buffer, BLOCK / 2, 3 * BLOCK), NULL, 0, fd);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    say("misaligned offset", pread(fd, buffer, BLOCK, 77), NULL, 0, fd);
    say("misaligned memory", pread(fd, buffer + 1, BLOCK - 4096, 0), NULL, 0, fd);
    say("misaligned count", read(fd, buffer, BLOCK - 1), NULL, 0, fd);
    say("to the end", pread(fd, buffer, BLOCK, (BLOCKS - 1) * BLOCK + 4096), buffer, BLOCK, fd);
    say_file(file);
}

/* ---- Descriptors ------------------------------------------------------------------------------------ */

static void no_regular_files(const char *file)
{
    char *buffer = pattern(6);
    int ends[2];
    const int zero = open_file("/dev/zero", O_RDONLY), null = open_file("/dev/null", O_WRONLY);

    (void) file;
    must(pipe2(ends, O_NONBLOCK) == 0, "pipe");
    say("pipe", write(ends[1], buffer, BLOCK), NULL, 0, -1);
    say("pipe", read(ends[0], buffer, BLOCK), buffer, BLOCK, -1);
    say("empty pipe", read(ends[0], buffer, BLOCK), NULL, 0, -1);
    say("pread of a pipe", pread(ends[0], buffer, BLOCK, 0), NULL, 0, -1);
    say("zero", read(zero, buffer, BLOCK), buffer, BLOCK, -1);
    say("null", write(null, buffer, BLOCK), NULL, 0, -1);
}

static void copied_descriptors(const char *file)
{
    const int fd = open_file(file, O_RDONLY), other = dup(fd), third = fcntl(fd, F_DUPFD, 40),
              fourth = dup2(fd, 41);
    char *buffer = fresh(BLOCK);

    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, other);
    say("dup", read(other, buffer, BLOCK), buffer, BLOCK, fd);
    say("fcntl", read(third, buffer, BLOCK), buffer, BLOCK, fd);
    say("dup2", read(fourth, buffer, BLOCK), buffer, BLOCK, fd);
}

/* The number of a descriptor that was closed behind our back belongs to another file. */
static void number_used_again(const char *file)
{
    char *buffer = fresh(BLOCK);
    const int fd = open_file(file, O_RDONLY);
    FILE *stream = fdopen(fd, "r");
    int ends[2];

    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    fclose(stream);
    must(pipe(ends) == 0 && ends[0] == fd, "pipe with the same number");
    must(write(ends[1], "pipe", 4) == 4, "write");
    say("pipe", read(fd, buffer, BLOCK), buffer, BLOCK, -1);
}

static void closed_all(const char *file)
{
    char *buffer = fresh(BLOCK);
    int fd = open_file(file, O_RDONLY);

    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    must(syscall(SYS_close_range, 3, ~0U, 0) == 0, "close_range");
    fd = open_file(file, O_RDONLY);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    say("pread", pread(fd, buffer, BLOCK, 5), buffer, BLOCK, fd);
}

/* io_uring would say EAGAIN where nothing is ready. */
static void nonblocking(const char *file)
{
    const int fd = open_file(file, O_RDWR | O_NONBLOCK);
    char *buffer = fresh(BLOCK);

    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say_file(file);
}

const scene_t call_scenes[] = {
    { "read_to_the_end", read_to_the_end },
    { "pread_everywhere", pread_everywhere },
    { "fresh_buffers", fresh_buffers },
    { "buffers_released_at_once", buffers_released_at_once },
    { "larger_than_the_file", larger_than_the_file },
    { "over_one_gib", over_one_gib },
    { "fortified_names", fortified_names },
    { "wrong_arguments", wrong_arguments },
    { "memory_that_ends", memory_that_ends },
    { "read_only_memory", read_only_memory },
    { "rights_that_go", rights_that_go },
    { "protection_keys", protection_keys },
    { "write_and_overwrite", write_and_overwrite },
    { "append", append },
    { "append_later", append_later },
    { "file_limit", file_limit },
    { "direct", direct },
    { "no_regular_files", no_regular_files },
    { "copied_descriptors", copied_descriptors },
    { "number_used_again", number_used_again },
    { "closed_all", closed_all },
    { "nonblocking", nonblocking },
    { NULL, NULL },
};
