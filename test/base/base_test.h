/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the MCA base share: a log that can be read, settings, a
 * framework "fake", and a folder for component DSOs. Each test runs in a
 * process of its own (Check's fork mode), so nothing is undone but at the end
 * of a test that counts what is left. */
#ifndef TEST_BASE_BASE_TEST_H
#define TEST_BASE_BASE_TEST_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "framework/base/base_internal.h"

/* Sanitizers count the heap by themselves, and catch signals. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* ---- Log ---------------------------------------------------------------------------------------- */

/** Start to collect messages, and forget those collected before. */
void log_start(void);

/** Number of messages of a level since log_start(). */
unsigned log_count(mca_base_log_level_t level);

/** The last message of a level, "" if there is none. */
const char *log_last(mca_base_log_level_t level);

/** Fail unless the last message of the level holds text. */
void log_expect(mca_base_log_level_t level, const char *text);

/* ---- Settings ----------------------------------------------------------------------------------- */

/** Give the base a command line, by pieces; ends with NULL. @return As mca_base_cmd_line_take(). */
int take_arguments(const char *first, ...);

/* ---- The framework "fake" ------------------------------------------------------------------------ */

/** Version 3.1, without static components; a test may set others before it opens the framework. */
extern mca_base_framework_t fake_framework;

/** A component for fake_framework. */
#define FAKE_COMPONENT(NAME, ...)                                                        \
    {                                                                                    \
        MCA_BASE_VERSION_2_0_0, "fake", 3, 1, 0, .mca_component_name = NAME, __VA_ARGS__ \
    }

/** The item of a component; fails if there is none. */
mca_base_component_item_t *fake_item(const char *name);

/* ---- Folders of DSOs ------------------------------------------------------------------------------ */

/** Make an empty folder, owned by us and mode 0700. @return Its path, until the process ends. */
const char *make_folder(void);

/** Copy at most limit bytes of a module of this test suite ("good") into folder, as mca_fake_<as>.so. */
void install_module(const char *folder, const char *module, const char *as, size_t limit);

/** Remove a folder and what is in it. */
void remove_folder(const char *folder);

/** Set OPALMEM_MCA_mca_base_component_path. */
void use_folder(const char *folder);

/* ---- Counting what is left ------------------------------------------------------------------------ */

typedef struct growth_t {
    long blocks; /* Of the heap; 0 unless heap_is_counted(). */
    long descriptors;
    long mappings; /* Of files. */
} growth_t;

/** False under a sanitizer and under valgrind, which replace malloc and look for leaks by themselves. */
bool heap_is_counted(void);

/** What 100 rounds leave behind, after some to warm up. */
growth_t measure_growth(void (*round)(void));

/** Fail if rounds leave anything behind. */
void expect_no_growth(void (*round)(void));

/** Run a round again and again, and let the first, the second ... allocation in it fail, until none is left
 * to fail. Nothing may be left behind by any of them.
 * @param[in] round  Undoes what it has done. Without assertions: those allocate.
 * @param[in] most   Fails if the round allocates more often than this.
 */
void fail_each_allocation(void (*round)(void), long most);

/** Run the suite with its one test case. @return For main(). */
int run_tests(const char *name, void (*add)(TCase *tests));

#endif
