/* SPDX-License-Identifier: BSD-3-Clause */
/* How opalmem was configured. */
#include "tools/info/info.h"
#include "tools/info/info_configure.h"

void info_print_config(void)
{
    info_section_begin("config", "Configuration");
    info_string("config:arguments", "configure arguments", INFO_CONFIGURE_ARGUMENTS);
    info_string("config:host", "built for", INFO_CONFIGURE_HOST);
    info_string("config:cc", "C compiler command", INFO_CONFIGURE_CC);
    info_string("config:cppflags", "CPPFLAGS", INFO_CONFIGURE_CPPFLAGS);
    info_string("config:cflags", "CFLAGS", INFO_CONFIGURE_CFLAGS);
    info_string("config:ldflags", "LDFLAGS", INFO_CONFIGURE_LDFLAGS);
    info_string("config:libs", "LIBS", INFO_CONFIGURE_LIBS);
    info_section_end();
}
