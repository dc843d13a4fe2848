/* SPDX-License-Identifier: BSD-3-Clause */
/* The limit of the memory cgroup, read from trees that look like the kernel's: version 2, version 1, both, in a container. */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rcache/base/rcache_limits.h"
#include "test/test_main.h"

static char tree[sizeof("/tmp/opalmem-cgroup-XXXXXX")]; /* The folder. */

static void set_up(void)
{
    snprintf(tree, sizeof(tree), "/tmp/opalmem-cgroup-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(tree));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void) status, (void) kind, (void) where;
    return remove(path);
}

static void tear_down(void)
{
    ck_assert_int_eq(nftw(tree, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* A file in the tree, and the folders above it. */
static void write_text(const char *name, const char *text)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", tree, name);
    for (char *slash = path + sizeof(tree); (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* "%" in lines of mountinfo stands for the tree. */
static void write_mounts(const char *lines)
{
    char text[PATH_MAX];
    size_t used = 0;

    for (; *lines != '\0'; lines++) {
        used += (size_t) snprintf(text + used, sizeof(text) - used, *lines == '%' ? "%s" : "%.1s",
                                  *lines == '%' ? tree : lines);
    }
    write_text("mountinfo", text);
}

static size_t limit(void)
{
    char membership[PATH_MAX], mountinfo[PATH_MAX];

    snprintf(membership, sizeof(membership), "%s/membership", tree);
    snprintf(mountinfo, sizeof(mountinfo), "%s/mountinfo", tree);
    return mca_rcache_limits_cgroup(membership, mountinfo);
}

/* ---- Version 2 ---------------------------------------------------------------------------------------- */

static void use_v2(void)
{
    write_text("membership", "0::/outer/inner\n");
    write_mounts("25 1 0:22 / /proc rw - proc proc rw\n"
                 "31 25 0:28 / %/v2 rw,relatime shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static size_t v2_limit(const char *outer, const char *inner)
{
    write_text("v2/outer/memory.max", outer);
    write_text("v2/outer/inner/memory.max", inner);
    return limit();
}

START_TEST(least_memory_max_on_the_way_to_the_root_counts)
{
    use_v2();
    ck_assert_uint_eq(v2_limit("max\n", "max\n"), 0);
    ck_assert_uint_eq(v2_limit("1048576\n", "max\n"), 1048576);
    ck_assert_uint_eq(v2_limit("1048576\n", "8192\n"), 8192);
    ck_assert_uint_eq(v2_limit("4096\n", "8192\n"), 4096);
    ck_assert_uint_eq(v2_limit("max\n", "0\n"), 1);
}
END_TEST

/* ---- Version 1 ---------------------------------------------------------------------------------------- */

#define UNLIMITED "9223372036854771712\n"

static void use_v1(const char *membership)
{
    write_text("membership", membership);
    write_mounts("31 23 0:28 / % rw,relatime - tmpfs tmpfs rw,mode=755\n"
                 "32 31 0:29 / %/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
                 "35 31 0:32 / %/memory rw,relatime - cgroup cgroup rw,memory\n"
                 "40 31 0:37 / %/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
                 "41 31 0:38 / %/unified rw,relatime - cgroup2 cgroup2 rw\n");
    write_text("memory/memory.limit_in_bytes", UNLIMITED);
    write_text("memory/outer/memory.use_hierarchy", "1\n");
}

static size_t v1_limit(const char *outer, const char *inner)
{
    write_text("memory/outer/memory.limit_in_bytes", outer);
    write_text("memory/outer/inner/memory.limit_in_bytes", inner);
    return limit();
}

static const char v1_membership[] = "9:name=systemd:/elsewhere\n4:memory:/outer/inner\n1:cpu,cpuacct:/\n0::/\n";

START_TEST(least_limit_in_bytes_on_the_way_to_the_root_counts)
{
    use_v1(v1_membership);
    ck_assert_uint_eq(v1_limit(UNLIMITED, UNLIMITED), 0);
    ck_assert_uint_eq(v1_limit("9223372036854710272\n", UNLIMITED), 0); /* In pages of 64 KiB. */
    ck_assert_uint_eq(v1_limit("1048576\n", UNLIMITED), 1048576);
    ck_assert_uint_eq(v1_limit("1048576\n", "8192\n"), 8192);
    ck_assert_uint_eq(v1_limit("4096\n", "8192\n"), 4096);
    ck_assert_uint_eq(v1_limit(UNLIMITED, "0\n"), 1);
}
END_TEST

/* The twin: the same limits, of another controller's hierarchy. */
START_TEST(limit_of_a_hierarchy_without_the_memory_controller_does_not_count)
{
    use_v1("9:cpu,cpuacct:/outer/inner\n5:memorydevices:/outer/inner\n0::/\n");
    ck_assert_uint_eq(v1_limit("1048576\n", "8192\n"), 0);
}
END_TEST

START_TEST(controllers_that_share_a_hierarchy_are_found_in_their_list)
{
    use_v1("4:cpu,memory,pids:/outer/inner\n");
    ck_assert_uint_eq(v1_limit(UNLIMITED, "8192\n"), 8192);
}
END_TEST

START_TEST(cgroup_that_does_not_bind_those_below_is_not_asked)
{
    use_v1(v1_membership);
    write_text("memory/outer/memory.use_hierarchy", "0\n");
    ck_assert_uint_eq(v1_limit("4096\n", "8192\n"), 8192);
    ck_assert_uint_eq(v1_limit("4096\n", UNLIMITED), 0);
}
END_TEST

START_TEST(process_in_the_root_has_the_roots_limit)
{
    use_v1("4:memory:/\n");
    ck_assert_uint_eq(v1_limit("4096\n", "4096\n"), 0);
    write_text("memory/memory.limit_in_bytes", "16384\n");
    ck_assert_uint_eq(limit(), 16384);
}
END_TEST

START_TEST(both_versions_at_once_count_the_lesser)
{
    use_v1(v1_membership);
    ck_assert_uint_eq(v1_limit(UNLIMITED, "8192\n"), 8192);
    write_text("unified/memory.max", "4096\n");
    ck_assert_uint_eq(limit(), 4096);
}
END_TEST

/* ---- Containers ------------------------------------------------------------------------------------------ */

/* What is mounted there is the process's own cgroup, whose path is the host's. */
START_TEST(part_of_the_tree_that_is_mounted_is_read)
{
    write_text("membership", "4:memory:/docker/a b/job\n");
    write_mounts("35 31 0:32 /docker/a\\040b %/my\\040memory ro - cgroup cgroup rw,memory\n");
    write_text("my memory/memory.limit_in_bytes", "65536\n");
    write_text("my memory/job/memory.limit_in_bytes", UNLIMITED);
    ck_assert_uint_eq(limit(), 65536);
}
END_TEST

START_TEST(part_of_the_tree_that_is_another_ones_is_not_read)
{
    write_text("membership", "4:memory:/docker/another\n");
    write_mounts("35 31 0:32 /docker/an %/memory ro - cgroup cgroup rw,memory\n");
    write_text("memory/memory.limit_in_bytes", "65536\n");
    write_text("memoryother/memory.limit_in_bytes", "65536\n");
    ck_assert_uint_eq(limit(), 0);
}
END_TEST

/* ---- Files ------------------------------------------------------------------------------------------------ */

START_TEST(line_behind_many_others_is_found)
{
    char text[64], path[PATH_MAX];
    use_v2();
    ck_assert_uint_eq(v2_limit("max\n", "8192\n"), 8192);
    snprintf(path, sizeof(path), "%s/mountinfo", tree);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%d 1 0:9 / /some/where/%d rw - tmpfs none rw\n", i, i);
        ck_assert_int_ge(fputs(text, file), 0);
    }
    ck_assert_int_gt(fprintf(file, "31 25 0:28 / %s/v2 rw - cgroup2 cgroup2 rw\n", tree), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_uint_eq(limit(), 8192);
}
END_TEST

START_TEST(files_that_are_not_there_or_are_no_such_are_no_limit)
{
    ck_assert_uint_eq(limit(), 0);
    static const char *const bad[] = {
        "", "\n", "31", "31 - ", "a b c - cgroup2", " -  - cgroup cgroup memory", "31 25 0:28 /\n - cgroup2 x rw\n"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_text("membership", i % 2 == 0 ? "0::/\n4:memory:/\n" : "0:\n4\n::\n4:memory:relative\n");
        write_mounts(bad[i]);
        ck_assert_uint_eq(limit(), 0);
    }
}
END_TEST

START_TEST(this_process_has_a_limit_that_is_no_less_than_what_it_uses)
{
    const size_t max = mca_rcache_limits_cgroup("/proc/self/cgroup", "/proc/self/mountinfo");
    ck_assert(max == 0 || max >= (size_t) sysconf(_SC_PAGESIZE));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_limits_cgroup");
    TCase *tests = tcase_create("cgroups");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, least_memory_max_on_the_way_to_the_root_counts);
    tcase_add_test(tests, least_limit_in_bytes_on_the_way_to_the_root_counts);
    tcase_add_test(tests, limit_of_a_hierarchy_without_the_memory_controller_does_not_count);
    tcase_add_test(tests, controllers_that_share_a_hierarchy_are_found_in_their_list);
    tcase_add_test(tests, cgroup_that_does_not_bind_those_below_is_not_asked);
    tcase_add_test(tests, process_in_the_root_has_the_roots_limit);
    tcase_add_test(tests, both_versions_at_once_count_the_lesser);
    tcase_add_test(tests, part_of_the_tree_that_is_mounted_is_read);
    tcase_add_test(tests, part_of_the_tree_that_is_another_ones_is_not_read);
    tcase_add_test(tests, line_behind_many_others_is_found);
    tcase_add_test(tests, files_that_are_not_there_or_are_no_such_are_no_limit);
    tcase_add_test(tests, this_process_has_a_limit_that_is_no_less_than_what_it_uses);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
