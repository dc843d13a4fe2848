# The component "userfaultfd", on the real kernel. Units link its convenience library.
userfaultfd_tests = test/userfaultfd/test_userfaultfd test/userfaultfd/test_userfaultfd_races \
	test/userfaultfd/test_userfaultfd_units test/userfaultfd/test_userfaultfd_discards \
	test/userfaultfd/test_userfaultfd_moves test/userfaultfd/test_userfaultfd_hands \
	test/userfaultfd/test_userfaultfd_faults test/userfaultfd/test_userfaultfd_descriptors
check_PROGRAMS += $(userfaultfd_tests)
TESTS += $(userfaultfd_tests) test/userfaultfd/test_userfaultfd_rcache.sh
EXTRA_DIST += test/userfaultfd/test_userfaultfd_rcache.sh
noinst_HEADERS += test/userfaultfd/userfaultfd_fixture.h test/userfaultfd/userfaultfd_memory.h

test_userfaultfd_test_userfaultfd_SOURCES = test/userfaultfd/test_userfaultfd.c
test_userfaultfd_test_userfaultfd_LDADD = libopalmem.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_races_SOURCES = test/userfaultfd/test_userfaultfd_races.c
test_userfaultfd_test_userfaultfd_races_LDADD = libmca_memory_userfaultfd.la libopalmem_internal.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_units_SOURCES = test/userfaultfd/test_userfaultfd_units.c
test_userfaultfd_test_userfaultfd_units_LDADD = libmca_memory_userfaultfd.la libopalmem_internal.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_discards_SOURCES = test/userfaultfd/test_userfaultfd_discards.c
test_userfaultfd_test_userfaultfd_discards_LDADD = libopalmem.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_moves_SOURCES = test/userfaultfd/test_userfaultfd_moves.c
test_userfaultfd_test_userfaultfd_moves_LDADD = libopalmem.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_hands_SOURCES = test/userfaultfd/test_userfaultfd_hands.c
test_userfaultfd_test_userfaultfd_hands_LDADD = libmca_memory_userfaultfd.la libopalmem_internal.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_faults_SOURCES = test/userfaultfd/test_userfaultfd_faults.c
test_userfaultfd_test_userfaultfd_faults_LDADD = libopalmem.la $(CHECK_LIBS)

test_userfaultfd_test_userfaultfd_descriptors_SOURCES = test/userfaultfd/test_userfaultfd_descriptors.c
test_userfaultfd_test_userfaultfd_descriptors_LDADD = libmca_memory_userfaultfd.la libopalmem_internal.la $(CHECK_LIBS)
