# Interposition by GOT slots: works on every processor.
got_tests = test/linux/test_linux_got test/linux/test_linux_got_fixed test/linux/test_linux_interpose
check_PROGRAMS += $(got_tests)
TESTS += $(got_tests)
noinst_HEADERS += test/linux/probe.h
got_unit_libs = libmca_memory_linux.la libopalmem_internal.la $(CHECK_LIBS)

check_LTLIBRARIES += test/linux/got_probe_lazy.la test/linux/got_probe_now.la test/linux/got_probe_own.la \
	test/linux/got_probe_own_lazy.la
got_probe_ldflags = -module -avoid-version -shared -rpath /nowhere
test_linux_got_probe_lazy_la_SOURCES = test/linux/got_probe.c
test_linux_got_probe_lazy_la_LDFLAGS = $(got_probe_ldflags) -Wl,-z,lazy
test_linux_got_probe_now_la_SOURCES = test/linux/got_probe.c
test_linux_got_probe_now_la_LDFLAGS = $(got_probe_ldflags) -Wl,-z,now,-z,relro
test_linux_got_probe_own_la_SOURCES = test/linux/got_probe.c
test_linux_got_probe_own_la_CPPFLAGS = $(AM_CPPFLAGS) -DPROBE_OWN=4242
test_linux_got_probe_own_la_LDFLAGS = $(got_probe_ldflags) -Wl,-z,now
test_linux_got_probe_own_lazy_la_SOURCES = test/linux/got_probe.c
test_linux_got_probe_own_lazy_la_CPPFLAGS = $(AM_CPPFLAGS) -DPROBE_OWN=4242
test_linux_got_probe_own_lazy_la_LDFLAGS = $(got_probe_ldflags) -Wl,-z,lazy

test_linux_test_linux_got_SOURCES = test/linux/test_linux_got.c
test_linux_test_linux_got_LDADD = $(got_unit_libs)
test_linux_test_linux_got_fixed_SOURCES = test/linux/test_linux_got.c
test_linux_test_linux_got_fixed_CFLAGS = $(AM_CFLAGS) -fno-pie -DIS_FIXED=true
test_linux_test_linux_got_fixed_LDFLAGS = -no-pie
test_linux_test_linux_got_fixed_LDADD = $(got_unit_libs)

test_linux_test_linux_interpose_SOURCES = test/linux/test_linux_interpose.c
test_linux_test_linux_interpose_LDADD = libopalmem.la $(CHECK_LIBS)

# Where code is replaced, malloc-level events are an option of that mechanism.
if LINUX_ARCH
check_PROGRAMS += test/linux/test_linux_malloc test/linux/test_linux_malloc_threads
TESTS += test/linux/test_linux_malloc test/linux/test_linux_malloc_threads
endif
test_linux_test_linux_malloc_SOURCES = test/linux/test_linux_malloc.c
test_linux_test_linux_malloc_LDADD = libopalmem.la $(CHECK_LIBS)
test_linux_test_linux_malloc_threads_SOURCES = test/linux/test_linux_malloc_threads.c
test_linux_test_linux_malloc_threads_LDADD = libopalmem.la $(CHECK_LIBS)

EXTRA_DIST += test/debian11/check-debian11.sh test/debian11/malloc_hook.c
