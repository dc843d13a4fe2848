# Examples; `make check` builds and runs them.
check_PROGRAMS += examples/minimal
examples_minimal_SOURCES = examples/minimal.c
examples_minimal_LDADD = libopalmem.la
EXTRA_DIST += examples/minimal.c
