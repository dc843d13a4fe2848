# SPDX-License-Identifier: BSD-3-Clause
# Other libraries that hook the release of memory, beside ours in one process.
company_tests = test/company/test_company_ucx.sh test/company/test_company_ucx_reloc.sh test/company/test_company_memhooks.sh \
	test/company/test_company_open_mpi.sh test/company/test_company_pairs.sh
TESTS += $(company_tests)
long_tests += $(company_tests)
EXTRA_DIST += $(company_tests) test/company/company_common.sh test/company/company.h test/company/members.c test/company/memhooks.c \
	test/company/paths.c test/company/run.c test/company/matrix.c test/company/side.c
