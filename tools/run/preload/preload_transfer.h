/* SPDX-License-Identifier: BSD-3-Clause */
/* A call of the program on its way to the cache. */
#ifndef TOOLS_RUN_PRELOAD_PRELOAD_TRANSFER_H
#define TOOLS_RUN_PRELOAD_PRELOAD_TRANSFER_H

#include "tools/run/preload/preload.h"

typedef struct operation_t {
    run_call_t call;
    bool is_write;
    bool moves; /**< It is at the file position, and moves it. */
    int fd;
    char *start;
    size_t count; /**< Asked for; then, what can be moved. */
    off_t offset;
    off_t file_size; /**< Found on the way. */
} operation_t;

/** Make the call by way of the cache.
 * @param[in]  operation  count is at least preload_threshold.
 * @param[out] moved      The call's result, always above 0; errno is untouched.
 * @return false: nothing has happened, the reason is counted, and the caller makes the plain call. */
bool preload_transfer(operation_t operation, ssize_t *moved);

#endif
