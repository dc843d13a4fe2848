# kdreg: the driver kdreg2 tells of changes.
noinst_LTLIBRARIES += libmca_memory_kdreg.la
libmca_memory_kdreg_la_SOURCES = \
	components/kdreg/kdreg.h \
	components/kdreg/kdreg_abi.h \
	components/kdreg/kdreg_component.c \
	components/kdreg/kdreg_cookies.c \
	components/kdreg/kdreg_cookies.h \
	components/kdreg/kdreg_device.c \
	components/kdreg/kdreg_device.h \
	components/kdreg/kdreg_fork.c \
	components/kdreg/kdreg_guard.c \
	components/kdreg/kdreg_guard.h \
	components/kdreg/kdreg_life.c \
	components/kdreg/kdreg_process.c \
	components/kdreg/kdreg_selftest.c \
	components/kdreg/kdreg_sys.c \
	components/kdreg/kdreg_sys.h \
	components/kdreg/kdreg_watch.c
libmca_memory_kdreg_la_CPPFLAGS = $(AM_CPPFLAGS)
if MEMORY_kdreg_DSO
opalmem_component_LTLIBRARIES += mca_memory_kdreg.la
mca_memory_kdreg_la_SOURCES =
mca_memory_kdreg_la_LIBADD = libmca_memory_kdreg.la libopalmem.la
mca_memory_kdreg_la_LDFLAGS = $(component_dso_ldflags)
else
libmca_memory_kdreg_la_CPPFLAGS += -DMCA_BASE_COMPONENT_IS_STATIC
libopalmem_internal_la_LIBADD += libmca_memory_kdreg.la
endif
