/* SPDX-License-Identifier: BSD-3-Clause */
/* Page faults of watched memory, of every kind that there is: none is ever
 * blocked, or fails, by the program's own touch or by a system call's. */
#include <errno.h>
#include <fcntl.h>

#include "test/userfaultfd/userfaultfd_fixture.h"
#include "test/userfaultfd/userfaultfd_memory.h"

static const struct memory_kind {
    const char *name;
    char *(*make)(void);
} kinds[] = {
    { "private", make_private },
    { "huge pages", make_huge },
    { "hugetlb", make_hugetlb },
    { "shared", make_shared },
    { "memfd", make_memfd },
    { "file", make_file },
    { "private file", make_file_private },
    { "segment", make_segment },
};
#define KINDS ((int) (sizeof(kinds) / sizeof(kinds[0])))

static void read_into(char *page)
{
    const int fd = open("/dev/zero", O_RDONLY);

    ck_assert_int_eq(read(fd, page, PAGE), (ssize_t) PAGE);
    close(fd);
}

START_TEST(page_faults_of_watched_memory_are_as_ever)
{
    setenv("OPALMEM_MCA_memory_userfaultfd_files", "always", 1);
    start();
    char *memory = kinds[_i].make();
    if (memory == MAP_FAILED) {
        printf("LEFT OUT: no memory of the kind \"%s\" here: %s\n", kinds[_i].name, strerror(errno));
        stop();
        return;
    }
    watch_it(&watched[0], memory, 2 * HUGE);
    volatile char *touched = memory;
    ck_assert_int_eq(touched[0], 0);
    touched[PAGE] = 1;
    touched[0] = 2;
    read_into(memory + 3 * PAGE);
    read_into(memory + PAGE);
    ck_assert(touched[0] == 2 && touched[PAGE] == 0);
    memset(memory + HUGE, 3, HUGE);
    ck_assert(hits(&watched[0]));
    unwatch_it(&watched[0]);
    stop();
}
END_TEST

static long huge_kib(const char *memory)
{
    char line[256];
    unsigned long start_at, end, value;
    bool is_inside = false;
    long result = 0;
    FILE *maps = fopen("/proc/self/smaps", "r");

    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start_at, &end) == 2) {
            is_inside = start_at <= (uintptr_t) memory && end > (uintptr_t) memory;
        } else if (is_inside && sscanf(line, "AnonHugePages: %lu", &value) == 1) {
            result = (long) value;
        }
    }
    fclose(maps);
    return result;
}

START_TEST(watched_memory_still_gets_huge_pages)
{
    char *before = make_huge();
    memset(before, 1, 2 * HUGE);
    if (huge_kib(before) == 0) {
        printf("LEFT OUT: no transparent huge pages here\n");
        return;
    }
    start();
    char *memory = make_huge();
    watch_it(&watched[0], memory, 2 * HUGE);
    memset(memory, 1, 2 * HUGE);
    ck_assert_int_ge(huge_kib(memory), (long) (HUGE >> 10));
    watch_it(&watched[1], before + PAGE, PAGE);
    ck_assert_int_ge(huge_kib(before), (long) (HUGE >> 10));
    stop();
}
END_TEST

/* It has the name of a file, but nobody can open that, and cut it. */
START_TEST(anonymous_memory_of_huge_pages_is_watched)
{
    char *memory = make_hugetlb();

    if (memory == MAP_FAILED) {
        printf("LEFT OUT: no memory of the kind \"hugetlb\" here: %s\n", strerror(errno));
        return;
    }
    start();
    watch_it(&watched[0], memory, 2 * HUGE);
    ck_assert(hits(&watched[0]));
    munmap(memory, HUGE);
    ck_assert(!hits(&watched[0]));
    stop();
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    Suite *suite = suite_create("userfaultfd_faults");
    TCase *tests = tcase_create("faults");

    tcase_set_timeout(tests, 240); /* A hang, not a busy machine. */
    tcase_add_loop_test(tests, page_faults_of_watched_memory_are_as_ever, 0, KINDS);
    tcase_add_test(tests, watched_memory_still_gets_huge_pages);
    tcase_add_test(tests, anonymous_memory_of_huge_pages_is_watched);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
