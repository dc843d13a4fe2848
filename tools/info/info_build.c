/* SPDX-License-Identifier: BSD-3-Clause */
/* What was built, and with what. */
#include "opal/opalmem.h"
#include "tools/info/info.h"

/* From the makefile; source checkers run without. */
#ifndef INFO_STATIC_COMPONENTS
#define INFO_PREFIX ""
#define INFO_STATIC_COMPONENTS ""
#define INFO_DSO_COMPONENTS ""
#endif

#ifdef OPALMEM_HAVE_HWLOC
#define HAVE_HWLOC true
#else
#define HAVE_HWLOC false
#endif
#ifdef OPALMEM_HAVE_LTDL
#define HAVE_LTDL true
#else
#define HAVE_LTDL false
#endif
#ifdef OPALMEM_HAVE_IBVERBS
#define HAVE_IBVERBS true
#else
#define HAVE_IBVERBS false
#endif
#ifdef OPALMEM_HAVE_LIBURING
#define HAVE_LIBURING true
#else
#define HAVE_LIBURING false
#endif
#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

void info_print_build(void)
{
    info_section_begin("build", "opalmem " OPALMEM_VERSION);
    if (info_form() == INFO_FORM_PARSABLE) {
        info_field(OPALMEM_VERSION, "opalmem:version:full");
    }
    info_string("build:prefix", "prefix", INFO_PREFIX);
    info_string("build:componentdir", "component folder", OPALMEM_COMPONENTDIR);
    info_words("build:components:static", "static components", INFO_STATIC_COMPONENTS, "none");
    info_words("build:components:dso", "DSO components", INFO_DSO_COMPONENTS, "none");
    info_string("build:symbol_prefix", "symbol prefix", OPALMEM_SYMBOL_PREFIX);
    info_string("build:compiler", "C compiler", COMPILER);
    info_yes_no("build:hwloc", "hwloc", HAVE_HWLOC);
    info_yes_no("build:libltdl", "libltdl", HAVE_LTDL);
    info_yes_no("build:libibverbs", "libibverbs", HAVE_IBVERBS);
    info_yes_no("build:liburing", "liburing", HAVE_LIBURING);
    info_section_end();
}
