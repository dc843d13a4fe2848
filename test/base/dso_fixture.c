/* SPDX-License-Identifier: BSD-3-Clause */
/* See dso_fixture.h. */
#include "dso_fixture.h"

#include <stdio.h>
#include <string.h>

const char *folder;

void dso_setup(void)
{
    folder = make_folder();
    use_folder(folder);
    log_start();
}

void dso_teardown(void)
{
    remove_folder(folder);
}

void path_of(const char *name, char path[256])
{
    snprintf(path, 256, "%s/mca_fake_%s.so", folder, name);
}

int open_all(void)
{
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    return mca_base_framework_open(&fake_framework);
}

void close_all(void)
{
    mca_base_framework_close(&fake_framework);
    mca_base_close();
}

bool is_mapped(const char *name)
{
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        found = found || strstr(line, name) != NULL;
    }
    fclose(maps);
    return found;
}

void expect_quiet(void)
{
    ck_assert_msg(log_count(MCA_BASE_LOG_WARN) == 0, "warning: %s", log_last(MCA_BASE_LOG_WARN));
    ck_assert_msg(log_count(MCA_BASE_LOG_ERROR) == 0, "error: %s", log_last(MCA_BASE_LOG_ERROR));
}

void expect_refused(const char *name, const char *cause)
{
    const mca_base_component_item_t *item = fake_item(name);
    char file[300];
    snprintf(file, sizeof file, "/mca_fake_%s.so: ", name);
    ck_assert_ptr_null(item->component);
    ck_assert(!item->available);
    ck_assert_msg(strstr(item->reason, file) != NULL, "%s is not in \"%s\"", file, item->reason);
    ck_assert_msg(strstr(item->reason, cause) != NULL, "\"%s\" is not in \"%s\"", cause, item->reason);
}
