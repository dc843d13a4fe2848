/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Start and stop of the library.
 */
#ifndef OPAL_OPALMEM_H
#define OPAL_OPALMEM_H

#include "opal/constants.h"
#include "opal/mca/base/base.h"
#include "opal/mca/memory/memory.h"
#include "opal/mca/rcache/rcache.h"
#include "opal/mca/rcache/rcache_hit.h"
#include "opal/memoryhooks/memory.h"

BEGIN_C_DECLS

/** Start the library: read variables, open the frameworks, select components.
 *
 * @param[in,out] argc  Number of arguments, or NULL.
 * @param[in,out] argv  Arguments, or NULL. Settings (`--mca NAME VALUE`, `--tune FILE`: opal/mca/base/cmd_line.h) are
 *     taken out, and added to those that mca_base_cmd_line_take() has kept; the rest keeps its order, and argv stays
 *     NULL-terminated. The strings stay the caller's and must outlive the library.
 * @retval OPAL_SUCCESS              Started, or already running: then only counted. Settings on the
 *     command line of a later init are taken out and reported as too late.
 * @retval OPAL_ERR_BAD_PARAM        A setting, or a file of settings, cannot be used; the message says which and why.
 * @retval OPAL_ERR_NOT_FOUND        A component asked for by name does not exist or cannot run here.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * @retval OPAL_ERR_NOT_AVAILABLE    This process was forked while another thread was in init or finalize.
 * After an error nothing is started, argv has lost no argument, and what was kept before is kept still.
 * Thread-safe; may race with other inits and finalizes. Not from a callback.
 */
OPAL_DECLSPEC int opalmem_init(int *argc, char ***argv);

/** Drop one init; the last one closes everything.
 *
 * Caches must have been destroyed before.
 * @retval OPAL_SUCCESS            Also when init was never called.
 * @retval OPAL_ERR_RESOURCE_BUSY  Caches are left; everything else is closed, they stay usable only
 *     for destroying them.
 * @retval OPAL_ERR_NOT_AVAILABLE  As for opalmem_init().
 * Thread-safe. Waits for callbacks on other threads. Not from a callback.
 */
OPAL_DECLSPEC int opalmem_finalize(void);

END_C_DECLS

#endif
