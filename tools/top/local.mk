# SPDX-License-Identifier: BSD-3-Clause
# opalmem-top: figures of the caches of other processes. It reads pages alone, and links no part of the library.
bin_PROGRAMS += opalmem-top
opalmem_top_SOURCES = \
	tools/top/top.h \
	tools/top/top_batch.c \
	tools/top/top_figures.c \
	tools/top/top_find.c \
	tools/top/top_json.c \
	tools/top/top_list.c \
	tools/top/top_main.c \
	tools/top/top_options.c \
	tools/top/top_read.c \
	tools/top/top_view.c
if HAVE_NCURSES
opalmem_top_SOURCES += tools/top/top_screen.c
else
opalmem_top_SOURCES += tools/top/top_screen_none.c
endif
opalmem_top_CFLAGS = $(AM_CFLAGS) $(NCURSES_CFLAGS)
opalmem_top_LDADD = libtoolutil.la $(NCURSES_LIBS)
dist_man_MANS += man/opalmem-top.1
