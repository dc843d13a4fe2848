# userfaultfd: the kernel tells of releases, and is asked at each lookup.
noinst_LTLIBRARIES += libmca_memory_userfaultfd.la
libmca_memory_userfaultfd_la_SOURCES = \
	components/userfaultfd/userfaultfd.h \
	components/userfaultfd/userfaultfd_abi.h \
	components/userfaultfd/userfaultfd_component.c \
	components/userfaultfd/userfaultfd_file.c \
	components/userfaultfd/userfaultfd_file.h \
	components/userfaultfd/userfaultfd_handover.c \
	components/userfaultfd/userfaultfd_kernel.c \
	components/userfaultfd/userfaultfd_kernel.h \
	components/userfaultfd/userfaultfd_lock.c \
	components/userfaultfd/userfaultfd_lock.h \
	components/userfaultfd/userfaultfd_maps.c \
	components/userfaultfd/userfaultfd_quarantine.c \
	components/userfaultfd/userfaultfd_queue.c \
	components/userfaultfd/userfaultfd_reader.c \
	components/userfaultfd/userfaultfd_selftest.c \
	components/userfaultfd/userfaultfd_shared.c \
	components/userfaultfd/userfaultfd_spans.c \
	components/userfaultfd/userfaultfd_state.c \
	components/userfaultfd/userfaultfd_sys.c \
	components/userfaultfd/userfaultfd_sys.h \
	components/userfaultfd/userfaultfd_watch.c
libmca_memory_userfaultfd_la_CPPFLAGS = $(AM_CPPFLAGS)
if MEMORY_userfaultfd_DSO
opalmem_component_LTLIBRARIES += mca_memory_userfaultfd.la
mca_memory_userfaultfd_la_SOURCES =
mca_memory_userfaultfd_la_LIBADD = libmca_memory_userfaultfd.la libopalmem.la
mca_memory_userfaultfd_la_LDFLAGS = $(component_dso_ldflags)
else
libmca_memory_userfaultfd_la_CPPFLAGS += -DMCA_BASE_COMPONENT_IS_STATIC
libopalmem_internal_la_LIBADD += libmca_memory_userfaultfd.la
endif
