# The component "kdreg", on a fake of its driver; on the driver with OPALMEM_TEST_KDREG_DEVICE.
kdreg_tests = test/kdreg/test_kdreg test/kdreg/test_kdreg_script test/kdreg/test_kdreg_errors test/kdreg/test_kdreg_cookies \
	test/kdreg/test_kdreg_cache test/kdreg/test_kdreg_threads test/kdreg/test_kdreg_fork test/kdreg/test_kdreg_linux
check_PROGRAMS += $(kdreg_tests)
TESTS += $(kdreg_tests)
noinst_HEADERS += test/kdreg/kdreg_cache.h test/kdreg/kdreg_fake.h test/kdreg/kdreg_fake_context.h test/kdreg/kdreg_test.h test/kdreg/kdreg_script.h
kdreg_test_sources = test/kdreg/kdreg_fake.c test/kdreg/kdreg_fake_context.c test/kdreg/kdreg_test.c
kdreg_test_libs = libmca_memory_kdreg.la libopalmem_internal.la $(CHECK_LIBS)

test_kdreg_test_kdreg_cookies_SOURCES = test/kdreg/test_kdreg_cookies.c
test_kdreg_test_kdreg_cookies_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_SOURCES = test/kdreg/test_kdreg.c $(kdreg_test_sources)
test_kdreg_test_kdreg_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_script_SOURCES = test/kdreg/test_kdreg_script.c $(kdreg_test_sources)
test_kdreg_test_kdreg_script_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_cache_SOURCES = test/kdreg/test_kdreg_cache.c $(kdreg_test_sources)
test_kdreg_test_kdreg_cache_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_threads_SOURCES = test/kdreg/test_kdreg_threads.c $(kdreg_test_sources)
test_kdreg_test_kdreg_threads_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_linux_SOURCES = test/kdreg/test_kdreg_linux.c $(kdreg_test_sources)
test_kdreg_test_kdreg_linux_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_errors_SOURCES = test/kdreg/test_kdreg_errors.c $(kdreg_test_sources)
test_kdreg_test_kdreg_errors_LDADD = $(kdreg_test_libs)
test_kdreg_test_kdreg_fork_SOURCES = test/kdreg/test_kdreg_fork.c $(kdreg_test_sources)
test_kdreg_test_kdreg_fork_LDADD = $(kdreg_test_libs)
