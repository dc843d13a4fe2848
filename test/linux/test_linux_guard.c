/* SPDX-License-Identifier: BSD-3-Clause */
/* Another library replaces our jumps, as Open MPI's memory/patcher and UCX do: from then on no cache keeps anything.
 * Here the code of munmap is put back as it was, so that it goes past us. */
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/mca/rcache/rcache.h"
#include "opal/opalmem.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define SIZE (16 * PAGE)
#define CODE 16 /* Bytes of munmap in which its site lies. */

static unsigned char *code; /* Of libc's munmap. */
static unsigned char original[CODE], ours[CODE];
static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static char *memory;
static int warnings;

static void count_warnings(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) message, (void) arg;
    warnings += level == MCA_BASE_LOG_WARN;
}

static bool is_linux(void)
{
    return strcmp(opal_memory->memoryc_version.mca_component_name, "linux") == 0;
}

static void start(void)
{
    mca_rcache_base_resources_t resources = { 0 };

    code = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "munmap");
    memcpy(original, code, CODE);
    mca_base_set_log(count_warnings, NULL);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert(is_linux());
    memcpy(ours, code, CODE);
    ck_assert_int_ne(memcmp(ours, original, CODE), 0);
    ck_assert_int_eq(mca_rcache_provider_open("none", &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(memory != MAP_FAILED);
}

static void finish(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

static void *page_of(void *address)
{
    return (void *) ((uintptr_t) address & ~(PAGE - 1));
}

static size_t code_pages(void)
{
    return (size_t) (code + CODE - (unsigned char *) page_of(code));
}

static void open_code(void)
{
    ck_assert_int_eq(mprotect(page_of(code), code_pages(), PROT_READ | PROT_WRITE | PROT_EXEC), 0);
}

static void close_code(void)
{
    ck_assert_int_eq(mprotect(page_of(code), code_pages(), PROT_READ | PROT_EXEC), 0);
}

static void replace_code(const unsigned char *with)
{
    open_code();
    memcpy(code, with, CODE);
    close_code();
}

static bool holds(void)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->rcache_find(cache, memory, SIZE, &reg) != OPAL_SUCCESS || reg == NULL) {
        return false;
    }
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    return true;
}

/* Register, give back. @return Is it kept? */
static bool keeps(void)
{
    mca_rcache_base_registration_t *reg;

    ck_assert_int_eq(cache->rcache_register(cache, memory, SIZE, 0, MCA_RCACHE_ACCESS_ANY, &reg), OPAL_SUCCESS);
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    return holds();
}

/* Other pages at the same address. */
static void change_pages(void)
{
    ck_assert_int_eq(munmap(memory, SIZE), 0);
    ck_assert_ptr_eq((void *) syscall(SYS_mmap, memory, SIZE, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     memory);
}

START_TEST(nothing_is_kept_once_a_site_is_taken)
{
    start();
    ck_assert(keeps());
    replace_code(original);
    change_pages();
    ck_assert(!holds());
    ck_assert(!keeps());
    ck_assert(!keeps());
    ck_assert_int_eq(warnings, 1);
    finish();
}
END_TEST

/* The twin: nobody looks at mprotect, and a registration of pages that are gone is found. */
START_TEST(without_the_guard_a_stale_registration_is_found)
{
    setenv("OPALMEM_MCA_memory_linux_disable_sites", "mprotect", 1);
    start();
    ck_assert(keeps());
    replace_code(original);
    change_pages();
    ck_assert(holds());
    finish();
}
END_TEST

START_TEST(nothing_is_kept_while_code_is_writable)
{
    start();
    ck_assert(keeps());
    open_code();
    ck_assert(!holds());
    ck_assert(!keeps());
    close_code();
    ck_assert(keeps());
    ck_assert_int_eq(warnings, 0);
    finish();
}
END_TEST

START_TEST(jumps_that_are_put_back_count_again)
{
    start();
    replace_code(original);
    ck_assert(!keeps());
    replace_code(ours);
    ck_assert(keeps());
    change_pages();
    ck_assert(!holds());
    finish();
}
END_TEST

START_TEST(writer_past_libc_is_found_out_at_the_next_registration)
{
    char *first;

    start();
    ck_assert(keeps());
    ck_assert_int_eq(syscall(SYS_mprotect, page_of(code), code_pages(), PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    memcpy(code, original, CODE);
    first = memory;
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(!keeps());
    memory = first;
    ck_assert(!holds());
    ck_assert_int_eq(warnings, 1);
    finish();
}
END_TEST

START_TEST(protection_of_other_memory_changes_nothing)
{
    start();
    ck_assert(keeps());
    ck_assert_int_eq(mprotect(memory, SIZE, PROT_READ), 0);
    ck_assert_int_eq(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
    ck_assert_int_eq(mprotect((char *) page_of(code) + 1, PAGE, PROT_READ | PROT_WRITE), -1); /* EINVAL */
    ck_assert(keeps());
    ck_assert_int_eq(warnings, 0);
    finish();
}
END_TEST

/* What the other one has put there stays, and what he puts back then is ours no more: both just make the call. */
START_TEST(taken_sites_survive_the_end)
{
    start();
    replace_code(original);
    finish();
    ck_assert_int_eq(memcmp(code, original, CODE), 0);
    replace_code(ours);
    change_pages();
    ck_assert_int_eq(munmap(memory, SIZE), 0);
}
END_TEST

static bool can_run(void)
{
    bool is_ours;

    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return false;
    }
    is_ours = is_linux();
    opalmem_finalize();
    return is_ours;
}

int main(void)
{
    Suite *suite = suite_create("linux_guard");
    TCase *tcase = tcase_create("guard");

    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    if (!can_run()) {
        return test_skip("the component linux does not run here (see opalmem-info)");
    }
    tcase_add_test(tcase, nothing_is_kept_once_a_site_is_taken);
    tcase_add_test(tcase, without_the_guard_a_stale_registration_is_found);
    tcase_add_test(tcase, nothing_is_kept_while_code_is_writable);
    tcase_add_test(tcase, jumps_that_are_put_back_count_again);
    tcase_add_test(tcase, writer_past_libc_is_found_out_at_the_next_registration);
    tcase_add_test(tcase, protection_of_other_memory_changes_nothing);
    tcase_add_test(tcase, taken_sites_survive_the_end);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
