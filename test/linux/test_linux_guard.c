/* SPDX-License-Identifier: BSD-3-Clause */
/* Other libraries replace our jumps, as Open MPI's memory/patcher and UCX do. Some make their calls by syscall(2), which
 * reaches us: caches go on. Some make them past us: nothing is kept any more. Some put back what they found before us:
 * the sites are replaced again. */
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/mca/rcache/rcache.h"
#include "opal/opalmem.h"
#include "test/linux/own_bytes.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define SIZE (16 * PAGE)
#define CODE 16 /* Bytes of munmap in which its site lies. */

static unsigned char *code; /* Of libc's munmap. */
static unsigned char original[CODE], ours[CODE], deaf[CODE], hooked[CODE];
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

/* The same call by code that is no site. */
static void make_deaf(void)
{
    uint8_t *site;

    memcpy(deaf, original, CODE);
    site = own_find(deaf, CODE, SYS_munmap);
    ck_assert_ptr_nonnull(site);
    own_hide(site, SYS_munmap);
}

static int hook_calls;

static int hook_by_syscall(void *address, size_t length)
{
    hook_calls++;
    return (int) syscall(SYS_munmap, address, length);
}

/* Makes its system call itself, so that it looks like no site. */
static int hook_by_itself(void *address, size_t length)
{
    hook_calls++;
    return own_hidden_munmap(address, length) == 0 ? 0 : -1;
}

static void make_hooked(int (*hook)(void *, size_t))
{
    const void *address;

    memcpy(&address, &hook, sizeof(address));
    memcpy(hooked, original, CODE);
    own_write_jump(hooked, address);
}

static void start(void)
{
    mca_rcache_base_resources_t resources = { 0 };

    code = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "munmap");
    memcpy(original, code, CODE);
    make_deaf();
    make_hooked(hook_by_syscall);
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

/* Other pages at the same address. The mmap takes nothing away, and is no release. */
static void change_pages(void)
{
    ck_assert_int_eq(munmap(memory, SIZE), 0);
    ck_assert_ptr_eq(
        mmap(memory, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
        memory);
}

/* A registration goes with its pages, without another one in between. */
static void must_notice(void)
{
    change_pages();
    ck_assert(!holds());
}

/* Has somebody's code become ours again? */
static bool is_ours(void)
{
    return memcmp(code, ours, CODE) == 0;
}

/* ---- Past us ----------------------------------------------------------------------------------- */

START_TEST(nothing_is_kept_once_calls_go_past_us)
{
    start();
    ck_assert(keeps());
    replace_code(deaf);
    ck_assert(!holds());
    ck_assert(!keeps());
    ck_assert(!keeps());
    ck_assert_int_eq(warnings, 1);
    ck_assert_int_eq(memcmp(code, deaf, CODE), 0);
    finish();
}
END_TEST

/* The twin: nobody looks at mprotect, and a registration of pages that are gone is found. */
START_TEST(without_the_guard_a_stale_registration_is_found)
{
    setenv("OPALMEM_MCA_memory_linux_disable_sites", "mprotect", 1);
    start();
    ck_assert(keeps());
    replace_code(deaf);
    change_pages();
    ck_assert(holds());
    finish();
}
END_TEST

START_TEST(calls_that_come_back_count_again_and_go_with_a_new_warning)
{
    start();
    for (int i = 1; i <= 3; i++) {
        replace_code(deaf);
        ck_assert(!keeps());
        ck_assert(!keeps());
        ck_assert_int_eq(warnings, i);
        replace_code(i % 2 == 0 ? ours : original);
        ck_assert(keeps());
        must_notice();
    }
    ck_assert_int_eq(warnings, 3);
    finish();
}
END_TEST

START_TEST(hook_that_makes_its_calls_itself_is_past_us)
{
    start();
    ck_assert(keeps());
    make_hooked(hook_by_itself);
    replace_code(hooked);
    ck_assert(!holds());
    ck_assert(!keeps());
    ck_assert_int_eq(warnings, 1);
    change_pages();
    ck_assert_int_ge(hook_calls, 2); /* The self-test went through it, too. */
    finish();
}
END_TEST

/* ---- Through syscall(2) ------------------------------------------------------------------------- */

START_TEST(hook_that_calls_syscall_reaches_us)
{
    start();
    ck_assert(keeps());
    replace_code(hooked);
    for (int i = 0; i < 3; i++) {
        ck_assert(keeps());
        hook_calls = 0;
        must_notice();
        ck_assert_int_eq(hook_calls, 1);
    }
    ck_assert_int_eq(warnings, 0);
    ck_assert_int_eq(memcmp(code, hooked, CODE), 0); /* His code is left alone. */
    finish();
    ck_assert_int_eq(memcmp(code, hooked, CODE), 0);
}
END_TEST

/* The twin: syscall(2) is not ours. */
START_TEST(hook_that_calls_syscall_is_past_us_where_that_is_left_alone)
{
    setenv("OPALMEM_MCA_memory_linux_disable_sites", "syscall", 1);
    start();
    ck_assert(keeps());
    replace_code(hooked);
    ck_assert(!keeps());
    ck_assert_int_eq(warnings, 1);
    finish();
}
END_TEST

extern void *__curbrk; /* NOLINT: libc's. */

static int hook_brk(void *address)
{
    __curbrk = (void *) syscall(SYS_brk, address);
    return __curbrk < address ? -1 : 0;
}

/* brk is not called for a test; it is judged by the hook of munmap, if the same library has that. */
START_TEST(hook_of_brk_is_judged_by_that_of_munmap)
{
    unsigned char *const munmap_code = code;
    int (*const hook)(void *) = hook_brk;
    const void *address;

    memcpy(&address, &hook, sizeof(address));
    start();
    if (_i == 0) {
        replace_code(hooked);
    }
    code = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "brk");
    memcpy(hooked, code, CODE);
    own_write_jump(hooked, address);
    replace_code(hooked);
    code = munmap_code;
    ck_assert_int_eq(keeps(), _i == 0);
    ck_assert_int_eq(warnings, _i);
    finish();
}
END_TEST

/* ---- What is put back ---------------------------------------------------------------------------- */

START_TEST(bare_site_is_replaced_at_once)
{
    start();
    replace_code(_i == 0 ? deaf : hooked);
    replace_code(original);
    ck_assert(is_ours());
    ck_assert(keeps());
    replace_code(original);
    ck_assert(is_ours());
    must_notice();
    ck_assert_int_eq(warnings, 0);
    finish();
    ck_assert_int_eq(memcmp(code, original, CODE), 0);
}
END_TEST

/* Callbacks hear the very next call: no registration is needed in between. */
static int heard;

static void hear(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) length, (void) cbdata, (void) from_alloc;
    heard += buf == memory;
}

START_TEST(callback_hears_the_next_call_after_a_bare_site)
{
    start();
    ck_assert_int_eq(opal_mem_hooks_register_release(hear, NULL), OPAL_SUCCESS);
    replace_code(original);
    ck_assert_int_eq(munmap(memory, SIZE), 0);
    ck_assert_int_eq(heard, 1);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(hear), OPAL_SUCCESS);
    finish();
}
END_TEST

START_TEST(twin_without_mprotect_the_bare_site_stays)
{
    setenv("OPALMEM_MCA_memory_linux_disable_sites", "mprotect", 1);
    start();
    ck_assert_int_eq(opal_mem_hooks_register_release(hear, NULL), OPAL_SUCCESS);
    replace_code(original);
    ck_assert(!is_ours());
    ck_assert_int_eq(munmap(memory, SIZE), 0);
    ck_assert_int_eq(heard, 0);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(hear), OPAL_SUCCESS);
    finish();
}
END_TEST

/* ---- Without mprotect ----------------------------------------------------------------------------- */

/* As a debugger does it. */
static bool write_past_protection(void *at, const void *bytes, size_t size)
{
    const int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    const bool is_done = fd >= 0 && pwrite(fd, bytes, size, (off_t) (uintptr_t) at) == (ssize_t) size;

    if (fd >= 0) {
        close(fd);
    }
    return is_done;
}

/* Each of four registrations looks at a quarter of the code. */
static bool keep_four_elsewhere(void)
{
    char *first = memory;
    bool are_kept = true;

    for (int i = 0; i < 4; i++) {
        memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        are_kept &= keeps();
    }
    memory = first;
    return are_kept;
}

START_TEST(bare_site_that_was_written_unseen_is_replaced_within_four_registrations)
{
    start();
    ck_assert(write_past_protection(code, original, CODE));
    ck_assert(keep_four_elsewhere());
    ck_assert(keeps());
    ck_assert(is_ours());
    must_notice();
    ck_assert_int_eq(warnings, 0);
    finish();
}
END_TEST

START_TEST(twin_before_these_registrations_it_is_bare)
{
    if (!emulator_can("code that changes although its page is protected")) {
        return;
    }
    start();
    ck_assert(keeps());
    ck_assert(write_past_protection(code, original, CODE));
    change_pages();
    ck_assert(holds());
    finish();
}
END_TEST

START_TEST(deaf_code_that_was_written_unseen_is_found_out_within_four_registrations)
{
    start();
    ck_assert(keeps());
    ck_assert(write_past_protection(code, deaf, CODE));
    ck_assert(!keep_four_elsewhere());
    ck_assert(!holds()); /* What was kept before is dropped as well. */
    ck_assert_int_eq(warnings, 1);
    finish();
}
END_TEST

/* ---- While it is writable ------------------------------------------------------------------------- */

START_TEST(nothing_is_kept_while_code_is_writable)
{
    start();
    ck_assert(keeps());
    if (_i == 0) {
        open_code();
    } else {
        ck_assert_int_eq(syscall(SYS_mprotect, page_of(code), code_pages(), PROT_READ | PROT_WRITE | PROT_EXEC),
                         0);
    }
    ck_assert(!holds());
    ck_assert(!keeps());
    close_code();
    ck_assert(keeps());
    ck_assert_int_eq(warnings, 0);
    finish();
}
END_TEST

START_TEST(protection_of_other_memory_changes_nothing)
{
    start();
    ck_assert(keeps());
    ck_assert_int_eq(mprotect(memory, SIZE, PROT_READ), 0);
    ck_assert_int_eq(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
    ck_assert(holds());
    ck_assert_int_eq(mprotect((char *) page_of(code) + 1, PAGE, PROT_READ | PROT_WRITE), -1); /* EINVAL */
    ck_assert(keeps());
    ck_assert_int_eq(warnings, 0);
    finish();
}
END_TEST

/* ---- At the end ------------------------------------------------------------------------------------ */

/* What the other one has put there stays, and what he puts back then is ours no more: both just make the call. */
START_TEST(taken_sites_survive_the_end)
{
    start();
    replace_code(deaf);
    finish();
    ck_assert_int_eq(memcmp(code, deaf, CODE), 0);
    change_pages();
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

static void add_unseen_tests(TCase *tcase)
{
    static const char constant[] = "x";

    if (!write_past_protection((void *) (uintptr_t) constant, "x", 1)) {
        test_skip("writing past mprotect: /proc/self/mem does not let this process do it");
        return;
    }
    tcase_add_test(tcase, bare_site_that_was_written_unseen_is_replaced_within_four_registrations);
    tcase_add_test(tcase, twin_before_these_registrations_it_is_bare);
    tcase_add_test(tcase, deaf_code_that_was_written_unseen_is_found_out_within_four_registrations);
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_guard");
    TCase *tcase = tcase_create("guard");

    if (!can_run()) {
        return test_skip("the component linux does not run here (see opalmem-info)");
    }
    tcase_add_test(tcase, nothing_is_kept_once_calls_go_past_us);
    tcase_add_test(tcase, without_the_guard_a_stale_registration_is_found);
    tcase_add_test(tcase, calls_that_come_back_count_again_and_go_with_a_new_warning);
    tcase_add_test(tcase, hook_that_makes_its_calls_itself_is_past_us);
    tcase_add_test(tcase, hook_that_calls_syscall_reaches_us);
    tcase_add_test(tcase, hook_that_calls_syscall_is_past_us_where_that_is_left_alone);
    tcase_add_loop_test(tcase, hook_of_brk_is_judged_by_that_of_munmap, 0, 2);
    tcase_add_loop_test(tcase, bare_site_is_replaced_at_once, 0, 2);
    tcase_add_test(tcase, callback_hears_the_next_call_after_a_bare_site);
    tcase_add_test(tcase, twin_without_mprotect_the_bare_site_stays);
    add_unseen_tests(tcase);
    tcase_add_loop_test(tcase, nothing_is_kept_while_code_is_writable, 0, 2);
    tcase_add_test(tcase, protection_of_other_memory_changes_nothing);
    tcase_add_test(tcase, taken_sites_survive_the_end);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
