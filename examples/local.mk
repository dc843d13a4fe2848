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
# Components outside the tree: a folder with a Makefile of its own, installed for those who start from it.
componentexampledir = $(docdir)/examples/component
dist_componentexample_DATA = \
	examples/component/Makefile \
	examples/component/arena.c \
	examples/component/arena.h \
	examples/component/demo.c \
	examples/component/journal.c \
	examples/component/journal.h \
	examples/component/mca_memory_arena.c \
	examples/component/mca_memory_journal.c \
	examples/component/mca_rcache_trace.c
# A provider, likewise; the conformance suite is installed beside it (test/provider/local.mk).
providerexampledir = $(docdir)/examples/provider
dist_providerexample_DATA = \
	examples/provider/Makefile \
	examples/provider/conformance.c \
	examples/provider/demo.c \
	examples/provider/ring_provider.c \
	examples/provider/ring_provider.h
