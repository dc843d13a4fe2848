# What is installed, and what the papers say.
build_tests = test/build/test_configure.sh test/build/test_install.sh test/build/test_readme.sh \
	test/build/test_static.sh test/build/test_symbols.sh test/build/test_quickstart.sh
TESTS += $(build_tests)
EXTRA_DIST += $(build_tests)
# Last of all: installing links DSOs anew, and for a moment they are not where other tests look for them.
installing_logs = test/build/test_install.sh.log test/build/test_static.sh.log \
	test/kit/test_component_kit.sh.log test/kit/test_component_document.sh.log \
	test/provider/test_provider_kit.sh.log
$(installing_logs): $(filter-out $(installing_logs),$(TEST_LOGS))
