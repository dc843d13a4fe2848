# SPDX-License-Identifier: BSD-3-Clause
# opalmem-top, against a program with known figures.
top_scripts = test/top/test_top_errors.sh test/top/test_top_figures.sh test/top/test_top_screen.sh
check_PROGRAMS += test/top/top_subject test/top/test_top_read
TESTS += test/top/test_top_read $(top_scripts)
EXTRA_DIST += $(top_scripts) test/top/top_common.sh
test_top_top_subject_SOURCES = test/top/top_subject.c
test_top_top_subject_LDADD = libopalmem.la
test_top_test_top_read_SOURCES = test/top/test_top_read.c tools/top/top_read.c tools/top/top_figures.c
test_top_test_top_read_LDADD = $(CHECK_LIBS)
