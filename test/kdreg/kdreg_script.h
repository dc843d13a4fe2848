/* SPDX-License-Identifier: BSD-3-Clause */
/* A page that is watched, and a script of what the driver answers: for the scenes
 * of the component "kdreg" that need the fake. */
#ifndef TEST_KDREG_KDREG_SCRIPT_H
#define TEST_KDREG_KDREG_SCRIPT_H

#include <errno.h>

#include "test/kdreg/kdreg_test.h"

static unsigned char *pages;
static opal_memory_watch_t watch;
static int messages;

static inline void count_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level;
    /* Where components are DSOs, there is one of the same name as that of this program. */
    *(int *) arg += strstr(text, "the one that is linked in comes first") == NULL;
}

static inline void set_up(void)
{
    mca_base_set_log(count_message, &messages);
    kdreg_test_start(8, 32);
    pages = kdreg_test_pages(8);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &watch), OPAL_SUCCESS);
    fake_reset_counts();
}

static inline void tear_down(void)
{
    memset(&fake_script, 0, sizeof(fake_script));
    kdreg_test_stop();
    munmap(pages, 8 * PAGE);
}

static inline void let_fail(fake_call_t call, long times, int error)
{
    fake_reset_counts();
    fake_script.call[call].at = 1;
    fake_script.call[call].times = times;
    fake_script.call[call].error = error;
}

static inline int unwatch(void)
{
    return opal_memory_base_unwatch(NULL, 0, &watch);
}

static inline void must_go_on(void)
{
    opal_memory_watch_t other;

    memset(fake_script.call, 0, sizeof(fake_script.call));
    kdreg_test_forget();
    ck_assert_int_eq(kdreg_test_watch(pages + 4 * PAGE, PAGE, &other), OPAL_SUCCESS);
    kdreg_test_munmap(pages + 4 * PAGE, PAGE);
    ck_assert(!opal_memory_watch_holds(&other));
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told(pages + 4 * PAGE, PAGE), 1);
    ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &other), OPAL_SUCCESS);
    ck_assert_int_eq(messages, 0);
}

/* One message; from then on every lookup is told that it must not trust anything. */
static inline void must_be_down(void)
{
    opal_memory_watch_t other;

    memset(fake_script.call, 0, sizeof(fake_script.call));
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(opal_memory_changed());
    ck_assert_int_ge(kdreg_test_told_everything(), 1);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_ERR_NOT_AVAILABLE);
    ck_assert_int_eq(unwatch(), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(messages, 1);
}

/* What a call says of a device that is not there any more. */
static const int lost[] = { -EBADF, -EIO, -ENODEV, -ENOTTY };

static inline int script_main(const char *name, void (*add)(Suite *suite))
{
    const int missing = kdreg_test_prepare();

    if (missing != 0) {
        return missing;
    }
    if (!kdreg_test_can_script("every scene of this program")) {
        return 77;
    }
    Suite *suite = suite_create(name);
    add(suite);
    return test_run(suite);
}

#endif
