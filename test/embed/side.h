/* SPDX-License-Identifier: BSD-3-Clause */
/* One copy of opalmem, as test_two_copies.c sees it: side.c is compiled twice, against the headers of
 * two copies that are configured with different prefixes. Each gives one table. */
#ifndef TEST_EMBED_SIDE_H
#define TEST_EMBED_SIDE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct side_t {
    const char *prefix; /* Of its symbols. */
    int (*init)(int *argc, char ***argv);
    int (*finalize)(void);
    const char *(*component)(void);        /* The one that is selected. */
    const char *(*reason_of_linux)(void);  /* Why it cannot run, or "". */
    bool (*caches)(void);                  /* After init. */
    int (*pin)(void *buffer, size_t size); /* Register and give back: 0, or a code. */
    bool (*holds)(void *buffer, size_t size);
    unsigned long (*releases)(void);          /* Callbacks so far. */
    bool (*knows_variable)(const char *name); /* Is it registered there? */
    int (*own_value)(void);                   /* Of the variable side_<prefix>value. */
    void (*log_to)(char *text, size_t size);  /* Messages go there, and not to stderr. */
} side_t;

extern const side_t side_installed, side_embedded;

#endif
