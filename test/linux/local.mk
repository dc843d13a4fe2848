# The component "linux". Unit tests link its convenience library; test_linux_paths and
# test_linux_threads test the whole library.
if LINUX_ARCH
linux_unit_tests = test/linux/test_linux_ranges test/linux/test_linux_calls test/linux/test_linux_shm \
	test/linux/test_linux_install test/linux/test_linux_files test/linux/test_linux_process \
	test/linux/test_linux_loss test/linux/test_linux_spans test/linux/test_linux_lock test/linux/test_linux_kernel \
	test/linux/test_linux_loader test/linux/test_linux_texts
if LINUX_ARCH_X86_64
linux_unit_tests += test/linux/test_linux_find test/linux/test_linux_patch test/linux/test_linux_stubs \
	test/linux/test_linux_room test/linux/test_linux_vectors test/linux/test_linux_search
endif
linux_library_tests = test/linux/test_linux_paths test/linux/test_linux_threads test/linux/test_linux_guard
check_PROGRAMS += $(linux_unit_tests) $(linux_library_tests)
TESTS += $(linux_unit_tests) $(linux_library_tests)
noinst_HEADERS += test/linux/fake_files.h test/linux/fake_sys.h test/linux/own_bytes.h test/linux/own_code.h \
	test/linux/own_stub.h \
	test/linux/steps.h test/linux/valgrind.h

linux_unit_libs = libmca_memory_linux.la libopalmem_internal.la $(CHECK_LIBS)

test_linux_test_linux_ranges_SOURCES = test/linux/test_linux_ranges.c
test_linux_test_linux_ranges_LDADD = $(linux_unit_libs)

test_linux_test_linux_find_SOURCES = test/linux/test_linux_find.c
test_linux_test_linux_find_LDADD = $(linux_unit_libs)

test_linux_test_linux_patch_SOURCES = test/linux/test_linux_patch.c
test_linux_test_linux_patch_LDADD = $(linux_unit_libs)

test_linux_test_linux_lock_SOURCES = test/linux/test_linux_lock.c
test_linux_test_linux_lock_LDADD = $(linux_unit_libs)

test_linux_test_linux_stubs_SOURCES = test/linux/test_linux_stubs.c
test_linux_test_linux_stubs_LDADD = $(linux_unit_libs)

test_linux_test_linux_vectors_SOURCES = test/linux/test_linux_vectors.c
test_linux_test_linux_vectors_LDADD = $(linux_unit_libs)

test_linux_test_linux_room_SOURCES = test/linux/test_linux_room.c
test_linux_test_linux_room_LDADD = $(linux_unit_libs)

test_linux_test_linux_kernel_SOURCES = test/linux/test_linux_kernel.c
test_linux_test_linux_kernel_LDADD = $(linux_unit_libs)

test_linux_test_linux_loader_SOURCES = test/linux/test_linux_loader.c
test_linux_test_linux_loader_LDADD = $(linux_unit_libs)

test_linux_test_linux_calls_SOURCES = test/linux/test_linux_calls.c
test_linux_test_linux_calls_LDADD = $(linux_unit_libs)

test_linux_test_linux_shm_SOURCES = test/linux/test_linux_shm.c
test_linux_test_linux_shm_LDADD = $(linux_unit_libs)

test_linux_test_linux_texts_SOURCES = test/linux/test_linux_texts.c
test_linux_test_linux_texts_LDADD = $(linux_unit_libs)

test_linux_test_linux_search_SOURCES = test/linux/test_linux_search.c
test_linux_test_linux_search_LDADD = $(linux_unit_libs)

test_linux_test_linux_files_SOURCES = test/linux/test_linux_files.c
test_linux_test_linux_files_LDADD = $(linux_unit_libs)

test_linux_test_linux_process_SOURCES = test/linux/test_linux_process.c
test_linux_test_linux_process_LDADD = $(linux_unit_libs)

test_linux_test_linux_loss_SOURCES = test/linux/test_linux_loss.c
test_linux_test_linux_loss_LDADD = $(linux_unit_libs)

test_linux_test_linux_spans_SOURCES = test/linux/test_linux_spans.c
test_linux_test_linux_spans_LDADD = $(linux_unit_libs)

test_linux_test_linux_install_SOURCES = test/linux/test_linux_install.c
test_linux_test_linux_install_LDADD = $(linux_unit_libs)

test_linux_test_linux_paths_SOURCES = test/linux/test_linux_paths.c test/linux/paths.h \
	test/linux/paths_files.c test/linux/paths_system.c test/linux/paths_malloc.c test/linux/paths_quiet.c
test_linux_test_linux_paths_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_threads_SOURCES = test/linux/test_linux_threads.c
test_linux_test_linux_threads_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_guard_SOURCES = test/linux/test_linux_guard.c
test_linux_test_linux_guard_LDADD = libopalmem.la $(CHECK_LIBS)

linux_storm_tests = test/linux/test_linux_storm test/linux/test_linux_storm_install
check_PROGRAMS += $(linux_storm_tests)
TESTS += $(linux_storm_tests)

test_linux_test_linux_storm_SOURCES = test/linux/test_linux_storm.c test/linux/storm.c test/linux/storm.h
test_linux_test_linux_storm_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_storm_install_SOURCES = test/linux/test_linux_storm_install.c test/linux/storm.c \
	test/linux/storm.h
test_linux_test_linux_storm_install_LDADD = $(linux_unit_libs)

# Hook context, early starts, allocators, backtraces, loaded objects.
linux_watched = test/linux/watched.c test/linux/watched.h test/linux/scenes.h
linux_context_tests = test/linux/test_linux_context test/linux/test_linux_children test/linux/test_linux_hook_calls \
	test/linux/test_linux_stack test/linux/test_linux_objects
linux_context_scripts = test/linux/test_linux_dsos.sh test/linux/test_linux_early.sh \
	test/linux/test_linux_allocators.sh test/linux/test_linux_backtrace.sh test/linux/test_linux_sanitizer.sh
EXTRA_DIST += $(linux_context_scripts) test/linux/early.h test/linux/early_common.c test/linux/early_library.c \
	test/linux/early_program.c test/linux/early_dlopen.c test/linux/allocator_program.c test/linux/sanitizer_program.c \
	test/linux/linux_common.sh \
	test/linux/backtrace_program.c test/linux/backtrace_steps.py test/linux/unwind_program.cc
check_PROGRAMS += $(linux_context_tests)
TESTS += $(linux_context_tests) $(linux_context_scripts)

test_linux_test_linux_context_SOURCES = test/linux/test_linux_context.c $(linux_watched)
test_linux_test_linux_context_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_children_SOURCES = test/linux/test_linux_children.c $(linux_watched)
test_linux_test_linux_children_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_hook_calls_SOURCES = test/linux/test_linux_hook_calls.c $(linux_watched)
test_linux_test_linux_hook_calls_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_stack_SOURCES = test/linux/test_linux_stack.c $(linux_watched)
# Else the stack of looking up a symbol counts: a kilobyte or three.
test_linux_test_linux_stack_LDFLAGS = -Wl,-z,now
test_linux_test_linux_stack_LDADD = libopalmem.la $(CHECK_LIBS)

test_linux_test_linux_objects_SOURCES = test/linux/test_linux_objects.c test/linux/loaded.h $(linux_watched)
test_linux_test_linux_objects_CPPFLAGS = $(AM_CPPFLAGS) -DLOADED_DIR='"$(abs_top_builddir)/test/linux/.libs"'
test_linux_test_linux_objects_LDADD = libopalmem.la $(CHECK_LIBS)
EXTRA_test_linux_test_linux_objects_DEPENDENCIES = test/linux/loaded.la
check_LTLIBRARIES += test/linux/loaded.la
test_linux_loaded_la_SOURCES = test/linux/loaded.c test/linux/loaded.h
test_linux_loaded_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
endif
include test/linux/aarch64.mk
