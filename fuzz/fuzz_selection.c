/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts of selection variables. */
#include "framework/base/mca_base_selection.h"
#include "fuzz/fuzz.h"

/* The names, with what joins them, are the text again. */
static void check_names(const char *text, mca_base_selection_kind_t kind)
{
    const char *cursor = text;
    const char *expected = text + (kind == MCA_BASE_SELECT_EXCLUDE);
    mca_base_selection_name_t name;
    while (mca_base_selection_next(&cursor, &name)) {
        FUZZ_CHECK(name.length > 0 && name.start == expected);
        char *component = strndup(name.start, name.length);
        FUZZ_CHECK(component != NULL && strpbrk(component, ",+^ \t") == NULL);
        FUZZ_CHECK(mca_base_selection_equals(&name, component) && mca_base_selection_lists(text, component));
        free(component);
        expected = name.start + name.length;
        if (*expected != '\0') {
            FUZZ_CHECK(*expected == (kind == MCA_BASE_SELECT_SUM ? '+' : ','));
            expected++;
        }
    }
    FUZZ_CHECK(*expected == '\0' && expected > text && expected[-1] != ',' && expected[-1] != '+');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    mca_base_selection_kind_t kind = MCA_BASE_SELECT_ALL;
    const char *problem = NULL;
    int rc = mca_base_selection_parse(text, &kind, &problem);
    if (rc != OPAL_SUCCESS) {
        FUZZ_CHECK(rc == OPAL_ERR_BAD_PARAM && problem != NULL && problem[0] != '\0');
    } else if (kind == MCA_BASE_SELECT_ALL) {
        FUZZ_CHECK(text[0] == '\0');
    } else {
        check_names(text, kind);
    }
    free(text);
    return 0;
}
