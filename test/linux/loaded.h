/* SPDX-License-Identifier: BSD-3-Clause */
/* What loaded.c has: data of the file, and data that begins as zeros. */
#ifndef TEST_LINUX_LOADED_H
#define TEST_LINUX_LOADED_H

#define LOADED_SIZE (64 * 4096)
extern char loaded_data[LOADED_SIZE], loaded_zeros[LOADED_SIZE];

#endif
