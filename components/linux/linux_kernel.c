/* SPDX-License-Identifier: BSD-3-Clause */
/* What the component asks the kernel: once at enable, what holds for the whole
 * process (linux_facts), and, while a call is held up, what its arguments do
 * not tell. The latter is hook context. */
#include "components/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "components/linux/linux_sys.h"

#define MIB ((size_t) 1 << 20)

OPAL_MEM_HOOKS_DATA linux_facts_t linux_facts = {
    .page = 4096, .address_end = (uintptr_t) 1 << 47, .huge_page = 2 * MIB, .heap_start = 0
};

/* ---- At enable ------------------------------------------------------------------------------- */

/* A small file of /proc as a string; "" when it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
    const long fd = linux_sys_open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    long got = 1;

    while (!linux_failed(fd) && got > 0 && used < size - 1) {
        got = linux_sys_read((int) fd, text + used, size - 1 - used);
        used += got > 0 ? (size_t) got : 0;
    }
    text[used] = '\0';
    if (!linux_failed(fd)) {
        linux_sys_close((int) fd);
    }
}

static size_t read_number(const char *text)
{
    size_t value = 0;

    while (*text == ' ') {
        text++;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (size_t) (*text - '0');
    }
    return value;
}

static size_t read_huge_page(void)
{
    static const char key[] = "\nHugepagesize:";
    char text[4096];
    const char *line;
    size_t kib;

    read_text("/proc/meminfo", text, sizeof(text));
    line = strstr(text, key);
    kib = line != NULL ? read_number(line + sizeof(key) - 1) : 0;
    return kib != 0 ? kib * 1024 : 2 * MIB;
}

/* Field 47 of stat. Fields are counted behind the last parenthesis: the second one, the program's
 * name, may hold anything. */
static uintptr_t read_heap_start(void)
{
    char text[2048];
    const char *field;

    read_text("/proc/self/stat", text, sizeof(text));
    field = strrchr(text, ')');
    for (int i = 2; i < 47 && field != NULL; i++) {
        field = strchr(field + 1, ' ');
    }
    return field != NULL ? read_number(field) : 0;
}

void linux_facts_read(void)
{
    linux_facts.page = getauxval(AT_PAGESZ);
    linux_facts_read_cpu();
    linux_facts.huge_page = read_huge_page();
    linux_facts.heap_start = read_heap_start();
}

/* ---- In a call ------------------------------------------------------------------------------- */

bool linux_file_is_bad(int fd)
{
    return LINUX_SYS(SYS_fcntl, fd, F_GETFD) == -EBADF;
}

static const size_t huge_pages[] = LINUX_HUGE_PAGES;
#define HUGE_PAGE_COUNT (sizeof(huge_pages) / sizeof(huge_pages[0]))

/* Can the kernel round one of these lengths to more than a page? Mappings of huge pages begin at one. */
static bool may_be_huge(uintptr_t addr, size_t length)
{
    return linux_may_be_huge(addr) && length % huge_pages[HUGE_PAGE_COUNT - 1] != 0;
}

size_t linux_file_page(int fd, uintptr_t addr, size_t length)
{
    struct statfs info = { 0 };

    if (!may_be_huge(addr, length) || linux_failed(LINUX_SYS(SYS_fstatfs, fd, (long) &info))) {
        return LINUX_PAGE;
    }
    return info.f_type == HUGETLBFS_MAGIC ? (size_t) info.f_bsize : LINUX_PAGE;
}

/* The kernel lets mremap keep the size of any page of an ordinary mapping, which changes nothing;
 * within a huge page it objects to the address. */
static bool is_inside_huge_page(uintptr_t addr)
{
    return LINUX_SYS(SYS_mremap, (long) addr, (long) LINUX_PAGE, (long) LINUX_PAGE, 0) == -EINVAL;
}

/* A page of each size but the smallest has the end of one of the size before inside it. */
size_t linux_mapping_page(uintptr_t addr, size_t old_length, size_t new_length)
{
    size_t page = LINUX_PAGE;

    if (!may_be_huge(addr, old_length) && !may_be_huge(addr, new_length)) {
        return LINUX_PAGE;
    }
    for (size_t i = 0; i < HUGE_PAGE_COUNT && addr % huge_pages[i] == 0 && is_inside_huge_page(addr + page); i++) {
        page = huge_pages[i];
    }
    return page;
}

/* shmat needs the same permission as IPC_STAT: what is refused here will be refused there. */
size_t linux_shm_size(int id)
{
    struct shmid_ds info = { 0 };
    const long result = linux_sys_shmctl(id, IPC_STAT, &info);

    if (!linux_failed(result)) {
        return info.shm_segsz;
    }
    return result == -EINVAL || result == -EIDRM || result == -EACCES ? 0 : SIZE_MAX;
}
