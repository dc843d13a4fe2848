# SPDX-License-Identifier: BSD-3-Clause
# Tests of the MCA base, and the component DSOs that they load.
base_tests = \
	test/base/test_abi \
	test/base/test_mca_base_cmd_line \
	test/base/test_mca_base_cmd_line_environ \
	test/base/test_mca_base_file \
	test/base/test_mca_base_framework \
	test/base/test_mca_base_log \
	test/base/test_mca_base_path \
	test/base/test_mca_base_repository \
	test/base/test_mca_base_repository_copy \
	test/base/test_mca_base_repository_directories \
	test/base/test_mca_base_repository_vars \
	test/base/test_mca_base_secure \
	test/base/test_mca_base_selection \
	test/base/test_mca_base_unknown \
	test/base/test_mca_base_var \
	test/base/test_mca_base_var_def \
	test/base/test_mca_base_var_locale \
	test/base/test_mca_base_var_parse \
	test/base/test_mca_base_var_set \
	test/base/test_mca_base_var_source \
	test/base/test_mca_base_var_synonym \
	test/base/test_mca_base_var_threads
check_PROGRAMS += $(base_tests)
check_PROGRAMS += test/base/rounds
test_base_rounds_LDADD = libopalmem.la
TESTS += $(base_tests) test/base/test_launcher.sh test/base/test_rounds_valgrind.sh
EXTRA_DIST += test/base/test_rounds_valgrind.sh

check_LTLIBRARIES += libbase_test.la
libbase_test_la_SOURCES = test/base/base_test.c test/base/base_test.h test/base/dso_fixture.c test/base/dso_fixture.h
libbase_test_la_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_MODULE_DIR='"$(abs_top_builddir)/test/base/.libs"'
base_test_ldadd = libbase_test.la libopalmem_internal.la $(CHECK_LIBS)
base_test_cppflags = $(AM_CPPFLAGS) -DOPALMEM_COMPONENTDIR='"$(opalmem_componentdir)"'

test_base_test_abi_LDADD = libopalmem.la
test_base_test_mca_base_cmd_line_LDADD = $(base_test_ldadd)
test_base_test_mca_base_cmd_line_environ_LDADD = $(base_test_ldadd)
test_base_test_mca_base_file_LDADD = $(base_test_ldadd)
test_base_test_mca_base_framework_LDADD = $(base_test_ldadd)
test_base_test_mca_base_log_LDADD = $(base_test_ldadd)
test_base_test_mca_base_path_LDADD = $(base_test_ldadd)
test_base_test_mca_base_repository_LDADD = $(base_test_ldadd)
# The modules call the library, which is linked into the test.
test_base_test_mca_base_repository_LDFLAGS = -export-dynamic
# Without it: these names are the program's own.
test_base_test_mca_base_repository_copy_LDADD = $(base_test_ldadd)
test_base_test_mca_base_repository_directories_LDADD = $(base_test_ldadd)
test_base_test_mca_base_repository_directories_LDFLAGS = -export-dynamic
test_base_test_mca_base_repository_vars_LDADD = $(base_test_ldadd)
test_base_test_mca_base_repository_vars_LDFLAGS = -export-dynamic
test_base_test_mca_base_secure_LDADD = $(base_test_ldadd)
test_base_test_mca_base_selection_LDADD = $(base_test_ldadd)
test_base_test_mca_base_unknown_SOURCES = test/base/test_mca_base_unknown.c $(wrapped_files)
test_base_test_mca_base_unknown_LDFLAGS = $(wrapped_files_ldflags)
test_base_test_mca_base_unknown_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_CPPFLAGS = $(base_test_cppflags)
test_base_test_mca_base_var_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_parse_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_def_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_locale_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_threads_LDADD = $(base_test_ldadd)

# Programs that bring the settings of files themselves.
wrapped_files = test/base/wrapped_files.c test/base/wrapped_files.h
wrapped_files_ldflags = \
	-Wl,--wrap=$(OPALMEM_SYMBOL_PREFIX)mca_base_file_find \
	-Wl,--wrap=$(OPALMEM_SYMBOL_PREFIX)mca_base_file_get
test_base_test_mca_base_var_set_SOURCES = test/base/test_mca_base_var_set.c $(wrapped_files)
test_base_test_mca_base_var_set_LDFLAGS = $(wrapped_files_ldflags)
test_base_test_mca_base_var_set_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_source_SOURCES = test/base/test_mca_base_var_source.c $(wrapped_files)
test_base_test_mca_base_var_source_LDFLAGS = $(wrapped_files_ldflags)
test_base_test_mca_base_var_source_LDADD = $(base_test_ldadd)
test_base_test_mca_base_var_synonym_SOURCES = test/base/test_mca_base_var_synonym.c $(wrapped_files)
test_base_test_mca_base_var_synonym_LDFLAGS = $(wrapped_files_ldflags)
test_base_test_mca_base_var_synonym_LDADD = $(base_test_ldadd)

if HAVE_LTDL
check_LTLIBRARIES += \
	test/base/mca_fake_base_variables.la \
	test/base/mca_fake_copy.la \
	test/base/mca_fake_good.la \
	test/base/mca_fake_hook_alloc.la \
	test/base/mca_fake_hook_release.la \
	test/base/mca_fake_log.la \
	test/base/mca_fake_newmca.la \
	test/base/mca_fake_nosymbol.la \
	test/base/mca_fake_oldframework.la \
	test/base/mca_fake_resident.la \
	test/base/mca_fake_small.la \
	test/base/mca_fake_two_words.la \
	test/base/mca_fake_unresolved.la \
	test/base/mca_fake_wrongname.la \
	test/base/mca_fake_wrongtype.la
endif
# -rpath makes libtool build a shared object although nothing is installed.
fake_module_ldflags = -module -avoid-version -shared -Wl,-z,now -rpath /nowhere
test_base_mca_fake_base_variables_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_base_variables_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=base_variables -DMODULE_VARIABLES='"base"'
test_base_mca_fake_base_variables_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_good_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_good_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=good
test_base_mca_fake_good_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_newmca_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_newmca_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=newmca -DMODULE_MCA_MINOR=1
test_base_mca_fake_newmca_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_nosymbol_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_nosymbol_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=nosymbol -DMODULE_SYMBOL=elsewhere
test_base_mca_fake_nosymbol_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_oldframework_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_oldframework_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=oldframework -DMODULE_MAJOR=1
test_base_mca_fake_oldframework_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_resident_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_resident_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=resident -DMODULE_FLAGS=MCA_BASE_COMPONENT_FLAG_RESIDENT
test_base_mca_fake_resident_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_small_la_SOURCES = test/base/fake_module_small.c
test_base_mca_fake_small_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_two_words_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_two_words_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=two_words
test_base_mca_fake_two_words_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_unresolved_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_unresolved_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=unresolved -DMODULE_UNRESOLVED
test_base_mca_fake_unresolved_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_wrongname_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_wrongname_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=wrongname -DMODULE_CALLED=other
test_base_mca_fake_wrongname_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_wrongtype_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_wrongtype_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=wrongtype -DMODULE_FRAMEWORK=memory
test_base_mca_fake_wrongtype_la_LDFLAGS = $(fake_module_ldflags)
EXTRA_DIST += test/base/test_launcher.sh
test_base_mca_fake_log_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_log_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=log -DMODULE_LOG
test_base_mca_fake_log_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_hook_alloc_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_hook_alloc_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=hook_alloc -DMODULE_HOOK=alloc
test_base_mca_fake_hook_alloc_la_LDFLAGS = $(fake_module_ldflags)
test_base_mca_fake_hook_release_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_hook_release_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=hook_release -DMODULE_HOOK=release
test_base_mca_fake_hook_release_la_LDFLAGS = $(fake_module_ldflags)
# Brings the shared library along, where the tests have the static one in them.
test_base_mca_fake_copy_la_SOURCES = test/base/fake_module.c
test_base_mca_fake_copy_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE=copy
test_base_mca_fake_copy_la_LIBADD = libopalmem.la
test_base_mca_fake_copy_la_LDFLAGS = $(fake_module_ldflags)
