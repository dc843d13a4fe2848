# Memory hooks and the base of the memory framework.
noinst_HEADERS = test/test_main.h test/children.h
framework_tests = test/framework/test_memory_hooks test/framework/test_hooks_threads \
	test/framework/test_memory_base test/framework/test_init test/framework/test_fork
check_PROGRAMS += $(framework_tests)
TESTS += $(framework_tests)

test_framework_test_memory_hooks_SOURCES = test/framework/test_memory_hooks.c
test_framework_test_memory_hooks_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_framework_test_memory_hooks_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_framework_test_memory_hooks_LDFLAGS = -Wl,--wrap=calloc

test_framework_test_hooks_threads_SOURCES = test/framework/test_hooks_threads.c
test_framework_test_hooks_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_framework_test_hooks_threads_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_framework_test_hooks_threads_LDFLAGS = -Wl,--wrap=calloc

test_framework_test_memory_base_SOURCES = test/framework/test_memory_base.c
test_framework_test_memory_base_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_framework_test_memory_base_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_framework_test_init_SOURCES = test/framework/test_init.c
test_framework_test_init_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_framework_test_init_LDADD = libopalmem.la $(CHECK_LIBS)

test_framework_test_fork_SOURCES = test/framework/test_fork.c test/rcache/fake_provider.c
test_framework_test_fork_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_framework_test_fork_LDADD = libopalmem_internal.la $(CHECK_LIBS)
