/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes on watched pages: tables of them, and the two Check tests that play
 * each one with the component and, as its twin, without. Included by one file
 * of a program, which defines `scenes`, ended by a NULL. */
#ifndef TEST_LINUX_SCENES_H
#define TEST_LINUX_SCENES_H

#include <string.h>

#include "test/linux/valgrind.h"
#include "test/linux/watched.h"
#include "test/test_main.h"

/** One scene. */
typedef struct watched_scene_t {
    const char *name;
    bool (*play)(void); /**< @return Was everything told that was given back? */
} watched_scene_t;

static const watched_scene_t scenes[];

START_TEST(every_release_of_the_scene_is_told)
{
    ck_assert(watched_start("linux"));
    ck_assert_msg(scenes[_i].play(), "%s: a release was not told", scenes[_i].name);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(twin_with_noop_sees_that_nothing_is_told)
{
    ck_assert(watched_start("noop"));
    ck_assert_msg(!scenes[_i].play(), "%s: seen, although nobody watches", scenes[_i].name);
    ck_assert_int_eq(watched_others(), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* What qemu-user cannot do: its children share no memory, do not wipe pages, and posix_spawn does not tell of their
 * errors; it places libraries anywhere, and the list of mappings says of no code that it may be executed. */
static const char *const not_in_an_emulator[] = {
    "raw_child_forked_beside_a_callback_can_do_everything",
    "sharing_child_is_heard",
    "sharing_child_that_is_waited_for_is_heard",
    "spawned_programs_run",
    "data_of_a_loaded_library_is_told",
    "second_libc_loaded_before_is_told",
};

static inline bool can_be_played(const char *name)
{
    for (size_t i = 0; i < sizeof(not_in_an_emulator) / sizeof(not_in_an_emulator[0]); i++) {
        if (strcmp(name, not_in_an_emulator[i]) == 0) {
            return emulator_can(name);
        }
    }
    return true;
}

/** Add both tests for all scenes. */
static inline void add_scenes(TCase *tcase)
{
    for (int i = 0; scenes[i].name != NULL; i++) {
        if (can_be_played(scenes[i].name)) {
            tcase_add_loop_test(tcase, every_release_of_the_scene_is_told, i, i + 1);
            tcase_add_loop_test(tcase, twin_with_noop_sees_that_nothing_is_told, i, i + 1);
        }
    }
}

/** @return 0, or 77 after a reason. */
static inline int scenes_can_run(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
#ifdef WATCHED_THREAD_SANITIZED
    return test_skip("ThreadSanitizer does not stand hooks in threads that are ending, and in raw children");
#else
    return watched_can_run() ? 0 : test_skip("the component linux cannot run here; see the message above");
#endif
}

#endif
