# ummunotify: told by the driver of that name, through /dev/ummunotify.
noinst_LTLIBRARIES += libmca_memory_ummunotify.la
libmca_memory_ummunotify_la_SOURCES = \
	components/ummunotify/ummunotify_abi.h \
	components/ummunotify/ummunotify_component.c \
	components/ummunotify/ummunotify_device.c \
	components/ummunotify/ummunotify_fork.c \
	components/ummunotify/ummunotify_process.c \
	components/ummunotify/ummunotify_register.c \
	components/ummunotify/ummunotify_selftest.c \
	components/ummunotify/ummunotify_sys.c \
	components/ummunotify/ummunotify_sys.h \
	components/ummunotify/ummunotify_table.c \
	components/ummunotify/ummunotify.h
libmca_memory_ummunotify_la_CPPFLAGS = $(AM_CPPFLAGS)
if MEMORY_ummunotify_DSO
opalmem_component_LTLIBRARIES += mca_memory_ummunotify.la
mca_memory_ummunotify_la_SOURCES =
mca_memory_ummunotify_la_LIBADD = libmca_memory_ummunotify.la libopalmem.la
mca_memory_ummunotify_la_LDFLAGS = $(component_dso_ldflags)
else
libmca_memory_ummunotify_la_CPPFLAGS += -DMCA_BASE_COMPONENT_IS_STATIC
libopalmem_internal_la_LIBADD += libmca_memory_ummunotify.la
endif
