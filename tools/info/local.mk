# SPDX-License-Identifier: BSD-3-Clause
# opalmem-info: what this build is, what the machine allows, what can be set.
bin_PROGRAMS += opalmem-info
opalmem_info_SOURCES = \
	tools/info/info.h \
	tools/info/info_build.c \
	tools/info/info_components.c \
	tools/info/info_config.c \
	tools/info/info_machine.c \
	tools/info/info_main.c \
	tools/info/info_names.c \
	tools/info/info_options.c tools/info/info_options.h \
	tools/info/info_output.c tools/info/info_output.h \
	tools/info/info_paths.c \
	tools/info/info_start.c \
	tools/info/info_variables.c
nodist_opalmem_info_SOURCES = tools/info/info_configure.h
if HAVE_LIBURING
opalmem_info_SOURCES += tools/info/info_uring.c
else
opalmem_info_SOURCES += tools/info/info_uring_none.c
endif
if HAVE_IBVERBS
opalmem_info_SOURCES += tools/info/info_rdma.c
else
opalmem_info_SOURCES += tools/info/info_rdma_none.c
endif
opalmem_info_CPPFLAGS = $(AM_CPPFLAGS) \
	-DINFO_PREFIX='"$(prefix)"' \
	-DINFO_EXEC_PREFIX='"$(exec_prefix)"' \
	-DINFO_BINDIR='"$(bindir)"' \
	-DINFO_LIBDIR='"$(libdir)"' \
	-DINFO_INCLUDEDIR='"$(includedir)"' \
	-DINFO_DATADIR='"$(datadir)"' \
	-DINFO_MANDIR='"$(mandir)"' \
	-DINFO_SYSCONFDIR='"$(sysconfdir)"' \
	-DOPALMEM_COMPONENTDIR='"$(opalmem_componentdir)"' \
	-DINFO_STATIC_COMPONENTS='"$(OPALMEM_STATIC_LIST)"' \
	-DINFO_DSO_COMPONENTS='"$(OPALMEM_DSO_LIST)"'
opalmem_info_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
opalmem_info_LDADD = libtoolutil.la libmachine.la libopalmem.la $(IBVERBS_LIBS)
dist_man_MANS += man/opalmem-info.1
