# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run.
run_scripts = test/run/test_run_rules.sh test/run/test_run_contrast.sh test/run/test_run_ends.sh \
	test/run/test_run_options.sh test/run/test_run_programs.sh
check_PROGRAMS += test/run/run_scenes
TESTS += $(run_scripts)
EXTRA_DIST += $(run_scripts) test/run/run_common.sh bench/run/bench_run.sh
# Built like any program: nothing of opalmem in it. Calls must not be inlined into others.
test_run_run_scenes_SOURCES = test/run/run_scenes.c test/run/scenes.h test/run/scenes_calls.c \
	test/run/scenes_processes.c
test_run_run_scenes_CFLAGS = $(AM_CFLAGS) -fno-builtin -U_FORTIFY_SOURCE
test_run_run_scenes_LDADD = -lpthread
