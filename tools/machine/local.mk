# SPDX-License-Identifier: BSD-3-Clause
# What the tools know about the machine they run on; with hwloc or without.
noinst_LTLIBRARIES += libmachine.la
libmachine_la_SOURCES = tools/machine/machine.h
if HAVE_HWLOC
libmachine_la_SOURCES += tools/machine/machine_hwloc.c
else
libmachine_la_SOURCES += tools/machine/machine_none.c
endif
libmachine_la_CFLAGS = $(AM_CFLAGS) $(HWLOC_CFLAGS)
libmachine_la_LIBADD = $(HWLOC_LIBS)
