/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fuzz targets share. Each defines the function that libFuzzer calls; it
 * stops the program where something that must hold does not. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"

/** Try one input. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Stop the program, as a crash, unless the condition holds. */
#define FUZZ_CHECK(condition) ((condition) ? (void) 0 : fuzz_fail(__FILE__, __LINE__, #condition))

static inline void fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
    abort();
}

/** The input as a text of its own, so that a byte behind its end is noticed; to be freed. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    FUZZ_CHECK(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

static inline void fuzz_ignore_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    FUZZ_CHECK(message[0] != '\0');
}

/** Wrong input is what is wanted here: nobody needs to be told. */
static inline void fuzz_silence(void)
{
    mca_base_set_log(fuzz_ignore_message, NULL);
}

#endif
