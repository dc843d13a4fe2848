# The component "linux". Unit tests link its convenience library; test_linux_paths and
# test_linux_threads test the whole library.
if LINUX_ARCH
linux_unit_tests = test/linux/test_linux_ranges test/linux/test_linux_calls test/linux/test_linux_shm \
	test/linux/test_linux_install test/linux/test_linux_files test/linux/test_linux_process \
	test/linux/test_linux_loss test/linux/test_linux_spans
if LINUX_ARCH_X86_64
linux_unit_tests += test/linux/test_linux_find test/linux/test_linux_patch test/linux/test_linux_trampoline
endif
if LINUX_ARCH_AARCH64
linux_unit_tests += test/linux/test_linux_cancel_aarch64 test/linux/test_linux_code_aarch64 \
	test/linux/test_linux_facts_aarch64 test/linux/test_linux_stub_aarch64
endif
linux_library_tests = test/linux/test_linux_paths test/linux/test_linux_threads test/linux/test_linux_guard
check_PROGRAMS += $(linux_unit_tests) $(linux_library_tests)
TESTS += $(linux_unit_tests) $(linux_library_tests)
noinst_HEADERS += test/linux/fake_files.h test/linux/fake_sys.h test/linux/valgrind.h

linux_unit_libs = libmca_memory_linux.la libopalmem_internal.la $(CHECK_LIBS)

test_linux_test_linux_ranges_SOURCES = test/linux/test_linux_ranges.c
test_linux_test_linux_ranges_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_ranges_LDADD = $(linux_unit_libs)

test_linux_test_linux_find_SOURCES = test/linux/test_linux_find.c
test_linux_test_linux_find_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_find_LDADD = $(linux_unit_libs)

test_linux_test_linux_patch_SOURCES = test/linux/test_linux_patch.c
test_linux_test_linux_patch_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_patch_LDADD = $(linux_unit_libs)


test_linux_test_linux_trampoline_SOURCES = test/linux/test_linux_trampoline.c
test_linux_test_linux_trampoline_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_trampoline_LDADD = $(linux_unit_libs)

test_linux_test_linux_calls_SOURCES = test/linux/test_linux_calls.c
test_linux_test_linux_calls_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_calls_LDADD = $(linux_unit_libs)

test_linux_test_linux_shm_SOURCES = test/linux/test_linux_shm.c
test_linux_test_linux_shm_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_shm_LDADD = $(linux_unit_libs)

test_linux_test_linux_install_SOURCES = test/linux/test_linux_install.c
test_linux_test_linux_install_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_install_LDADD = $(linux_unit_libs)

test_linux_test_linux_files_SOURCES = test/linux/test_linux_files.c
test_linux_test_linux_files_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_files_LDADD = $(linux_unit_libs)

test_linux_test_linux_loss_SOURCES = test/linux/test_linux_loss.c
test_linux_test_linux_loss_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_loss_LDADD = $(linux_unit_libs)

test_linux_test_linux_spans_SOURCES = test/linux/test_linux_spans.c
test_linux_test_linux_spans_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_spans_LDADD = $(linux_unit_libs)

test_linux_test_linux_process_SOURCES = test/linux/test_linux_process.c
test_linux_test_linux_process_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_process_LDADD = $(linux_unit_libs)

test_linux_test_linux_paths_SOURCES = test/linux/test_linux_paths.c test/linux/paths.h \
	test/linux/paths_files.c test/linux/paths_system.c test/linux/paths_malloc.c test/linux/paths_quiet.c
test_linux_test_linux_paths_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_paths_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_threads_SOURCES = test/linux/test_linux_threads.c
test_linux_test_linux_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_threads_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_guard_SOURCES = test/linux/test_linux_guard.c
test_linux_test_linux_guard_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_guard_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_code_aarch64_SOURCES = test/linux/test_linux_code_aarch64.c
test_linux_test_linux_code_aarch64_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_code_aarch64_LDADD = $(linux_unit_libs)

test_linux_test_linux_stub_aarch64_SOURCES = test/linux/test_linux_stub_aarch64.c
test_linux_test_linux_stub_aarch64_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_stub_aarch64_LDADD = $(linux_unit_libs)

test_linux_test_linux_facts_aarch64_SOURCES = test/linux/test_linux_facts_aarch64.c
test_linux_test_linux_facts_aarch64_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_facts_aarch64_LDADD = $(linux_unit_libs)

test_linux_test_linux_cancel_aarch64_SOURCES = test/linux/test_linux_cancel_aarch64.c
test_linux_test_linux_cancel_aarch64_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
test_linux_test_linux_cancel_aarch64_LDADD = $(linux_unit_libs)
endif
