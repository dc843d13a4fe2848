# The component "ummunotify": on a fake driver, or on a real one (OPALMEM_TEST_UMMUNOTIFY_DEVICE=PATH).
ummunotify_tests = test/ummunotify/test_ummunotify test/ummunotify/test_ummunotify_component \
	test/ummunotify/test_ummunotify_descriptor test/ummunotify/test_ummunotify_errors test/ummunotify/test_ummunotify_fork \
	test/ummunotify/test_ummunotify_rcache test/ummunotify/test_ummunotify_table
check_PROGRAMS += $(ummunotify_tests)
TESTS += $(ummunotify_tests)
noinst_HEADERS += test/ummunotify/ummunotify_fake.h test/ummunotify/ummunotify_fixture.h

check_LTLIBRARIES += libummunotify_test.la
libummunotify_test_la_SOURCES = test/ummunotify/ummunotify_fake.c test/ummunotify/ummunotify_fixture.c
ummunotify_test_libs = libummunotify_test.la libmca_memory_ummunotify.la libopalmem_internal.la $(CHECK_LIBS)

test_ummunotify_test_ummunotify_SOURCES = test/ummunotify/test_ummunotify.c
test_ummunotify_test_ummunotify_LDADD = $(ummunotify_test_libs)
test_ummunotify_test_ummunotify_table_SOURCES = test/ummunotify/test_ummunotify_table.c
test_ummunotify_test_ummunotify_table_LDADD = $(ummunotify_test_libs)
test_ummunotify_test_ummunotify_errors_SOURCES = test/ummunotify/test_ummunotify_errors.c
test_ummunotify_test_ummunotify_errors_LDADD = $(ummunotify_test_libs)
test_ummunotify_test_ummunotify_fork_SOURCES = test/ummunotify/test_ummunotify_fork.c
test_ummunotify_test_ummunotify_fork_LDADD = $(ummunotify_test_libs)
test_ummunotify_test_ummunotify_descriptor_SOURCES = test/ummunotify/test_ummunotify_descriptor.c
test_ummunotify_test_ummunotify_descriptor_LDADD = $(ummunotify_test_libs)
test_ummunotify_test_ummunotify_rcache_SOURCES = test/ummunotify/test_ummunotify_rcache.c
test_ummunotify_test_ummunotify_rcache_LDADD = $(ummunotify_test_libs)
# The installed library, and whatever kind of component it has.
test_ummunotify_test_ummunotify_component_SOURCES = test/ummunotify/test_ummunotify_component.c
test_ummunotify_test_ummunotify_component_LDADD = libopalmem.la $(CHECK_LIBS)
