# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info and what it shares with opalmem-msg.
info_scripts = test/info/test_completion.sh test/info/test_info_errors.sh test/info/test_info_json.sh \
	test/info/test_info_options.sh test/info/test_info_report.sh
check_PROGRAMS += test/info/test_json
TESTS += test/info/test_json $(info_scripts)
EXTRA_DIST += $(info_scripts) test/info/info_common.sh

test_info_test_json_LDADD = libtoolutil.la $(CHECK_LIBS)

if HAVE_LTDL
check_LTLIBRARIES += test/info/mca_memory_show.la
endif
# -rpath makes libtool build a shared object although nothing is installed.
test_info_mca_memory_show_la_SOURCES = test/info/show_module.c
test_info_mca_memory_show_la_LIBADD = libopalmem.la
test_info_mca_memory_show_la_LDFLAGS = -module -avoid-version -shared -Wl,-z,now -rpath /nowhere
