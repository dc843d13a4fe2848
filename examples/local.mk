# Examples; `make check` builds and runs them.
check_PROGRAMS += examples/minimal
examples_minimal_SOURCES = examples/minimal.c
examples_minimal_LDADD = libopalmem.la
check_PROGRAMS += examples/launcher
examples_launcher_SOURCES = examples/launcher.c
examples_launcher_LDADD = libopalmem.la
EXTRA_DIST += examples/minimal.c examples/launcher.c
# A project of its own, which test/embed/test_embedded.sh builds.
EXTRA_DIST += examples/embedded/README examples/embedded/configure.ac examples/embedded/Makefile.am \
	examples/embedded/main.c examples/embedded/myruntime.h examples/embedded/portability.c
