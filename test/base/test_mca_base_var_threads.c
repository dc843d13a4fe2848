/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: two threads read, in the storage and by name, what a third one
 * sets. Each value has a pattern that one which is torn between two of them
 * does not have; the checker itself is shown such values. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "framework/base/mca_base_var.h"

enum { SETS = 120000, STRINGS = 4 };

static int number;
static size_t size;
static char *text;

/* ---- Values with a pattern ---------------------------------------------------------------------------- */

/* Both halves say the same. */
static int make_number(unsigned i)
{
    unsigned half = i & 0x7fff;
    return (int) (half << 16 | half);
}

static bool number_is_whole(int value)
{
    return value >= 0 && ((unsigned) value >> 16) == ((unsigned) value & 0xffff);
}

static size_t make_size(unsigned i)
{
    size_t half = i * 2654435761u;
    return half << 32 | half;
}

static bool size_is_whole(size_t value)
{
    return value >> 32 == (value & 0xffffffff);
}

/* One letter, as often as its place in the alphabet says. */
static const char *const strings[STRINGS] = { "a", "eeeee", "jjjjjjjjjj", "zzzzzzzzzzzzzzzzzzzzzzzzzz" };

static bool string_is_whole(const char *value)
{
    size_t length = value != NULL ? strlen(value) : 0;
    return length > 0 && value[0] == (char) ('a' + length - 1)
           && strspn(value, (char[]){ value[0], '\0' }) == length;
}

START_TEST(checker_sees_torn_values)
{
    for (unsigned i = 1; i < 1000; i++) {
        ck_assert(number_is_whole(make_number(i)));
        ck_assert(size_is_whole(make_size(i)));
        ck_assert(!number_is_whole((make_number(i) & 0xffff) | (int) (make_number(i + 1) & 0x7fff0000)));
        ck_assert(!size_is_whole((make_size(i) & 0xffffffff) | (make_size(i + 1) & ~(size_t) 0xffffffff)));
    }
    for (int i = 0; i < STRINGS; i++) {
        ck_assert(string_is_whole(strings[i]));
    }
    ck_assert(!string_is_whole("") && !string_is_whole(NULL) && !string_is_whole("eeee"));
    ck_assert(!string_is_whole("eeeez") && !string_is_whole("ajjjjjjjjj"));
}
END_TEST

/* ---- Threads -------------------------------------------------------------------------------------------- */

static atomic_bool done;
static atomic_uint torn, failed;
static atomic_uint reads;

static void look_in_storage(void)
{
    torn += !number_is_whole(mca_base_var_load(number));
    torn += !size_is_whole(mca_base_var_load(size));
    torn += !string_is_whole(mca_base_var_load(text));
}

static void look_by_name(void)
{
    int got_number = -1;
    size_t got_size = 1;
    const char *got_text = NULL;
    failed += mca_base_var_get_value("fake_number", MCA_BASE_VAR_TYPE_INT, &got_number) != OPAL_SUCCESS;
    failed += mca_base_var_get_value("fake_size", MCA_BASE_VAR_TYPE_SIZE_T, &got_size) != OPAL_SUCCESS;
    failed += mca_base_var_get_value("fake_text", MCA_BASE_VAR_TYPE_STRING, (void *) &got_text) != OPAL_SUCCESS;
    torn += !number_is_whole(got_number) + !size_is_whole(got_size) + !string_is_whole(got_text);
}

static void look_at_listings(void)
{
    mca_base_var_info_t info;
    char *whole = NULL;
    failed += mca_base_var_find_info("fake_text", &info) != OPAL_SUCCESS;
    failed += mca_base_var_get_text("fake_text", &whole) != OPAL_SUCCESS;
    torn += !string_is_whole(info.value) + !string_is_whole(whole);
    free(whole);
}

static void *read_all(void *arg)
{
    bool by_name = *(const bool *) arg;
    do {
        if (by_name) {
            look_by_name();
            look_at_listings();
        } else {
            look_in_storage();
        }
        reads++;
    } while (!atomic_load(&done));
    return NULL;
}

static void *set_all(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < SETS; i++) {
        int new_number = make_number(i);
        size_t new_size = make_size(i);
        failed += mca_base_var_set_value("fake_number", MCA_BASE_VAR_TYPE_INT, &new_number) != OPAL_SUCCESS;
        failed += mca_base_var_set_value("fake_size", MCA_BASE_VAR_TYPE_SIZE_T, &new_size) != OPAL_SUCCESS;
        failed += mca_base_var_set("fake_text", strings[i % STRINGS]) != OPAL_SUCCESS;
    }
    atomic_store(&done, true);
    return NULL;
}

static int register_one(const char *name, mca_base_var_type_t type, void *storage)
{
    return mca_base_var_register(&(mca_base_var_def_t){
        .framework = "fake",
        .name = name,
        .type = type,
        .info_level = 1,
        .scope = MCA_BASE_VAR_SCOPE_LOCAL,
        .flags = MCA_BASE_VAR_FLAG_SETTABLE,
        .storage = storage,
    });
}

static void register_all(void)
{
    static char first[] = "a";
    text = first;
    ck_assert_int_eq(register_one("number", MCA_BASE_VAR_TYPE_INT, &number), OPAL_SUCCESS);
    ck_assert_int_eq(register_one("size", MCA_BASE_VAR_TYPE_SIZE_T, &size), OPAL_SUCCESS);
    ck_assert_int_eq(register_one("text", MCA_BASE_VAR_TYPE_STRING, &text), OPAL_SUCCESS);
}

START_TEST(readers_see_values_that_were_set)
{
    static const bool by_name[] = { false, true };
    pthread_t readers[2], writer;
    register_all();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_all, (void *) (uintptr_t) &by_name[i]), 0);
    }
    ck_assert_int_eq(pthread_create(&writer, NULL, set_all, NULL), 0);
    pthread_join(writer, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    ck_assert_uint_eq(atomic_load(&failed), 0);
    ck_assert_uint_eq(atomic_load(&torn), 0);
    ck_assert_uint_ge(atomic_load(&reads), 2);
    ck_assert_int_eq(number, make_number(SETS - 1));
    ck_assert_str_eq(text, strings[(SETS - 1) % STRINGS]);
}
END_TEST

/* ---- Coming and going ------------------------------------------------------------------------------------ */

static void *come_and_go(void *arg)
{
    static int storage[2];
    int thread = *(const int *) arg;
    char name[16];
    snprintf(name, sizeof name, "own%d", thread);
    char full_name[32];
    snprintf(full_name, sizeof full_name, "fake_%s", name);
    for (int i = 0; i < 2000; i++) {
        failed += register_one(name, MCA_BASE_VAR_TYPE_INT, &storage[thread]) != OPAL_SUCCESS;
        failed += mca_base_var_register_synonym(full_name, name, 0) != OPAL_SUCCESS;
        failed += mca_base_var_set(name, "5") != OPAL_SUCCESS;
        failed += mca_base_var_load(storage[thread]) != 5;
        failed += mca_base_var_deregister(full_name) != OPAL_SUCCESS;
    }
    return NULL;
}

START_TEST(threads_may_register_and_deregister_at_once)
{
    static const int numbers[] = { 0, 1 };
    pthread_t threads[2];
    register_all();
    mca_base_var_open();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, (void *) (uintptr_t) &numbers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(atomic_load(&failed), 0);
    ck_assert_uint_eq(mca_base_var_count(), 3);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, checker_sees_torn_values);
    tcase_add_test(tests, readers_see_values_that_were_set);
    tcase_add_test(tests, threads_may_register_and_deregister_at_once);
}

int main(void)
{
    return run_tests("mca_base_var_threads", add);
}
