# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run.
run_scripts = test/run/test_run_rules.sh test/run/test_run_contrast.sh test/run/test_run_ends.sh \
	test/run/test_run_options.sh test/run/test_run_programs.sh test/run/test_run_reasons.sh
check_PROGRAMS += test/run/run_scenes
TESTS += $(run_scripts)
EXTRA_DIST += $(run_scripts) test/run/run_common.sh bench/run/bench_run.sh
# Built like any program: nothing of opalmem in it. Calls must not be inlined into others.
test_run_run_scenes_SOURCES = test/run/run_scenes.c test/run/scenes.h test/run/scenes_calls.c \
	test/run/scenes_processes.c test/run/scenes_reasons.c
test_run_run_scenes_CFLAGS = $(AM_CFLAGS) -fno-builtin -U_FORTIFY_SOURCE
test_run_run_scenes_LDADD = -lpthread -ldl
# The preload library with rules that can be switched off, and with the wrappers that this libc may have no use for; and
# what stands in for a newer libc.
check_LTLIBRARIES += test/run/preload_test.la test/run/fake_libs.la
test_run_preload_test_la_SOURCES = $(run_preload_sources) tools/run/preload/preload_spawn.c test/run/preload_rules.c
test_run_preload_test_la_CPPFLAGS = $(AM_CPPFLAGS) -DPRELOAD_TEST
test_run_preload_test_la_CFLAGS = $(opalmem_run_preload_la_CFLAGS)
test_run_preload_test_la_LDFLAGS = $(run_preload_ldflags) -rpath /nowhere
test_run_preload_test_la_LIBADD = $(opalmem_run_preload_la_LIBADD)
test_run_fake_libs_la_SOURCES = test/run/fake_libs.c
test_run_fake_libs_la_CFLAGS = $(AM_CFLAGS) $(LIBURING_CFLAGS)
test_run_fake_libs_la_LDFLAGS = $(fake_module_ldflags)
test_run_fake_libs_la_LIBADD = -ldl
