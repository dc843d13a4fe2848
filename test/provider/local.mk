# Conformance suite for registration providers, installed beside the example provider.
provider_suite = test/provider/provider_suite.c test/provider/provider_suite.h \
	test/provider/provider_suite_internal.h test/provider/provider_suite_cache.c \
	test/provider/provider_suite_direct.c test/provider/provider_suite_hook.c \
	test/provider/provider_suite_threads.c test/provider/provider_suite_trap.c
providersuitedir = $(docdir)/examples/provider/suite
dist_providersuite_DATA = $(provider_suite)

provider_tests = test/provider/test_provider_suite test/provider/test_provider_none \
	test/provider/test_provider_fake
# The example does without liburing, but not without kernel headers as new.
if HAVE_LIBURING
provider_tests += test/provider/test_provider_uring test/provider/test_provider_example examples/provider/demo
endif
if HAVE_IBVERBS
provider_tests += test/provider/test_provider_verbs
endif
check_PROGRAMS += $(provider_tests)
TESTS += $(provider_tests) test/provider/test_provider_kit.sh
EXTRA_DIST += test/provider/test_provider_kit.sh
provider_suite_libs = libopalmem.la -lpthread -ldl

test_provider_test_provider_suite_SOURCES = test/provider/test_provider_suite.c test/provider/bad_provider.c \
	test/provider/bad_provider.h $(provider_suite)
test_provider_test_provider_suite_CFLAGS = $(AM_CFLAGS) -fno-builtin-malloc
test_provider_test_provider_suite_LDADD = $(provider_suite_libs)
test_provider_test_provider_none_SOURCES = test/provider/test_provider_none.c $(provider_suite)
test_provider_test_provider_none_CFLAGS = $(AM_CFLAGS)
test_provider_test_provider_none_LDADD = $(provider_suite_libs)
test_provider_test_provider_uring_SOURCES = test/provider/test_provider_uring.c $(provider_suite)
test_provider_test_provider_uring_CFLAGS = $(AM_CFLAGS)
test_provider_test_provider_uring_LDADD = $(provider_suite_libs)
test_provider_test_provider_verbs_SOURCES = test/provider/test_provider_verbs.c $(provider_suite)
test_provider_test_provider_verbs_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_provider_test_provider_verbs_LDADD = $(provider_suite_libs)
test_provider_test_provider_fake_SOURCES = test/provider/test_provider_fake.c test/rcache/fake_provider.c \
	$(provider_suite)
test_provider_test_provider_fake_LDADD = $(provider_suite_libs) $(CHECK_LIBS)
# The example's own files; the suite is where its Makefile expects it when installed.
test_provider_test_provider_example_SOURCES = examples/provider/conformance.c examples/provider/ring_provider.c \
	examples/provider/ring_provider.h $(provider_suite)
test_provider_test_provider_example_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/test/provider
test_provider_test_provider_example_CFLAGS = $(AM_CFLAGS)
test_provider_test_provider_example_LDADD = $(provider_suite_libs)
examples_provider_demo_SOURCES = examples/provider/demo.c examples/provider/ring_provider.c
examples_provider_demo_LDADD = libopalmem.la
