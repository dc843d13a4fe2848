# What is installed, and what the papers say.
build_tests = test/build/test_configure.sh test/build/test_install.sh test/build/test_readme.sh \
	test/build/test_static.sh test/build/test_symbols.sh test/build/test_quickstart.sh
TESTS += $(build_tests)
EXTRA_DIST += $(build_tests)
