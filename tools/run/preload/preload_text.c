/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages for the report: the first one counts. */
#include <stdarg.h>
#include <stdio.h>

#include "tools/run/preload/preload.h"

void preload_say(run_text_t *text, const char *format, ...)
{
    uint32_t expected = 0;
    va_list list;

    if (!atomic_compare_exchange_strong(&text->taken, &expected, 1)) {
        return;
    }
    va_start(list, format);
    vsnprintf(text->text, sizeof(text->text), format, list);
    va_end(list);
    atomic_store_explicit(&text->taken, 2, memory_order_release);
}
