# Memory hooks and the base of the memory framework.
noinst_HEADERS = test/test_main.h test/children.h test/sanitized.h
framework_tests = test/framework/test_memory_hooks test/framework/test_hooks_threads \
	test/framework/test_memory_base test/framework/test_memory_components test/framework/test_init test/framework/test_fork
check_PROGRAMS += $(framework_tests)
TESTS += $(framework_tests)

test_framework_test_memory_hooks_SOURCES = test/framework/test_memory_hooks.c
test_framework_test_memory_hooks_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_framework_test_memory_hooks_LDFLAGS = -Wl,--wrap=calloc

test_framework_test_hooks_threads_SOURCES = test/framework/test_hooks_threads.c
test_framework_test_hooks_threads_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_framework_test_hooks_threads_LDFLAGS = -Wl,--wrap=calloc

test_framework_test_memory_base_SOURCES = test/framework/test_memory_base.c
test_framework_test_memory_base_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_framework_test_init_SOURCES = test/framework/test_init.c
test_framework_test_init_LDADD = libopalmem.la $(CHECK_LIBS)

test_framework_test_fork_SOURCES = test/framework/test_fork.c test/rcache/fake_provider.c
test_framework_test_fork_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_framework_test_memory_components_SOURCES = test/framework/test_memory_components.c
test_framework_test_memory_components_LDADD = libopalmem.la $(CHECK_LIBS)
if HAVE_LTDL
check_LTLIBRARIES += test/framework/mca_memory_same.la test/framework/mca_memory_shorter.la \
	test/framework/mca_memory_longer.la test/framework/mca_memory_tooshort.la
endif
test_framework_mca_memory_same_la_SOURCES = test/framework/fake_memory.c
test_framework_mca_memory_same_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=same -DFAKE_SIZE='sizeof(opal_memory_base_module_t)'
test_framework_mca_memory_same_la_LIBADD = libopalmem.la
test_framework_mca_memory_same_la_LDFLAGS = $(fake_module_ldflags)
test_framework_mca_memory_shorter_la_SOURCES = test/framework/fake_memory.c
test_framework_mca_memory_shorter_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=shorter -DFAKE_SIZE='offsetof(opal_memory_base_module_t, enable)'
test_framework_mca_memory_shorter_la_LIBADD = libopalmem.la
test_framework_mca_memory_shorter_la_LDFLAGS = $(fake_module_ldflags)
test_framework_mca_memory_longer_la_SOURCES = test/framework/fake_memory.c
test_framework_mca_memory_longer_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=longer -DFAKE_SIZE='sizeof(opal_memory_base_module_t) + sizeof(void *)'
test_framework_mca_memory_longer_la_LIBADD = libopalmem.la
test_framework_mca_memory_longer_la_LDFLAGS = $(fake_module_ldflags)
test_framework_mca_memory_tooshort_la_SOURCES = test/framework/fake_memory.c
test_framework_mca_memory_tooshort_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=tooshort -DFAKE_SIZE='offsetof(opal_memory_base_module_t, counter) - 8'
test_framework_mca_memory_tooshort_la_LIBADD = libopalmem.la
test_framework_mca_memory_tooshort_la_LDFLAGS = $(fake_module_ldflags)
