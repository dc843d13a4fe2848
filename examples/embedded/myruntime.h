/* SPDX-License-Identifier: BSD-3-Clause */
/* What a runtime's users see of it: not that opalmem is inside. */
#ifndef MYRUNTIME_H
#define MYRUNTIME_H

#include <stdbool.h>
#include <stddef.h>

/* Start; takes the --mca settings out of the arguments. @return 0, or negative. */
int myruntime_init(int *argc, char ***argv);
/* Stop. @return 0, or negative. */
int myruntime_finalize(void);
/* "Send" from memory: registers it, or finds its registration. @return 0, or negative. */
int myruntime_send(void *buffer, size_t size);
/* Is memory still registered that was sent from? */
bool myruntime_holds(void *buffer, size_t size);
/* Releases of memory that were noticed so far. */
unsigned long myruntime_releases(void);
/* Does this machine notice releases? If not, nothing is kept registered. */
bool myruntime_caches(void);

#endif
