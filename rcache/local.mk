# Registration cache and its providers, part of the library.
libopalmem_internal_la_SOURCES += \
	rcache/base/rcache_base.c \
	rcache/base/rcache_base.h \
	rcache/base/rcache_base_component.c \
	rcache/base/rcache_base_create.c \
	rcache/base/rcache_base_list.c \
	rcache/base/rcache_helper.c \
	rcache/base/rcache_helper.h \
	rcache/base/rcache_base_list.h \
	rcache/base/rcache_limits.c \
	rcache/base/rcache_limits.h \
	rcache/base/rcache_limits_cgroup.c \
	rcache/base/rcache_limits_system.c \
	rcache/base/rcache_base_void.c \
	rcache/base/rcache_raw.c \
	rcache/base/rcache_raw.h \
	rcache/base/rcache_places.c \
	rcache/base/rcache_places.h \
	rcache/base/rcache_stack.c \
	rcache/base/rcache_stack.h \
	rcache/base/rcache_stats.c \
	rcache/base/rcache_stats.h \
	rcache/base/rcache_stats_map.c \
	rcache/base/rcache_stats_map.h \
	rcache/grdma/grdma.h \
	rcache/grdma/grdma_common.c \
	rcache/grdma/grdma_clock.c \
	rcache/grdma/grdma_clock.h \
	rcache/grdma/grdma_component.c \
	rcache/grdma/grdma_evict.c \
	rcache/grdma/grdma_hint.c \
	rcache/grdma/grdma_hint.h \
	rcache/grdma/grdma_hit.h \
	rcache/grdma/grdma_in_use.c \
	rcache/grdma/grdma_learn.c \
	rcache/grdma/grdma_left.c \
	rcache/grdma/grdma_left.h \
	rcache/grdma/grdma_reap.c \
	rcache/grdma/grdma_region.c \
	rcache/grdma/grdma_room.c \
	rcache/grdma/grdma_room.h \
	rcache/grdma/grdma_self.h \
	rcache/grdma/grdma_span.c \
	rcache/grdma/grdma_span.h \
	rcache/grdma/grdma_thread.c \
	rcache/grdma/grdma_mutex.c \
	rcache/grdma/grdma_mutex.h \
	rcache/grdma/grdma_notes.h \
	rcache/grdma/interval_btree.c \
	rcache/grdma/interval_btree.h \
	rcache/grdma/interval_btree_bulk.c \
	rcache/grdma/interval_btree_check.c \
	rcache/grdma/interval_btree_node.h \
	rcache/grdma/interval_btree_pool.c \
	rcache/grdma/interval_btree_query.c \
	rcache/grdma/interval_index.c \
	rcache/grdma/interval_index.h \
	rcache/grdma/page_filter.c \
	rcache/grdma/page_filter.h \
	rcache/grdma/grdma_module.c \
	rcache/grdma/grdma_lock.c \
	rcache/grdma/grdma_pending.c \
	rcache/grdma/grdma_miss.c \
	rcache/grdma/grdma_pin.c \
	rcache/grdma/grdma_register.c \
	rcache/grdma/grdma_release.c \
	rcache/providers/provider.c \
	rcache/providers/provider.h \
	rcache/providers/none.c
if HAVE_LIBURING
libopalmem_internal_la_SOURCES += \
	rcache/providers/uring.c \
	rcache/providers/uring.h \
	rcache/providers/uring_adopt.c \
	rcache/providers/uring_setup.c \
	rcache/providers/uring_table.c \
	rcache/providers/uring_transfer.c
endif
if HAVE_IBVERBS
libopalmem_internal_la_SOURCES += \
	rcache/providers/verbs.c \
	rcache/providers/verbs.h \
	rcache/providers/verbs_library.c \
	rcache/providers/verbs_setup.c
endif
