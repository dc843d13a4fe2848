/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots of this program and of loaded objects lead to a wrapper while they are
 * taken over, and to libc's function before and after. Built twice: as PIE and
 * not, since pointers to functions are others then. */
#include "components/linux/linux_got.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "components/linux/linux.h"
#include "test/linux/fake_sys.h"
#include "test/linux/probe.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define WRAPPED ((pid_t) -7777)
#define OWN ((pid_t) 4242) /* As in local.mk. */

#ifndef IS_FIXED
#define IS_FIXED false /* Is this the program that is not PIE? */
#endif

static pid_t wrap_getppid(void)
{
    return WRAPPED;
}

static linux_got_symbol_t symbols[] = {
    { .name = "getppid", .wrapper = (linux_function_t) wrap_getppid },
    { .name = "no_such_function", .wrapper = (linux_function_t) wrap_getppid },
};
static linux_got_set_t set = { .symbols = symbols, .count = 2 };
static linux_got_result_t result;

/* Set by code: that makes a program that is not PIE have a jump whose address stands for the function. */
static pid_t (*volatile pointer)(void);

static pid_t real_parent;

static void set_up(void)
{
    linux_facts_read();
    pointer = getppid;
    real_parent = (pid_t) syscall(SYS_getppid);
    ck_assert_uint_eq(linux_got_resolve(&set), 1);
}

static void install(void)
{
    ck_assert_int_eq(linux_got_install(&set, &result), OPAL_SUCCESS);
}

static void uninstall(void)
{
    ck_assert_int_eq(linux_got_remove(&set), OPAL_SUCCESS);
}

START_TEST(real_function_is_in_libc)
{
    ck_assert_str_eq(linux_got_owner(atomic_load(&symbols[0].real)),
                     linux_got_owner(linux_got_lookup("gnu_get_libc_version")));
    ck_assert(!linux_got_is_in_program(atomic_load(&symbols[0].real)));
    ck_assert(linux_got_is_in_program((uintptr_t) &symbols));
    ck_assert_uint_eq(linux_got_lookup("no_such_function"), 0);
}
END_TEST

START_TEST(slot_of_the_program_leads_to_the_wrapper)
{
    ck_assert_int_eq(getppid(), real_parent);
    install();
    ck_assert_int_eq(getppid(), WRAPPED);
    ck_assert_uint_ge(result.held, 1);
    ck_assert_uint_eq(result.refused + result.foreign, 0);
    uninstall();
    ck_assert_int_eq(getppid(), real_parent);
}
END_TEST

START_TEST(twin_without_installation_nothing_is_wrapped)
{
    const probe_t lazy = probe_open("lazy", RTLD_LAZY), now = probe_open("now", RTLD_NOW);

    ck_assert_int_eq(getppid(), real_parent);
    ck_assert_int_eq(lazy.call(), real_parent);
    ck_assert_int_eq(now.call(), real_parent);
}
END_TEST

static const char *const variants[] = { "lazy", "now" };

START_TEST(slot_that_was_never_called_through_leads_to_the_wrapper)
{
    const probe_t probe = probe_open(variants[_i], RTLD_LAZY);

    install();
    ck_assert_int_eq(probe.call(), WRAPPED);
    ck_assert_int_eq(probe.call(), WRAPPED);
    uninstall();
    ck_assert_int_eq(probe.call(), real_parent);
}
END_TEST

START_TEST(slot_that_was_called_through_leads_to_the_wrapper)
{
    const probe_t probe = probe_open(variants[_i], RTLD_LAZY);

    ck_assert_int_eq(probe.call(), real_parent);
    install();
    ck_assert_int_eq(probe.call(), WRAPPED);
    uninstall();
    ck_assert_int_eq(probe.call(), real_parent);
}
END_TEST

START_TEST(pointer_in_data_is_left_alone)
{
    const probe_t probe = probe_open("now", RTLD_NOW);

    ck_assert(probe.table() == pointer); /* Pointers to one function are equal. */
    install();
    ck_assert(probe.table() == pointer && probe.table() != wrap_getppid);
}
END_TEST

/* What other objects call through the program's jump comes to the wrapper, by the slot that the jump uses. */
START_TEST(jump_of_a_program_that_is_not_pie_is_no_function)
{
    ck_assert(linux_got_is_in_program((uintptr_t) pointer) == IS_FIXED);
    ck_assert(!linux_got_is_in_program(atomic_load(&symbols[0].real)));
    install();
    ck_assert_int_eq(pointer(), IS_FIXED ? WRAPPED : real_parent);
    ck_assert_uint_eq(result.foreign, 0);
}
END_TEST

START_TEST(definition_of_its_own_is_left_alone)
{
    const probe_t probe = probe_open("own", RTLD_NOW | RTLD_DEEPBIND);

    ck_assert_int_eq(probe.call(), OWN);
    install();
    ck_assert_int_eq(probe.call(), OWN);
    ck_assert_uint_eq(result.foreign, 0);
}
END_TEST

START_TEST(slot_that_may_get_the_own_definition_is_left_alone)
{
    const probe_t probe = probe_open("own_lazy", RTLD_LAZY | RTLD_DEEPBIND);

    install();
    ck_assert_int_eq(probe.call(), OWN);
}
END_TEST

typedef struct relro_search_t {
    uintptr_t inside, start;
    bool is_found, is_writable;
} relro_search_t;

static int find_relro(struct dl_phdr_info *info, size_t size, void *arg)
{
    relro_search_t *search = arg;
    bool is_it = false;
    uintptr_t start = 0;

    (void) size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

        is_it |=
            segment->p_type == PT_LOAD && search->inside - info->dlpi_addr - segment->p_vaddr < segment->p_memsz;
        start = segment->p_type == PT_GNU_RELRO ? info->dlpi_addr + segment->p_vaddr : start;
    }
    search->start = is_it ? start : search->start;
    return is_it;
}

static void look_at_mapping(const linux_mapping_t *mapping, void *arg)
{
    relro_search_t *search = arg;

    if (mapping->start <= search->start && search->start < mapping->end) {
        search->is_found = true;
        search->is_writable = (mapping->prot & PROT_WRITE) != 0;
    }
}

static bool is_relro_writable(const probe_t *probe)
{
    relro_search_t search = { .inside = (uintptr_t) probe->call };

    dl_iterate_phdr(find_relro, &search);
    ck_assert(linux_maps_each(look_at_mapping, &search) && search.is_found);
    return search.is_writable;
}

START_TEST(relocated_data_is_read_only_again)
{
    const probe_t probe = probe_open("now", RTLD_NOW);

    ck_assert(!is_relro_writable(&probe));
    install();
    ck_assert_int_eq(probe.call(), WRAPPED);
    ck_assert(!is_relro_writable(&probe));
    uninstall();
    ck_assert(!is_relro_writable(&probe));
}
END_TEST

static long refuse_writing(const long args[6])
{
    return (args[2] & PROT_WRITE) != 0 ? -EACCES : linux_sys_real(SYS_mprotect, args);
}

START_TEST(refused_slot_is_counted_and_stays)
{
    const probe_t probe = probe_open("now", RTLD_NOW);

    fake_sys_set(SYS_mprotect, refuse_writing);
    install();
    ck_assert_uint_ge(result.refused, 1);
    ck_assert_int_eq(probe.call(), real_parent);
    fake_sys_set(SYS_mprotect, NULL);
    install();
    ck_assert_uint_eq(result.refused, 0);
    ck_assert_int_eq(probe.call(), WRAPPED);
}
END_TEST

static pid_t other_function(void)
{
    return OWN;
}

/* Another library's wrapper is in the slot: a set whose function is ours puts it there. */
START_TEST(slot_of_another_wrapper_is_counted_and_stays)
{
    linux_got_symbol_t other_symbol = { .name = "getppid", .wrapper = (linux_function_t) other_function };
    linux_got_set_t other = { .symbols = &other_symbol, .count = 1 };
    const probe_t probe = probe_open("now", RTLD_NOW);

    linux_got_resolve(&other);
    ck_assert_int_eq(linux_got_install(&other, &result), OPAL_SUCCESS);
    ck_assert_int_eq(probe.call(), OWN);
    atomic_store(&other.is_on, false);
    install();
    ck_assert_uint_ge(result.foreign, 1);
    ck_assert_str_eq(result.symbol, "getppid");
    ck_assert_int_eq(probe.call(), OWN);
    uninstall();
    ck_assert_int_eq(probe.call(), OWN);
}
END_TEST

START_TEST(object_loaded_later_is_taken_in_by_refresh)
{
    probe_t probe;

    install();
    ck_assert(!linux_got_is_stale());
    probe = probe_open(variants[_i], RTLD_LAZY);
    ck_assert(linux_got_is_stale());
    ck_assert_int_eq(linux_got_refresh(&result), OPAL_SUCCESS);
    ck_assert(!linux_got_is_stale());
    ck_assert_int_eq(probe.call(), WRAPPED);
}
END_TEST

START_TEST(object_loaded_later_is_taken_in_by_address)
{
    probe_t probe;

    install();
    probe = probe_open(variants[_i], RTLD_LAZY);
    linux_got_loaded((uintptr_t) probe.call);
    ck_assert_int_eq(probe.call(), WRAPPED);
    dlclose(probe.handle);
    uninstall();
    ck_assert_int_eq(getppid(), real_parent);
}
END_TEST

START_TEST(address_of_no_object_does_nothing)
{
    char *page = mmap(NULL, LINUX_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    install();
    linux_got_loaded((uintptr_t) page);
    linux_got_loaded(1);
    linux_got_loaded((uintptr_t) &page);
    linux_got_object((uintptr_t) page, (uintptr_t) page + LINUX_PAGE);
    ck_assert_int_eq(getppid(), WRAPPED);
}
END_TEST

START_TEST(other_namespace_is_left_alone)
{
    probe_t probe;
    char path[4096];

    probe_path(variants[_i], path, sizeof(path));
    probe.handle = dlmopen(LM_ID_NEWLM, path, RTLD_LAZY);
    ck_assert_ptr_nonnull(probe.handle);
    probe_find(&probe);
    install();
    linux_got_loaded((uintptr_t) probe.call);
    ck_assert_int_eq(probe.call(), real_parent);
}
END_TEST

START_TEST(unloaded_object_is_no_matter)
{
    for (int i = 0; i < 20; i++) {
        const probe_t probe = probe_open(variants[i % 2], RTLD_LAZY);

        install();
        ck_assert_int_eq(probe.call(), WRAPPED);
        dlclose(probe.handle);
        uninstall();
        ck_assert_int_eq(getppid(), real_parent);
    }
}
END_TEST

static atomic_bool stop;
static atomic_int faults, calls;

static void *call_on(void *arg)
{
    const probe_t *probe = arg;

    while (!atomic_load(&stop)) {
        const pid_t answer = probe->call();

        atomic_fetch_add(&faults, answer != WRAPPED && answer != real_parent);
        atomic_fetch_add(&calls, 1);
    }
    return NULL;
}

static void *load_and_unload(void *arg)
{
    while (!atomic_load(&stop)) {
        const probe_t probe = probe_open("own", RTLD_NOW);

        atomic_fetch_add(&faults, probe.call() == 0);
        dlclose(probe.handle);
    }
    return arg;
}

START_TEST(cycles_do_not_disturb_callers_and_loaders)
{
    probe_t lazy = probe_open("lazy", RTLD_LAZY), now = probe_open("now", RTLD_NOW);
    pthread_t threads[3];

    pthread_create(&threads[0], NULL, call_on, &lazy);
    pthread_create(&threads[1], NULL, call_on, &now);
    pthread_create(&threads[2], NULL, load_and_unload, NULL);
    for (int i = 0; i < 200; i++) {
        const int before = atomic_load(&calls);

        while (linux_got_install(&set, &result) != OPAL_SUCCESS) {
        }
        while (atomic_load(&calls) < before + 10) {
            usleep(20);
        }
        while (linux_got_remove(&set) != OPAL_SUCCESS) {
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&faults), 0);
    ck_assert_int_eq(lazy.call(), real_parent);
    ck_assert_int_eq(now.call(), real_parent);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_got");
    TCase *tcase = tcase_create("slots");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, real_function_is_in_libc);
    tcase_add_test(tcase, slot_of_the_program_leads_to_the_wrapper);
    tcase_add_test(tcase, twin_without_installation_nothing_is_wrapped);
    tcase_add_loop_test(tcase, slot_that_was_never_called_through_leads_to_the_wrapper, 0, 2);
    tcase_add_loop_test(tcase, slot_that_was_called_through_leads_to_the_wrapper, 0, 2);
    tcase_add_test(tcase, pointer_in_data_is_left_alone);
    tcase_add_test(tcase, jump_of_a_program_that_is_not_pie_is_no_function);
    tcase_add_test(tcase, relocated_data_is_read_only_again);
    tcase_add_test(tcase, refused_slot_is_counted_and_stays);
    tcase_add_test(tcase, slot_of_another_wrapper_is_counted_and_stays);
    tcase_add_loop_test(tcase, object_loaded_later_is_taken_in_by_refresh, 0, 2);
    tcase_add_loop_test(tcase, object_loaded_later_is_taken_in_by_address, 0, 2);
    tcase_add_test(tcase, address_of_no_object_does_nothing);
    if (!TEST_SANITIZED) { /* Sanitizers know neither RTLD_DEEPBIND nor other namespaces. */
        tcase_add_test(tcase, definition_of_its_own_is_left_alone);
        tcase_add_test(tcase, slot_that_may_get_the_own_definition_is_left_alone);
        tcase_add_loop_test(tcase, other_namespace_is_left_alone, 0, 2);
    }
    tcase_add_test(tcase, unloaded_object_is_no_matter);
    tcase_add_test(tcase, cycles_do_not_disturb_callers_and_loaders);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
