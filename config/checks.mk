# Helper targets beside make check; `make help` lists them.
EXTRA_DIST += quickstart config/update-rename.sh config/check-layers.sh config/check-headers.sh \
	config/check-symbols.sh config/check-names.sh config/fuzz.sh config/lint.sh config/check-variant.sh config/build-without-check.sh config/under-valgrind.sh config/check-aarch64.sh \
	config/debian-cross.sh config/check-other-arch.sh .clang-format .clang-tidy

.PHONY: help check-long check-model lint check-headers check-symbols check-asan check-tsan check-tsan-core check-valgrind check-clang check-dso check-clang-dso \
	check-stress check-prefix check-vm check-without check-debian11 check-aarch64 check-other-arch check-all fuzz bench

help:
	@echo "all             build"; \
	echo "check           the tests of this build"; \
	echo "check-long      the longest of them; OPALMEM_TEST_LONG=no make check leaves them out"; \
	echo "check-headers   public headers compile alone, in C and C++"; \
	echo "check-symbols   prefix of all symbols, exports of DSOs, rename headers"; \
	echo "lint            include direction, clang-tidy, cppcheck, shellcheck, format"; \
	echo "check-model     models of the protocols, with spin"; \
	echo "check-asan      tests under AddressSanitizer and UndefinedBehaviorSanitizer"; \
	echo "check-tsan      tests under ThreadSanitizer"; \
	echo "check-tsan-core some of them, where many threads meet (not in check-all)"; \
	echo "check-stress    the caches under stress, every component, SECONDS=60 a run (not in check-all)"; \
	echo "check-valgrind  tests under valgrind"; \
	echo "check-clang     tests of a build with clang"; \
	echo "check-dso       tests of a build with components as DSOs"; \
	echo "check-clang-dso tests of a build with both, for want of time (not in check-all)"; \
	echo "check-prefix    tests of builds with another symbol prefix, components static and as DSOs"; \
	echo "check-without   tests of builds without each optional library, and without all; a build without the Check library"; \
	echo "check-vm        the memory components on drivers in a kernel of their own, the provider verbs on soft-RoCE: in a QEMU guest (needs Debian's archive once; SUITES='NAME...' for some; not in check-all)"; \
	echo "check-aarch64   tests of a build for aarch64, under qemu-user"; \
	echo "check-other-arch  builds for architectures that nobody has written machine code for"; \
	echo "check-debian11  tests of the component linux with glibc 2.31, in a chroot (root; not in check-all)"; \
	echo "check-all       all of these, but what says that it is not in it"; \
	echo "fuzz            fuzz targets with libFuzzer (clang), FUZZ_SECONDS=60 each"; \
	echo "bench           what the hooks and the registration cache (beside UCX, too), reading a variable, starting and stopping cost"; \
	echo "install, dist, distcheck, clean: as usual"

# With a log of its own: the figures of make check stay those of all others.
check-long:
	$(MAKE) -j$$(nproc) check TESTS='$(long_tests)' TEST_SUITE_LOG=long.log VERBOSE=1

check-model:
	CC='$(CC)' $(srcdir)/test/model/check-model.sh

check-headers:
	CC="$(CC)" CXX="$(CXX)" $(srcdir)/config/check-headers.sh .

check-symbols: libopalmem.la
	$(srcdir)/config/check-symbols.sh .

lint: all
	$(srcdir)/config/lint.sh .

# Each variant is a build of its own below variants/.
variant = $(SHELL) $(srcdir)/config/check-variant.sh

check-asan:
	$(variant) asan --enable-sanitizer=address,undefined
check-tsan:
	$(variant) tsan --enable-sanitizer=thread
# Where many threads meet: for machines on which all of them take too long (not in check-all).
tsan_core_tests = test/framework/test_memory_hooks test/framework/test_hooks_threads $(linux_threads_test) \
	test/rcache/test_grdma_races test/rcache/test_grdma_threads test/rcache/test_grdma_hits test/rcache/test_grdma_growth \
	test/rcache/test_grdma_mutex test/rcache/test_grdma_left test/rcache/test_rcache_finalize test/kdreg/test_kdreg_threads
if LINUX_ARCH
linux_threads_test = test/linux/test_linux_threads
endif
check-tsan-core:
	ONLY='$(tsan_core_tests)' $(variant) tsan-core --enable-sanitizer=thread
check-valgrind:
	$(variant) valgrind
check-clang:
	$(variant) clang CC=clang CXX=clang++ CFLAGS='-O2 -g -gdwarf-4'
check-dso:
	$(variant) dso --enable-mca-dso
check-clang-dso:
	$(variant) clang-dso CC=clang CXX=clang++ CFLAGS='-O2 -g -gdwarf-4' --enable-mca-dso
check-prefix:
	$(variant) prefix --with-symbol-prefix=myrt_
	$(variant) prefix-dso --with-symbol-prefix=other_runtime_ --enable-mca-dso
check-without:
	$(variant) without-hwloc --without-hwloc
	$(variant) without-libltdl --without-libltdl
	$(variant) without-libibverbs --without-libibverbs
	$(variant) without-liburing --without-liburing
	$(variant) without-all --without-hwloc --without-libltdl --without-libibverbs --without-liburing
	$(SHELL) $(srcdir)/config/build-without-check.sh
check-aarch64:
	$(srcdir)/config/check-aarch64.sh
check-other-arch:
	$(srcdir)/config/check-other-arch.sh

# make check-stress SECONDS=3600: longer runs than those of make check, for each component that is there.
check-stress: test/stress/opalmem_stress$(EXEEXT) opalmem-info$(EXEEXT)
	$(tests_component_path) OPALMEM_MCA_mca_base_param_files=none \
		$(SHELL) $(srcdir)/test/stress/check-stress.sh $(or $(SECONDS),60)

# The last Debian whose glibc has malloc hooks. Needs root, and an archive of Debian within reach: not in check-all.
check-debian11: dist
	$(SHELL) $(srcdir)/test/debian11/check-debian11.sh $(distdir).tar.xz variants/debian11 \
		$(linux_unit_tests) $(linux_library_tests) $(got_tests) test/linux/test_linux_malloc

fuzz:
	$(SHELL) $(srcdir)/config/fuzz.sh

check-all: check check-model check-headers check-symbols lint check-dso check-prefix check-clang check-without check-asan check-tsan \
	check-valgrind check-aarch64 check-other-arch distcheck

bench_programs = bench/bench_hooks bench/bench_vars bench/bench_init bench/bench_stall
bench_bench_hooks_SOURCES = bench/bench_hooks.c
bench_bench_hooks_LDADD = libopalmem.la
bench_bench_vars_SOURCES = bench/bench_vars.c
bench_bench_init_SOURCES = bench/bench_init.c
bench_bench_init_LDADD = libopalmem.la
bench_bench_stall_SOURCES = bench/bench_stall.c
bench_bench_stall_LDADD = libopalmem.la
bench_programs += bench/bench_overlap
bench_bench_overlap_SOURCES = bench/rcache/bench_overlap.c
bench_bench_overlap_LDADD = libopalmem.la
bench_programs += bench/bench_userfaultfd
bench_bench_userfaultfd_SOURCES = bench/userfaultfd/bench_userfaultfd.c
bench_bench_userfaultfd_LDADD = libopalmem.la
# Below test/, because they time internal functions.
bench_programs += test/rcache/time_index
test_rcache_time_index_SOURCES = test/rcache/time_index.c
test_rcache_time_index_LDADD = libopalmem_internal.la
# On the fake driver of the tests.
if HAVE_CHECK
bench_programs += test/kdreg/time_told
test_kdreg_time_told_SOURCES = test/kdreg/time_told.c $(kdreg_test_sources)
test_kdreg_time_told_LDADD = $(kdreg_test_libs)
time_told = test/kdreg/time_told || [ $$? = 77 ]
else
time_told = echo "time_told: it needs the Check library (Debian package: check)"
endif
if LINUX_ARCH
bench_programs += test/linux/time_install
test_linux_time_install_SOURCES = test/linux/time_install.c
test_linux_time_install_LDADD = libmca_memory_linux.la libopalmem_internal.la
time_install = test/linux/time_install && test/linux/time_install --threads 1
else
time_install = echo "time_install: the component linux replaces no code here"
endif
if LINUX_ARCH_X86_64
bench_programs += bench/bench_peers
bench_bench_peers_SOURCES = bench/bench_peers.c
bench_bench_peers_LDADD = libopalmem.la
bench_peers = bench/bench_peers
bench_programs += bench/bench_rcache
bench_bench_rcache_SOURCES = bench/rcache/bench_rcache.c bench/rcache/bench.h bench/rcache/cases.h \
	bench/rcache/cases_release.h bench/rcache/cases_threads.h bench/rcache/rows.c bench/rcache/side_opalmem.c bench/rcache/side_ucx.c bench/rcache/tools.c
bench_bench_rcache_CFLAGS = $(AM_CFLAGS) -pthread -falign-loops=64
bench_bench_rcache_LDADD = libopalmem.la
EXTRA_bench_bench_rcache_DEPENDENCIES = bench/rcache/libfabric.stamp
libfabric_side = bench/rcache/side_libfabric.c bench/rcache/stubs_libfabric.c
EXTRA_DIST += $(libfabric_side) bench/rcache/libfabric.sh bench/rcache/callgrind.sh bench/rcache/plot.sh \
	bench/rcache/report.sh
bench/rcache/libfabric.stamp: $(bench_bench_rcache_SOURCES) $(libfabric_side) bench/rcache/libfabric.sh
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(srcdir)/bench/rcache/libfabric.sh bench/bench_rcache_libfabric \
		$(CC) $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(AM_CFLAGS) -falign-loops=64 $(CFLAGS) $(LDFLAGS) && touch $@
bench_rcache = bench/bench_rcache
else
bench_peers = echo "bench_peers: written for x86-64"
bench_rcache = echo "bench_rcache: written for x86-64"
endif
noinst_PROGRAMS += $(bench_programs)
bench: $(bench_programs)
	bench/bench_hooks
	bench/bench_vars
	$(tests_component_path) bench/bench_init
	$(time_install)
	$(tests_component_path) $(bench_peers)
	$(tests_component_path) $(bench_rcache)
	$(tests_component_path) bench/bench_overlap
	$(tests_component_path) bench/bench_stall
	$(tests_component_path) bench/bench_userfaultfd
	test/rcache/time_index
	$(time_told)

clean-local:
	rm -rf variants vm test/embed/outer.d* bench/bench_rcache_libfabric bench/bench_rcache_libfabric.d
	rm -f bench/rcache/libfabric.stamp
