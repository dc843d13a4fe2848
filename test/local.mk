# Tests. Unit tests of internals link the convenience library; tests of the
# whole library link libopalmem and use public headers only.
# Components as DSOs are found in the build tree, and nobody's parameter files are read.
if HAVE_LTDL
tests_component_path = OPALMEM_MCA_mca_base_component_path='$(abs_top_builddir)/.libs'; \
	export OPALMEM_MCA_mca_base_component_path;
endif
AM_TESTS_ENVIRONMENT = \
	unset OPALMEM_MCA_memory OMPI_MCA_memory; \
	OPALMEM_MCA_mca_base_param_files=none; export OPALMEM_MCA_mca_base_param_files; \
	top_builddir='$(abs_top_builddir)'; top_srcdir='$(abs_top_srcdir)'; \
	$(tests_component_path) \
	CK_DEFAULT_TIMEOUT=240; CC='$(CC)'; TEST_CFLAGS='$(filter -fsanitize=%,$(CFLAGS))'; \
	export top_builddir top_srcdir CK_DEFAULT_TIMEOUT CC TEST_CFLAGS;
# The longest ones: OPALMEM_TEST_LONG=no leaves them out.
long_tests =
if HAVE_CHECK
include test/framework/local.mk
include test/build/local.mk
include test/kit/local.mk
include test/model/local.mk
include test/base/local.mk
include test/coverage/local.mk
include test/info/local.mk
include test/top/local.mk
include test/kdreg/local.mk
include test/linux/local.mk
include test/linux/got.mk
include test/userfaultfd/local.mk
include test/provider/local.mk
include test/rcache/local.mk
include test/stress/local.mk
include test/kernel/local.mk
include test/vm/local.mk
include test/ummunotify/local.mk
include test/embed/local.mk
include test/company/local.mk
if HAVE_LIBURING
include test/msg/local.mk
if LINUX_ARCH
include test/run/local.mk
endif
endif
else
check-local:
	@echo "make check needs the Check library (Debian package: check)" >&2; exit 1
check-vm:
	@echo "check-vm: SKIP: it needs the Check library (Debian package: check)" >&2; exit 77
endif
