/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel is asked at the first enable: this machine's answers, and what is taken where it gives none. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define K ((uintptr_t) 4096)
#define MIB2 ((size_t) 2 << 20)

START_TEST(facts_of_this_machine_are_sane)
{
    int here;

    memset(&linux_facts, 0, sizeof(linux_facts));
    linux_facts_read();
    ck_assert_uint_eq(linux_facts.page, (uintptr_t) sysconf(_SC_PAGESIZE));
    ck_assert_uint_gt(linux_facts.address_end, (uintptr_t) &here);
    ck_assert_uint_eq(linux_facts.address_end % K, 0);
    ck_assert(linux_facts.huge_page >= 65536 && (linux_facts.huge_page & (linux_facts.huge_page - 1)) == 0);
    if (emulator_can("where the heap starts")) {
        ck_assert_uint_ne(linux_facts.heap_start, 0);
    }
}
END_TEST

#ifdef SYS_arch_prctl /* x86-64; other processors have a test of their own. */
static long no_file(const long args[6])
{
    (void) args;
    return -ENOENT;
}

static long no_room(const long args[6])
{
    (void) args;
    return -ENOMEM;
}

START_TEST(facts_that_cannot_be_read_have_usual_values)
{
    memset(&linux_facts, 0, sizeof(linux_facts));
    fake_sys_set(SYS_openat, no_file);
    fake_sys_set(SYS_arch_prctl, no_file);
    fake_sys_set(SYS_mmap, no_room); /* Above 47 bits. */
    linux_facts_read();
    ck_assert_uint_eq(linux_facts.address_end, ((uintptr_t) 1 << 47) - K);
    ck_assert_uint_eq(linux_facts.huge_page, MIB2);
    ck_assert_uint_eq(linux_facts.heap_start, 0);
    ck_assert_uint_eq(linux_facts.tag_bits, 0);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("linux_kernel");
    TCase *tcase = tcase_create("kernel");

    tcase_add_test(tcase, facts_of_this_machine_are_sane);
#ifdef SYS_arch_prctl
    tcase_add_test(tcase, facts_that_cannot_be_read_have_usual_values);
#endif
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
