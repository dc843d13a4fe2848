/* SPDX-License-Identifier: BSD-3-Clause */
/* Which mechanism the component works by: replaced code, or GOT slots. */
#ifndef COMPONENTS_LINUX_LINUX_MECHANISM_H
#define COMPONENTS_LINUX_LINUX_MECHANISM_H

#include "components/linux/linux.h"

/** Make memory_linux_mechanism and memory_linux_malloc_events known. @return as mca_base_var_register() */
int linux_mechanism_register_params(void);

/** Choose, and fill in what of the module depends on it.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a reason. */
int linux_mechanism_query(opal_memory_base_module_t *module);

/** Begin to deliver; sets support and sees. @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a reason. */
int linux_mechanism_enable(const linux_options_t *options, opal_memory_base_module_t *module);

/** End it. What does not let itself be put back passes from now on. */
void linux_mechanism_disable(void);

/** memoryc_register. */
int linux_mechanism_register(void *base, size_t length, uint64_t cookie);

#endif
