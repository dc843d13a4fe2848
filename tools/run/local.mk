# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: a program as it is, with its reads and writes through the cache. The preload library is an object of its
# own: it exports the names of libc that it wraps, and nothing else.
bin_PROGRAMS += opalmem-run
opalmem_run_SOURCES = \
	tools/run/run.h \
	tools/run/run_elf.c \
	tools/run/run_launch.c \
	tools/run/run_main.c \
	tools/run/run_options.c \
	tools/run/run_page.h \
	tools/run/run_report.c \
	tools/run/run_report_json.c \
	tools/run/run_setup.c
opalmem_run_CPPFLAGS = $(AM_CPPFLAGS) -DOPALMEM_COMPONENTDIR='"$(opalmem_componentdir)"'
opalmem_run_LDFLAGS = $(AM_LDFLAGS)
opalmem_run_LDADD = libtoolutil.la libopalmem.la
dist_man_MANS += man/opalmem-run.1
dist_doc_DATA += docs/opalmem-run.md

run_preload_LTLIBRARIES = opalmem_run_preload.la
run_preload_sources = \
	tools/run/preload/preload.h \
	tools/run/preload/preload_cache.c \
	tools/run/preload/preload_calls.c \
	tools/run/preload/preload_descriptors.c \
	tools/run/preload/preload_names.c \
	tools/run/preload/preload_process.c \
	tools/run/preload/preload_raw.h \
	tools/run/preload/preload_real.c \
	tools/run/preload/preload_signals.c \
	tools/run/preload/preload_text.c \
	tools/run/preload/preload_transfer.c \
	tools/run/preload/preload_transfer.h \
	tools/run/preload/preload_verify.c
opalmem_run_preload_la_SOURCES = $(run_preload_sources)
if HAVE_PIDFD_SPAWN
opalmem_run_preload_la_SOURCES += tools/run/preload/preload_spawn.c
endif
# What is wrapped must not be fortified: that would be inline functions of the same names. -fexceptions: a handler, or
# the cancellation of a thread, may unwind through a wrapper.
opalmem_run_preload_la_CFLAGS = $(AM_CFLAGS) -fexceptions -U_FORTIFY_SOURCE
run_preload_ldflags = -module -avoid-version -shared -Wl,-z,now -Wl,-z,nodelete -Wl,-Bsymbolic-functions
opalmem_run_preload_la_LDFLAGS = $(run_preload_ldflags)
opalmem_run_preload_la_LIBADD = libopalmem.la -ldl -lpthread
