/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the return codes. */
#include "opal/constants.h"

const char *opal_strerror(int code)
{
    switch (code) {
    case OPAL_SUCCESS: return "success";
    case OPAL_ERROR: return "error";
    case OPAL_ERR_OUT_OF_RESOURCE: return "out of resource";
    case OPAL_ERR_TEMP_OUT_OF_RESOURCE: return "temporarily out of resource";
    case OPAL_ERR_RESOURCE_BUSY: return "resource busy";
    case OPAL_ERR_BAD_PARAM: return "bad parameter";
    case OPAL_ERR_FATAL: return "fatal error";
    case OPAL_ERR_NOT_IMPLEMENTED: return "not implemented";
    case OPAL_ERR_NOT_SUPPORTED: return "not supported";
    case OPAL_ERR_INTERRUPTED: return "interrupted";
    case OPAL_ERR_WOULD_BLOCK: return "would block";
    case OPAL_ERR_IN_ERRNO: return "see errno";
    case OPAL_ERR_UNREACH: return "unreachable";
    case OPAL_ERR_NOT_FOUND: return "not found";
    case OPAL_EXISTS: return "exists already";
    case OPAL_ERR_TIMEOUT: return "timed out";
    case OPAL_ERR_NOT_AVAILABLE: return "not available";
    case OPAL_ERR_PERM: return "no permission";
    case OPAL_ERR_VALUE_OUT_OF_BOUNDS: return "value out of bounds";
    default: return "unknown code";
    }
}
