/* SPDX-License-Identifier: BSD-3-Clause */
/* A DSO of over 16 pages, to be loaded and unloaded. */
extern const char company_side[];
const char company_side[32 * 4096] = { 1 };
