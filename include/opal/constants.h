/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Return codes. The values are those of Open MPI's opal/constants.h, so that
 * a runtime can pass them through.
 */
#ifndef OPAL_CONSTANTS_H
#define OPAL_CONSTANTS_H

#include "opal/opalmem_config.h"

BEGIN_C_DECLS

enum {
    OPAL_SUCCESS = 0,
    OPAL_ERROR = -1,
    OPAL_ERR_OUT_OF_RESOURCE = -2,
    OPAL_ERR_TEMP_OUT_OF_RESOURCE = -3,
    OPAL_ERR_RESOURCE_BUSY = -4,
    OPAL_ERR_BAD_PARAM = -5,
    OPAL_ERR_FATAL = -6,
    OPAL_ERR_NOT_IMPLEMENTED = -7,
    OPAL_ERR_NOT_SUPPORTED = -8,
    OPAL_ERR_INTERRUPTED = -9,
    OPAL_ERR_WOULD_BLOCK = -10,
    OPAL_ERR_IN_ERRNO = -11,
    OPAL_ERR_UNREACH = -12,
    OPAL_ERR_NOT_FOUND = -13,
    OPAL_EXISTS = -14,
    OPAL_ERR_TIMEOUT = -15,
    OPAL_ERR_NOT_AVAILABLE = -16,
    OPAL_ERR_PERM = -17,
    OPAL_ERR_VALUE_OUT_OF_BOUNDS = -18
};

/** The name and meaning of a return code, for messages.
 *
 * @param[in] code  Any int.
 * @return A constant string, never NULL; "unknown code" for a foreign value.
 * Safe in every context, from every thread.
 */
OPAL_DECLSPEC const char *opal_strerror(int code);

END_C_DECLS

#endif
