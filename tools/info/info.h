/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-info: parts of the report, and how a line is printed. Every line has
 * two forms: for people, and (--parsable) colon-separated for programs. */
#ifndef TOOLS_INFO_INFO_H
#define TOOLS_INFO_INFO_H

#include <stdbool.h>
#include <stddef.h>

/* ---- Lines (info_output.c) ------------------------------------------------------------------------ */

/** Print for programs from now on. */
void info_set_parsable(void);
bool info_is_parsable(void);

/** Title of the lines that follow; for people only. */
void info_section(const char *title);

/** One value: "  label  value", or "key:value".
 * @param[in] key  Fields of the parsable line, separated by colons; no field holds one. */
void info_value(const char *key, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** One value for programs only: a value with a colon in it is put into quotes. */
void info_field(const char *value, const char *key_format, ...) __attribute__((format(printf, 2, 3)));

/** A paragraph for people, indented and filled. */
void info_paragraph(unsigned indent, const char *text);

/** A size in words: "4 KiB". text is filled and returned. */
const char *info_size(unsigned long long bytes, char *text, size_t size);

/* ---- Parts of the report ---------------------------------------------------------------------------- */

void info_print_build(void);      /* info_build.c */
void info_print_machine(void);    /* info_machine.c */
void info_print_components(void); /* info_components.c */
void info_print_variables(void);  /* info_variables.c */

/** May this process use io_uring?
 * @param[out] reason  Why not, cut to fit; "" if it may.
 * info_uring.c, or info_uring_none.c in a build without liburing. */
bool info_uring_is_allowed(char *reason, size_t size);

/** List the RDMA devices. info_rdma.c, or info_rdma_none.c in a build without libibverbs. */
void info_print_rdma(void);

#endif
