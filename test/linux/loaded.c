/* SPDX-License-Identifier: BSD-3-Clause */
/* A library with data, for test_linux_objects.c and the early starts: big
 * enough that its pages are told apart from those of its neighbours. */
#include "test/linux/loaded.h"

__attribute__((visibility("default"))) char loaded_data[LOADED_SIZE] = { 1 };
__attribute__((visibility("default"))) char loaded_zeros[LOADED_SIZE];
