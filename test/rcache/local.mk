# Registration cache and providers.
rcache_tests = test/rcache/test_interval_btree test/rcache/test_interval_index test/rcache/test_grdma_mutex test/rcache/test_page_filter \
	test/rcache/test_grdma test/rcache/test_grdma_life test/rcache/test_grdma_failures test/rcache/test_grdma_threads \
	test/rcache/test_grdma_races test/rcache/test_grdma_hits test/rcache/test_grdma_common test/rcache/test_grdma_growth test/rcache/test_grdma_left \
	test/rcache/test_grdma_limbo test/rcache/test_grdma_figures \
	test/rcache/test_grdma_drop test/rcache/test_rcache_limits_cgroup \
	test/rcache/test_rcache_limits test/rcache/test_grdma_in_use test/rcache/test_rcache_stack test/rcache/test_grdma_overlap \
	test/rcache/test_grdma_front test/rcache/test_rcache_hit test/rcache/test_rcache_helper \
	test/rcache/test_rcache_components test/rcache/test_rcache_finalize test/rcache/test_rcache_stats
check_PROGRAMS += $(rcache_tests)
TESTS += $(rcache_tests)
noinst_HEADERS += test/rcache/fake_provider.h test/rcache/fake_rcache.h test/rcache/grdma_fixture.h

test_rcache_test_rcache_stats_SOURCES = test/rcache/test_rcache_stats.c
test_rcache_test_rcache_stats_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_rcache_components_SOURCES = test/rcache/test_rcache_components.c test/rcache/fake_provider.c \
	test/rcache/fake_rcache.c
test_rcache_test_rcache_components_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_rcache_finalize_SOURCES = test/rcache/test_rcache_finalize.c test/rcache/fake_provider.c \
	test/rcache/fake_rcache.c
test_rcache_test_rcache_finalize_LDADD = libopalmem.la $(CHECK_LIBS)
if HAVE_LTDL
check_LTLIBRARIES += test/rcache/mca_rcache_fake.la test/rcache/mca_rcache_short.la test/rcache/mca_rcache_long.la \
	test/rcache/mca_rcache_tooshort.la test/rcache/mca_rcache_empty.la test/rcache/mca_rcache_absent.la \
	test/rcache/mca_rcache_hook.la
endif
test_rcache_mca_rcache_fake_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_fake_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=fake
test_rcache_mca_rcache_fake_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_fake_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_mca_rcache_short_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_short_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=short -DFAKE_END=rcache_stop
test_rcache_mca_rcache_short_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_short_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_mca_rcache_long_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_long_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=long -DFAKE_LONG
test_rcache_mca_rcache_long_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_long_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_mca_rcache_tooshort_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_tooshort_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=tooshort -DFAKE_END=rcache_returned
test_rcache_mca_rcache_tooshort_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_tooshort_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_mca_rcache_empty_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_empty_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=empty -DFAKE_EMPTY
test_rcache_mca_rcache_empty_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_empty_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_mca_rcache_absent_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_absent_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=absent -DFAKE_ABSENT
test_rcache_mca_rcache_absent_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_absent_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_mca_rcache_hook_la_SOURCES = test/rcache/fake_rcache.c
test_rcache_mca_rcache_hook_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE=hook -DFAKE_HOOK
test_rcache_mca_rcache_hook_la_LIBADD = libopalmem.la
test_rcache_mca_rcache_hook_la_LDFLAGS = $(fake_module_ldflags)


test_rcache_test_interval_index_SOURCES = test/rcache/test_interval_index.c
test_rcache_test_interval_index_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_grdma_mutex_SOURCES = test/rcache/test_grdma_mutex.c
test_rcache_test_grdma_mutex_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_interval_btree_SOURCES = test/rcache/test_interval_btree.c
test_rcache_test_interval_btree_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_page_filter_SOURCES = test/rcache/test_page_filter.c
test_rcache_test_page_filter_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_grdma_SOURCES = test/rcache/test_grdma.c test/rcache/fake_provider.c
test_rcache_test_grdma_LDADD = libopalmem.la $(CHECK_LIBS)

test_rcache_test_grdma_life_SOURCES = test/rcache/test_grdma_life.c test/rcache/fake_provider.c
test_rcache_test_grdma_life_LDADD = libopalmem.la $(CHECK_LIBS)

test_rcache_test_grdma_failures_SOURCES = test/rcache/test_grdma_failures.c test/rcache/fake_provider.c
test_rcache_test_grdma_failures_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_grdma_failures_LDFLAGS = -Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup,--wrap=mmap,--wrap=mprotect

test_rcache_test_grdma_threads_SOURCES = test/rcache/test_grdma_threads.c test/rcache/fake_provider.c
test_rcache_test_grdma_threads_LDADD = libopalmem.la $(CHECK_LIBS)

test_rcache_test_grdma_hits_SOURCES = test/rcache/test_grdma_hits.c test/rcache/fake_provider.c
test_rcache_test_grdma_hits_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_grdma_front_SOURCES = test/rcache/test_grdma_front.c test/rcache/fake_provider.c
test_rcache_test_grdma_front_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_rcache_hit_SOURCES = test/rcache/test_rcache_hit.c test/rcache/hit_cxx.cc test/rcache/fake_provider.c
test_rcache_test_rcache_hit_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_rcache_helper_SOURCES = test/rcache/test_rcache_helper.c test/rcache/fake_provider.c
test_rcache_test_rcache_helper_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_rcache_helper_LDFLAGS = -Wl,--wrap=syscall

test_rcache_test_grdma_races_SOURCES = test/rcache/test_grdma_races.c test/rcache/fake_provider.c
test_rcache_test_grdma_races_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_grdma_races_LDFLAGS = -Wl,--wrap=calloc,--wrap=free

test_rcache_test_grdma_left_SOURCES = test/rcache/test_grdma_left.c test/rcache/fake_provider.c
test_rcache_test_grdma_left_LDADD = libopalmem.la $(CHECK_LIBS)

test_rcache_test_grdma_drop_SOURCES = test/rcache/test_grdma_drop.c test/rcache/fake_provider.c
test_rcache_test_grdma_drop_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_grdma_common_SOURCES = test/rcache/test_grdma_common.c test/rcache/fake_provider.c
test_rcache_test_grdma_common_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_grdma_common_LDFLAGS = -Wl,--wrap=calloc,--wrap=mmap

test_rcache_test_grdma_figures_SOURCES = test/rcache/test_grdma_figures.c test/rcache/fake_provider.c
test_rcache_test_grdma_figures_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_grdma_limbo_SOURCES = test/rcache/test_grdma_limbo.c test/rcache/fake_provider.c
test_rcache_test_grdma_limbo_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_grdma_growth_SOURCES = test/rcache/test_grdma_growth.c test/rcache/fake_provider.c
test_rcache_test_grdma_growth_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_grdma_growth_LDFLAGS = -Wl,--wrap=mprotect

test_rcache_test_rcache_limits_SOURCES = test/rcache/test_rcache_limits.c test/rcache/fake_provider.c
test_rcache_test_rcache_limits_LDADD = libopalmem_internal.la $(CHECK_LIBS)

test_rcache_test_rcache_limits_cgroup_SOURCES = test/rcache/test_rcache_limits_cgroup.c
test_rcache_test_rcache_limits_cgroup_LDADD = libopalmem_internal.la $(CHECK_LIBS)

# Its functions are to be found by name in stacks.
test_rcache_test_grdma_in_use_SOURCES = test/rcache/test_grdma_in_use.c test/rcache/fake_provider.c
test_rcache_test_grdma_in_use_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_grdma_in_use_LDFLAGS = -export-dynamic

test_rcache_test_rcache_stack_SOURCES = test/rcache/test_rcache_stack.c test/rcache/fake_provider.c
test_rcache_test_rcache_stack_LDADD = libopalmem_internal.la $(CHECK_LIBS)
test_rcache_test_rcache_stack_LDFLAGS = -export-dynamic

test_rcache_test_grdma_overlap_SOURCES = test/rcache/test_grdma_overlap.c test/rcache/fake_provider.c
test_rcache_test_grdma_overlap_LDADD = libopalmem.la $(CHECK_LIBS)

if HAVE_LIBURING
uring_tests = test/rcache/test_uring test/rcache/test_uring_fork test/rcache/test_uring_stress \
	test/rcache/test_uring_rings test/rcache/test_uring_adopt
check_PROGRAMS += $(uring_tests)
TESTS += $(uring_tests)
test_rcache_test_uring_SOURCES = test/rcache/test_uring.c
test_rcache_test_uring_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_uring_fork_SOURCES = test/rcache/test_uring_fork.c
test_rcache_test_uring_fork_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_uring_stress_SOURCES = test/rcache/test_uring_stress.c
test_rcache_test_uring_stress_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_uring_rings_SOURCES = test/rcache/test_uring_rings.c
test_rcache_test_uring_rings_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_uring_adopt_SOURCES = test/rcache/test_uring_adopt.c
test_rcache_test_uring_adopt_CFLAGS = $(AM_CFLAGS) $(LIBURING_CFLAGS)
test_rcache_test_uring_adopt_LDADD = libopalmem.la $(CHECK_LIBS) $(LIBURING_LIBS)
endif

if HAVE_IBVERBS
verbs_tests = test/rcache/test_verbs test/rcache/test_verbs_register test/rcache/test_verbs_lost
check_PROGRAMS += $(verbs_tests)
TESTS += $(verbs_tests)
# What the tests load in place of libibverbs.
check_LTLIBRARIES += test/rcache/fake_verbs.la test/rcache/fake_verbs_old.la
noinst_HEADERS += test/rcache/fake_verbs.h test/rcache/verbs_fixture.h
test_rcache_fake_verbs_la_SOURCES = test/rcache/fake_verbs.c
test_rcache_fake_verbs_la_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_rcache_fake_verbs_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_fake_verbs_old_la_SOURCES = test/rcache/fake_verbs.c
test_rcache_fake_verbs_old_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_OLD
test_rcache_fake_verbs_old_la_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_rcache_fake_verbs_old_la_LDFLAGS = $(fake_module_ldflags)
test_rcache_test_verbs_SOURCES = test/rcache/test_verbs.c
test_rcache_test_verbs_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_rcache_test_verbs_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_verbs_register_SOURCES = test/rcache/test_verbs_register.c
test_rcache_test_verbs_register_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_rcache_test_verbs_register_LDADD = libopalmem.la $(CHECK_LIBS)
test_rcache_test_verbs_lost_SOURCES = test/rcache/test_verbs_lost.c
test_rcache_test_verbs_lost_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_rcache_test_verbs_lost_LDADD = libopalmem.la $(CHECK_LIBS) -lpthread
endif
