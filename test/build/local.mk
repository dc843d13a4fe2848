# What is installed, and what the papers say.
build_tests = test/build/test_configure.sh test/build/test_install.sh test/build/test_readme.sh \
	test/build/test_static.sh test/build/test_symbols.sh test/build/test_quickstart.sh
TESTS += $(build_tests)
EXTRA_DIST += $(build_tests)
# Last of all: installing links DSOs anew, and for a moment they are not where other tests look for them.
installing_logs = test/build/test_install.sh.log test/build/test_static.sh.log
$(installing_logs): $(filter-out $(installing_logs),$(TEST_LOGS))
