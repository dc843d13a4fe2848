# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info and what it shares with opalmem-msg.
info_scripts = test/info/test_completion.sh test/info/test_info_report.sh
check_PROGRAMS += test/info/test_json
TESTS += test/info/test_json $(info_scripts)
EXTRA_DIST += $(info_scripts)

test_info_test_json_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_info_test_json_LDADD = libtoolutil.la $(CHECK_LIBS)
