# SPDX-License-Identifier: BSD-3-Clause
# The library inside another project, and beside other libraries in one process.
embed_tests = test/embed/test_embedded.sh test/embed/test_two_copies.sh test/embed/test_open_pal.sh
TESTS += $(embed_tests)
long_tests += test/embed/test_embedded.sh test/embed/test_two_copies.sh
EXTRA_DIST += $(embed_tests) test/embed/two_copies.c test/embed/side.c test/embed/side.h test/embed/unload.c \
	test/embed/open_pal.c test/embed/impostor.c
# It uses the copy that the other has built. (Through a variable: automake makes no rule for a test
# that has one already.)
two_copies_log = test/embed/test_two_copies.sh.log
$(two_copies_log): test/embed/test_embedded.sh.log
