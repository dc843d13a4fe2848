/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of variables. The first byte chooses the variable ('0' is the first of
 * the list below), the rest is the text. */
#include "framework/base/mca_base_var.h"
#include "fuzz/fuzz.h"

/* Names may look like numbers, if they are none that the variable may have: as "-1" for verbosities. */
static const mca_base_var_enum_value_t names[] = {
    { "none", 0 }, { "all", 7 }, { "-1", 0 }, { "0x", 1000 }, { NULL, 0 }
};

static const mca_base_var_def_t defs[] = {
    { .type = MCA_BASE_VAR_TYPE_INT },
    { .type = MCA_BASE_VAR_TYPE_INT, .min = 0, .max = 100, .enumerator = names },
    { .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT },
    { .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT, .min = 3, .max = 70000 },
    { .type = MCA_BASE_VAR_TYPE_SIZE_T },
    { .type = MCA_BASE_VAR_TYPE_SIZE_T, .min = 4096, .max = 1L << 40 },
    { .type = MCA_BASE_VAR_TYPE_BOOL },
    { .type = MCA_BASE_VAR_TYPE_DOUBLE },
    { .type = MCA_BASE_VAR_TYPE_DOUBLE, .min = -2, .max = 2 },
    { .type = MCA_BASE_VAR_TYPE_STRING },
    { .type = MCA_BASE_VAR_TYPE_ENUM, .enumerator = names },
};

static const mca_base_var_def_t *choose(uint8_t byte)
{
    return &defs[(size_t) (uint8_t) (byte - '0') % (sizeof defs / sizeof defs[0])];
}

static void free_value(const mca_base_var_def_t *def, const mca_base_var_value_t *value)
{
    if (def->type == MCA_BASE_VAR_TYPE_STRING) {
        free(value->string);
    }
}

/* A value that was taken is allowed, prints as a text, and that text means the same. */
static void check_value(const mca_base_var_def_t *def, const mca_base_var_value_t *value)
{
    char none[1];
    mca_base_var_value_t again = { 0 };
    FUZZ_CHECK(mca_base_var_allows(def, value));
    size_t length = mca_base_var_print(def, value, none, sizeof none);
    char *text = malloc(length + 1);
    FUZZ_CHECK(text != NULL);
    FUZZ_CHECK(mca_base_var_print(def, value, text, length + 1) == length && strlen(text) == length);
    FUZZ_CHECK(mca_base_var_parse(def, text, &again) == OPAL_SUCCESS);
    FUZZ_CHECK(mca_base_var_same_value(def->type, value, &again));
    free_value(def, &again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char expected[128];
    if (size == 0) {
        return 0;
    }
    const mca_base_var_def_t *def = choose(data[0]);
    char *text = fuzz_text(data + 1, size - 1);
    mca_base_var_value_t value = { 0 };
    int rc = mca_base_var_parse(def, text, &value);
    if (rc == OPAL_SUCCESS) {
        check_value(def, &value);
        free_value(def, &value);
    } else {
        FUZZ_CHECK(rc == OPAL_ERR_BAD_PARAM && def->type != MCA_BASE_VAR_TYPE_STRING);
        mca_base_var_expected(def, expected, sizeof expected);
        FUZZ_CHECK(expected[0] != '\0');
    }
    free(text);
    return 0;
}
