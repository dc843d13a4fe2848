# SPDX-License-Identifier: BSD-3-Clause
# opalmem-coverage: which ways of releasing memory are noticed here; with monitors of other libraries, each in a
# shared object that needs none of them to be built.
bin_PROGRAMS += opalmem-coverage
opalmem_coverage_SOURCES = \
	tools/coverage/coverage.h \
	tools/coverage/coverage_child.c tools/coverage/coverage_child.h \
	tools/coverage/coverage_judge.c \
	tools/coverage/coverage_main.c \
	tools/coverage/coverage_monitors.c \
	tools/coverage/coverage_options.c tools/coverage/coverage_options.h \
	tools/coverage/coverage_pages.c \
	tools/coverage/coverage_record.c \
	tools/coverage/coverage_report.c tools/coverage/coverage_report.h \
	tools/coverage/coverage_report_json.c \
	tools/coverage/coverage_rows.c \
	tools/coverage/coverage_run.c \
	tools/coverage/monitor.h \
	tools/coverage/monitor_opalmem.c \
	tools/coverage/scenes.h \
	tools/coverage/scenes_advice.c \
	tools/coverage/scenes_file.c \
	tools/coverage/scenes_fork.c \
	tools/coverage/scenes_libc.c \
	tools/coverage/scenes_malloc.c \
	tools/coverage/scenes_mmap.c \
	tools/coverage/scenes_munmap.c \
	tools/coverage/scenes_raw.c \
	tools/coverage/scenes_shm.c \
	tools/coverage/scenes_util.c
opalmem_coverage_CPPFLAGS = $(AM_CPPFLAGS) -DOPALMEM_COMPONENTDIR='"$(opalmem_componentdir)"'
# Scenes are calls that the compiler must not see through: malloc and free, for example.
opalmem_coverage_CFLAGS = $(AM_CFLAGS) -fno-builtin
opalmem_coverage_LDADD = libtoolutil.la libopalmem.la -ldl -lpthread

dist_man_MANS += man/opalmem-coverage.1
# For those who write a monitor.
dist_doc_DATA += tools/coverage/monitor.h

coverage_monitordir = $(opalmem_componentdir)/coverage
coverage_monitor_LTLIBRARIES = coverage_ucx.la coverage_openmpi.la coverage_helper.la
coverage_module_flags = -module -avoid-version -shared
coverage_ucx_la_SOURCES = tools/coverage/monitor_ucx.c
coverage_ucx_la_LDFLAGS = $(coverage_module_flags)
coverage_ucx_la_LIBADD = -ldl
coverage_openmpi_la_SOURCES = tools/coverage/monitor_openmpi.c
coverage_openmpi_la_LDFLAGS = $(coverage_module_flags)
coverage_openmpi_la_LIBADD = -ldl
coverage_helper_la_SOURCES = tools/coverage/coverage_helper.c
coverage_helper_la_LDFLAGS = $(coverage_module_flags)
