# SPDX-License-Identifier: BSD-3-Clause
# opalmem-coverage.
coverage_scripts = test/coverage/test_coverage_monitors.sh test/coverage/test_coverage_options.sh \
	test/coverage/test_coverage_rows.sh
TESTS += $(coverage_scripts)
EXTRA_DIST += $(coverage_scripts) test/coverage/coverage_common.sh

check_LTLIBRARIES += test/coverage/fake_monitor.la test/coverage/old_monitor.la
# -rpath makes libtool build a shared object although nothing is installed.
coverage_fake_flags = -module -avoid-version -shared -rpath /nowhere
test_coverage_fake_monitor_la_SOURCES = test/coverage/fake_monitor.c
test_coverage_fake_monitor_la_CFLAGS = $(AM_CFLAGS) -fvisibility=default
test_coverage_fake_monitor_la_LDFLAGS = $(coverage_fake_flags)
test_coverage_old_monitor_la_SOURCES = test/coverage/fake_monitor.c
test_coverage_old_monitor_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_VERSION=0
test_coverage_old_monitor_la_CFLAGS = $(AM_CFLAGS) -fvisibility=default
test_coverage_old_monitor_la_LDFLAGS = $(coverage_fake_flags)
