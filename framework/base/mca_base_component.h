/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of frameworks and their components, as the files of the base share them. */
#ifndef FRAMEWORK_BASE_MCA_BASE_COMPONENT_H
#define FRAMEWORK_BASE_MCA_BASE_COMPONENT_H

#include <stdbool.h>
#include <stddef.h>

#include "framework/base/base_internal.h"

/** Remember a framework for the listings, until mca_base_components_close(). */
void mca_base_framework_remember(mca_base_framework_t *framework);

/** Release and free every component, and forget the frameworks. */
void mca_base_components_close(void);

/** Release and free the components of one framework. */
void mca_base_framework_free_items(mca_base_framework_t *framework);

/** The item of that name, or NULL. */
mca_base_component_item_t *mca_base_framework_find(const mca_base_framework_t *framework, const char *name,
                                                   size_t length);

/** "a, b, c": the names of all components, cut to fit; "none" without any. */
void mca_base_framework_list(const mca_base_framework_t *framework, char *text, size_t size);

/** Would name belong to a component that is here, but was not asked for its variables? */
bool mca_base_component_owns(const char *name);

#endif
