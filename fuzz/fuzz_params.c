/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts of parameter and tune files. */
#include "framework/base/mca_base_file.h"
#include "fuzz/fuzz.h"

static void check_setting(const mca_base_file_setting_t *setting, unsigned *line)
{
    FUZZ_CHECK(strcmp(setting->path, "file") == 0);
    FUZZ_CHECK(setting->line >= *line && setting->line > 0);
    *line = setting->line;
}

static void check_table(const mca_base_file_table_t *table)
{
    unsigned line = 0;
    for (size_t i = 0; i < table->count; i++) {
        const mca_base_file_setting_t *setting = &table->all[i];
        const mca_base_file_setting_t *found = mca_base_file_table_find(table, setting->name);
        check_setting(setting, &line);
        FUZZ_CHECK(found != NULL && found >= setting && strcmp(found->name, setting->name) == 0);
    }
    for (size_t i = 1; i < table->name_count; i++) {
        FUZZ_CHECK(strcmp(table->by_name[i - 1]->name, table->by_name[i]->name) < 0);
    }
    FUZZ_CHECK(table->name_count <= table->count && (table->count == 0 || table->name_count > 0));
}

static void check_names(const mca_base_file_t *file)
{
    for (size_t i = 0; i < file->settings.count; i++) {
        const mca_base_file_setting_t *setting = &file->settings.all[i];
        FUZZ_CHECK(mca_base_file_is_name(setting->name, strlen(setting->name)));
        FUZZ_CHECK(setting->value != NULL && strchr(setting->value, '\n') == NULL);
    }
    for (size_t i = 0; i < file->exports.count; i++) {
        const char *name = file->exports.all[i].name;
        FUZZ_CHECK(name[0] != '\0' && strpbrk(name, "= \t\n") == NULL);
    }
}

/* What was understood, written down again, means the same. */
static void check_again(const mca_base_file_t *file)
{
    for (size_t i = 0; i < file->settings.count; i++) {
        const mca_base_file_setting_t *setting = &file->settings.all[i];
        size_t size = strlen(setting->name) + strlen(setting->value) + 5;
        char *text = malloc(size);
        mca_base_file_t *again = NULL;
        FUZZ_CHECK(text != NULL);
        int length = snprintf(text, size, "%s = %s\n", setting->name, setting->value);
        FUZZ_CHECK(mca_base_file_parse(MCA_BASE_FILE_PARAMS, "file", text, (size_t) length, &again)
                   == OPAL_SUCCESS);
        FUZZ_CHECK(again->settings.count == 1 && strcmp(again->settings.all[0].name, setting->name) == 0);
        FUZZ_CHECK(strcmp(again->settings.all[0].value, setting->value) == 0);
        mca_base_file_drop(again);
        free(text);
    }
}

static void parse_as(mca_base_file_kind_t kind, const char *text, size_t size)
{
    mca_base_file_t *file = NULL;
    int rc = mca_base_file_parse(kind, "file", text, size, &file);
    FUZZ_CHECK((rc == OPAL_SUCCESS) == (file != NULL));
    if (rc != OPAL_SUCCESS) {
        FUZZ_CHECK(rc == OPAL_ERR_BAD_PARAM);
        return;
    }
    check_table(&file->settings);
    check_table(&file->exports);
    check_names(file);
    if (kind == MCA_BASE_FILE_PARAMS) {
        FUZZ_CHECK(file->exports.count == 0);
        check_again(file);
    }
    mca_base_file_drop(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_silence();
    char *text = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    parse_as(MCA_BASE_FILE_PARAMS, text, size);
    parse_as(MCA_BASE_FILE_TUNE, text, size);
    free(text);
    return 0;
}
