# Each memory component is a convenience library; configure says whether it is
# linked into libopalmem or into a DSO of its own. -z now: libltdl opens lazily, and a
# missing symbol has to show when the DSO is loaded.
component_dso_ldflags = -module -avoid-version -shared -Wl,-z,nodelete -Wl,-z,now

noinst_LTLIBRARIES += libmca_memory_noop.la
libmca_memory_noop_la_SOURCES = components/noop/noop_component.c
libmca_memory_noop_la_CPPFLAGS = $(AM_CPPFLAGS)
if MEMORY_noop_DSO
opalmem_component_LTLIBRARIES += mca_memory_noop.la
mca_memory_noop_la_SOURCES =
mca_memory_noop_la_LIBADD = libmca_memory_noop.la libopalmem.la
mca_memory_noop_la_LDFLAGS = $(component_dso_ldflags)
else
libmca_memory_noop_la_CPPFLAGS += -DMCA_BASE_COMPONENT_IS_STATIC
libopalmem_internal_la_LIBADD += libmca_memory_noop.la
endif

include components/kdreg/local.mk
include components/linux/local.mk
include components/ummunotify/local.mk
include components/userfaultfd/local.mk
