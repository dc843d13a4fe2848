# Helper targets beside make check; `make help` lists them.
EXTRA_DIST += quickstart config/update-rename.sh config/check-layers.sh config/check-headers.sh \
	config/check-symbols.sh config/check-names.sh config/fuzz.sh config/lint.sh config/check-variant.sh config/check-aarch64.sh \
	config/debian-cross.sh config/check-other-arch.sh .clang-format .clang-tidy

.PHONY: help check-model lint check-headers check-symbols check-asan check-tsan check-valgrind check-clang check-dso \
	check-prefix check-without check-aarch64 check-other-arch check-all fuzz bench

help:
	@echo "all             build"; \
	echo "check           the tests of this build"; \
	echo "check-headers   public headers compile alone, in C and C++"; \
	echo "check-symbols   prefix of all symbols, exports of DSOs, rename headers"; \
	echo "lint            include direction, clang-tidy, cppcheck, shellcheck, format"; \
	echo "check-model     models of the protocols, with spin"; \
	echo "check-asan      tests under AddressSanitizer and UndefinedBehaviorSanitizer"; \
	echo "check-tsan      tests under ThreadSanitizer"; \
	echo "check-valgrind  tests under valgrind"; \
	echo "check-clang     tests of a build with clang"; \
	echo "check-dso       tests of a build with components as DSOs"; \
	echo "check-prefix    tests of builds with another symbol prefix, components static and as DSOs"; \
	echo "check-without   tests of builds without each optional library, and without all"; \
	echo "check-aarch64   tests of a build for aarch64, under qemu-user"; \
	echo "check-other-arch  builds for architectures that nobody has written machine code for"; \
	echo "check-all       all of these"; \
	echo "fuzz            fuzz targets with libFuzzer (clang), FUZZ_SECONDS=60 each"; \
	echo "bench           what the hooks, reading a variable, and starting the library cost"; \
	echo "install, dist, distcheck, clean: as usual"

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
check-valgrind:
	$(variant) valgrind
check-clang:
	$(variant) clang CC=clang CXX=clang++ CFLAGS='-O2 -g -gdwarf-4'
check-dso:
	$(variant) dso --enable-mca-dso
check-prefix:
	$(variant) prefix --with-symbol-prefix=myrt_
	$(variant) prefix-dso --with-symbol-prefix=other_runtime_ --enable-mca-dso
check-without:
	$(variant) without-hwloc --without-hwloc
	$(variant) without-libltdl --without-libltdl
	$(variant) without-libibverbs --without-libibverbs
	$(variant) without-liburing --without-liburing
	$(variant) without-all --without-hwloc --without-libltdl --without-libibverbs --without-liburing
check-aarch64:
	$(srcdir)/config/check-aarch64.sh
check-other-arch:
	$(srcdir)/config/check-other-arch.sh

fuzz:
	$(SHELL) $(srcdir)/config/fuzz.sh

check-all: check check-model check-headers check-symbols lint check-dso check-prefix check-clang check-without check-asan check-tsan \
	check-valgrind check-aarch64 check-other-arch distcheck

noinst_PROGRAMS += bench/bench_hooks
bench_bench_hooks_SOURCES = bench/bench_hooks.c
bench_bench_hooks_LDADD = libopalmem.la
noinst_PROGRAMS += bench/bench_vars
bench_bench_vars_SOURCES = bench/bench_vars.c
noinst_PROGRAMS += bench/bench_init
bench_bench_init_SOURCES = bench/bench_init.c
bench_bench_init_LDADD = libopalmem.la
bench: bench/bench_hooks bench/bench_vars bench/bench_init
	bench/bench_hooks
	bench/bench_vars
	$(tests_component_path) bench/bench_init

clean-local:
	rm -rf variants test/embed/outer.d*
