# Machine code of aarch64.
if LINUX_ARCH_AARCH64
linux_aarch64_tests = test/linux/test_linux_cancel_aarch64 test/linux/test_linux_code_aarch64 \
	test/linux/test_linux_facts_aarch64 test/linux/test_linux_stub_aarch64
check_PROGRAMS += $(linux_aarch64_tests)
TESTS += $(linux_aarch64_tests)

test_linux_test_linux_code_aarch64_SOURCES = test/linux/test_linux_code_aarch64.c
test_linux_test_linux_code_aarch64_LDADD = $(linux_unit_libs)

test_linux_test_linux_stub_aarch64_SOURCES = test/linux/test_linux_stub_aarch64.c
test_linux_test_linux_stub_aarch64_LDADD = $(linux_unit_libs)

test_linux_test_linux_facts_aarch64_SOURCES = test/linux/test_linux_facts_aarch64.c
test_linux_test_linux_facts_aarch64_LDADD = $(linux_unit_libs)

test_linux_test_linux_cancel_aarch64_SOURCES = test/linux/test_linux_cancel_aarch64.c
test_linux_test_linux_cancel_aarch64_LDADD = $(linux_unit_libs)
endif
