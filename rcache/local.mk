# Registration cache and its providers, part of the library.
libopalmem_internal_la_SOURCES += \
	rcache/base/rcache_base.c \
	rcache/base/rcache_base.h \
	rcache/base/rcache_base_component.c \
	rcache/base/rcache_base_create.c \
	rcache/base/rcache_base_list.c \
	rcache/base/rcache_base_list.h \
	rcache/grdma/grdma.h \
	rcache/grdma/grdma_component.c \
	rcache/grdma/grdma_module.c \
	rcache/grdma/grdma_lock.c \
	rcache/grdma/grdma_pending.c \
	rcache/grdma/grdma_pin.c \
	rcache/grdma/grdma_register.c \
	rcache/grdma/grdma_release.c \
	rcache/grdma/interval_tree.c \
	rcache/grdma/interval_tree.h \
	rcache/providers/provider.c \
	rcache/providers/provider.h \
	rcache/providers/none.c
if HAVE_LIBURING
libopalmem_internal_la_SOURCES += \
	rcache/providers/uring.c \
	rcache/providers/uring.h \
	rcache/providers/uring_setup.c
endif
if HAVE_IBVERBS
libopalmem_internal_la_SOURCES += \
	rcache/providers/verbs.c \
	rcache/providers/verbs.h \
	rcache/providers/verbs_library.c \
	rcache/providers/verbs_setup.c
endif
