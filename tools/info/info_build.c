/* SPDX-License-Identifier: BSD-3-Clause */
/* What was built, and with what. */
#include <stdio.h>
#include <string.h>

#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem.h"
#include "tools/info/info.h"

/* From the makefile; source checkers run without. */
#ifndef INFO_PREFIX
#define INFO_PREFIX ""
#define INFO_STATIC_COMPONENTS ""
#define INFO_DSO_COMPONENTS ""
#endif

#ifdef OPALMEM_HAVE_HWLOC
#define HAVE_HWLOC "yes"
#else
#define HAVE_HWLOC "no"
#endif
#ifdef OPALMEM_HAVE_LTDL
#define HAVE_LTDL "yes"
#else
#define HAVE_LTDL "no"
#endif
#ifdef OPALMEM_HAVE_IBVERBS
#define HAVE_IBVERBS "yes"
#else
#define HAVE_IBVERBS "no"
#endif
#ifdef OPALMEM_HAVE_LIBURING
#define HAVE_LIBURING "yes"
#else
#define HAVE_LIBURING "no"
#endif
#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const char *or_none(const char *list)
{
    list += strspn(list, " ");
    return list[0] != '\0' ? list : "none";
}

static void print_support(void)
{
    char text[128];
    if (opal_mem_hooks_support_names(opal_mem_hooks_support_level(), ",", text, sizeof text) == 0) {
        snprintf(text, sizeof text, "nothing");
    }
    info_value("opalmem:hooks:support", "hooks notice", "%s", text);
}

void info_print_build(void)
{
    if (!info_is_parsable()) {
        printf("opalmem %s\n", OPALMEM_VERSION);
    } else {
        info_field(OPALMEM_VERSION, "opalmem:version:full");
    }
    info_value("path:prefix", "prefix", "%s", INFO_PREFIX);
    info_value("path:components", "component folder", "%s", OPALMEM_COMPONENTDIR);
    info_value("option:components:static", "static components", "%s", or_none(INFO_STATIC_COMPONENTS));
    info_value("option:components:dso", "DSO components", "%s", or_none(INFO_DSO_COMPONENTS));
    info_value("option:symbol_prefix", "symbol prefix", "%s", OPALMEM_SYMBOL_PREFIX);
    info_value("compiler:c:version", "C compiler", "%s", COMPILER);
    info_value("option:hwloc", "hwloc", "%s", HAVE_HWLOC);
    info_value("option:libltdl", "libltdl", "%s", HAVE_LTDL);
    info_value("option:libibverbs", "libibverbs", "%s", HAVE_IBVERBS);
    info_value("option:liburing", "liburing", "%s", HAVE_LIBURING);
    print_support();
}
