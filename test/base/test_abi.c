/* SPDX-License-Identifier: BSD-3-Clause */
/* The binary contract with components that were compiled elsewhere: places and
 * sizes of what they share with the library, on 64 bits. The compiler does the
 * checking. Whoever has to change a line here breaks such components: see
 * opal/mca/mca.h on versions. Members may be added at the end of the module
 * structures only; then their size here grows, and nothing else. */
#include <stddef.h>
#include <stdio.h>

#include "opal/mca/rcache/stats_page.h"
#include "opal/opalmem.h"

#define AT(type, member, offset) \
    _Static_assert(offsetof(type, member) == (offset), #type " has moved its member " #member)
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has another size")
#define VALUE(name, value) _Static_assert((name) == (value), #name " has another value")

#if defined(__LP64__)

AT(mca_base_component_2_0_0_t, mca_major_version, 0);
AT(mca_base_component_2_0_0_t, mca_minor_version, 4);
AT(mca_base_component_2_0_0_t, mca_release_version, 8);
AT(mca_base_component_2_0_0_t, mca_type_name, 12);
AT(mca_base_component_2_0_0_t, mca_type_major_version, 44);
AT(mca_base_component_2_0_0_t, mca_type_minor_version, 48);
AT(mca_base_component_2_0_0_t, mca_type_release_version, 52);
AT(mca_base_component_2_0_0_t, mca_component_name, 56);
AT(mca_base_component_2_0_0_t, mca_component_major_version, 120);
AT(mca_base_component_2_0_0_t, mca_component_minor_version, 124);
AT(mca_base_component_2_0_0_t, mca_component_release_version, 128);
AT(mca_base_component_2_0_0_t, mca_open_component, 136);
AT(mca_base_component_2_0_0_t, mca_close_component, 144);
AT(mca_base_component_2_0_0_t, mca_query_component, 152);
AT(mca_base_component_2_0_0_t, mca_register_component_params, 160);
AT(mca_base_component_2_0_0_t, flags, 168);
AT(mca_base_component_2_0_0_t, reserved, 172);
SIZE(mca_base_component_2_0_0_t, 200);
SIZE(mca_base_component_data_2_0_0_t, 36);
VALUE(MCA_BASE_COMPONENT_FLAG_REQUIRED, 1);
VALUE(MCA_BASE_COMPONENT_FLAG_RESIDENT, 2);

AT(opal_memory_base_component_2_0_0_t, memoryc_version, 0);
AT(opal_memory_base_component_2_0_0_t, memoryc_data, 200);
AT(opal_memory_base_component_2_0_0_t, memoryc_process, 240);
AT(opal_memory_base_component_2_0_0_t, memoryc_register, 248);
AT(opal_memory_base_component_2_0_0_t, memoryc_deregister, 256);
SIZE(opal_memory_base_component_2_0_0_t, 264);

AT(opal_memory_base_module_t, struct_size, 0);
AT(opal_memory_base_module_t, flags, 8);
AT(opal_memory_base_module_t, support, 12);
AT(opal_memory_base_module_t, sees, 16);
AT(opal_memory_base_module_t, counter, 24);
AT(opal_memory_base_module_t, watch, 32);
AT(opal_memory_base_module_t, unwatch, 40);
AT(opal_memory_base_module_t, valid, 48);
AT(opal_memory_base_module_t, enable, 56);
AT(opal_memory_base_module_t, disable, 64);
SIZE(opal_memory_base_module_t, 72);
VALUE(OPAL_MEMORY_MODULE_PUSH, 1);
VALUE(OPAL_MEMORY_MODULE_POLLED, 2);
VALUE(OPAL_MEMORY_MODULE_SLOW_VALID, 4);

AT(opal_memory_watch_t, cookie, 0);
AT(opal_memory_watch_t, generation, 8);
AT(opal_memory_watch_t, expected, 16);
SIZE(opal_memory_watch_t, 24);

AT(opal_memory_base_changed_t, counter, 0);
AT(opal_memory_base_changed_t, seen, 8);
SIZE(opal_memory_base_changed_t, 16);

AT(mca_rcache_base_component_2_0_0_t, rcache_version, 0);
AT(mca_rcache_base_component_2_0_0_t, rcache_data, 200);
AT(mca_rcache_base_component_2_0_0_t, rcache_init, 240);
SIZE(mca_rcache_base_component_2_0_0_t, 248);

AT(mca_rcache_base_module_t, struct_size, 0);
AT(mca_rcache_base_module_t, component_name, 8);
AT(mca_rcache_base_module_t, rcache_register, 16);
AT(mca_rcache_base_module_t, rcache_deregister, 24);
AT(mca_rcache_base_module_t, rcache_find, 32);
AT(mca_rcache_base_module_t, rcache_invalidate_range, 40);
AT(mca_rcache_base_module_t, rcache_evict, 48);
AT(mca_rcache_base_module_t, rcache_finalize, 56);
AT(mca_rcache_base_module_t, rcache_progress, 64);
AT(mca_rcache_base_module_t, rcache_stats, 72);
AT(mca_rcache_base_module_t, gate, 80);
AT(mca_rcache_base_module_t, serial, 88);
AT(mca_rcache_base_module_t, recent, 96);
AT(mca_rcache_base_module_t, registrations, 104);
AT(mca_rcache_base_module_t, rcache_unknown, 112);
AT(mca_rcache_base_module_t, id_shift, 120);
AT(mca_rcache_base_module_t, rcache_refused, 128);
AT(mca_rcache_base_module_t, rcache_returned, 136);
AT(mca_rcache_base_module_t, rcache_stop, 144);
AT(mca_rcache_base_module_t, rcache_reset_child, 152);
AT(mca_rcache_base_module_t, rcache_is_caching, 160);
SIZE(mca_rcache_base_module_t, 168);

/* What is compiled into users. */
AT(mca_rcache_count_t, puts, 4);
SIZE(mca_rcache_count_t, 8);
_Static_assert(sizeof(mca_rcache_answer_t) == 8, "in a register");
AT(mca_rcache_front_t, base, 0);
AT(mca_rcache_front_t, size, 8);
AT(mca_rcache_front_t, reg, 16);
AT(mca_rcache_front_t, count, 24);
SIZE(mca_rcache_front_t, 32);
AT(mca_rcache_block_t, hits, 0);
SIZE(mca_rcache_block_t, 8);
AT(mca_rcache_recent_t, block, 8);
SIZE(mca_rcache_recent_t, 16);
AT(mca_rcache_found_t, reg, 8);
AT(mca_rcache_found_t, count, 16);
VALUE(MCA_RCACHE_FRONTS, 128);
VALUE(MCA_RCACHE_COUNTS_AT, 4096);
VALUE(MCA_RCACHE_MAX_ID, 16777215);
VALUE(MCA_RCACHE_FLAGS_NOT_AT_ONCE, 0x290081);
VALUE(MCA_RCACHE_FLAGS_LACKS, 24);
VALUE(MCA_RCACHE_MAX_SIZEOF_REG, 65536);

AT(mca_rcache_base_registration_t, rcache, 0);
AT(mca_rcache_base_registration_t, base, 8);
AT(mca_rcache_base_registration_t, bound, 16);
AT(mca_rcache_base_registration_t, flags, 24);
AT(mca_rcache_base_registration_t, access_flags, 28);
AT(mca_rcache_base_registration_t, watch, 32);
AT(mca_rcache_base_registration_t, cache_id, 56);
AT(mca_rcache_base_registration_t, cache_word, 60);
SIZE(mca_rcache_base_registration_t, 64);

AT(mca_rcache_base_resources_t, cache_name, 0);
AT(mca_rcache_base_resources_t, reg_data, 8);
AT(mca_rcache_base_resources_t, sizeof_reg, 16);
AT(mca_rcache_base_resources_t, register_mem, 24);
AT(mca_rcache_base_resources_t, deregister_mem, 32);
AT(mca_rcache_base_resources_t, flags, 40);
AT(mca_rcache_base_resources_t, max_count, 48);
AT(mca_rcache_base_resources_t, max_bytes, 56);
AT(mca_rcache_base_resources_t, in_use_policy, 64);
AT(mca_rcache_base_resources_t, after_fork, 72);
AT(mca_rcache_base_resources_t, deregister_many, 80);
AT(mca_rcache_base_resources_t, reserved, 88);
SIZE(mca_rcache_base_resources_t, 112);

AT(mca_rcache_base_stats_t, hits, 0);
AT(mca_rcache_base_stats_t, invalidations, 40);
AT(mca_rcache_base_stats_t, invalidated_in_use, 168);
AT(mca_rcache_base_stats_t, count, 200);
AT(mca_rcache_base_stats_t, peak_bytes, 224);
AT(mca_rcache_base_stats_t, merges, 232);
AT(mca_rcache_base_stats_t, provider_errors, 248);
AT(mca_rcache_base_stats_t, unpin_ns, 256);
AT(mca_rcache_base_stats_t, sizes, 512);
AT(mca_rcache_base_stats_t, reserved, 928);
SIZE(mca_rcache_base_stats_t, 968);

/* Other processes read it, of any release. */
AT(mca_rcache_counters_t, generation, 0);
AT(mca_rcache_counters_t, created, 8);
AT(mca_rcache_counters_t, cache_name, 16);
AT(mca_rcache_counters_t, component, 80);
AT(mca_rcache_counters_t, misses, 256);
AT(mca_rcache_counters_t, invalidations, 296);
AT(mca_rcache_counters_t, invalidated_in_use, 424);
AT(mca_rcache_counters_t, bypasses, 456);
AT(mca_rcache_counters_t, provider_errors, 464);
AT(mca_rcache_counters_t, count, 472);
AT(mca_rcache_counters_t, peak_bytes, 496);
AT(mca_rcache_counters_t, unpin_ns, 504);
AT(mca_rcache_counters_t, sizes, 760);
SIZE(mca_rcache_counters_t, 2048);
AT(mca_rcache_thread_counters_t, hits, 0);
AT(mca_rcache_thread_counters_t, slow_hits, 8);
AT(mca_rcache_thread_counters_t, owner, 56);
SIZE(mca_rcache_thread_counters_t, 64);
AT(mca_rcache_stats_header_t, version, 8);
AT(mca_rcache_stats_header_t, caches_offset, 16);
AT(mca_rcache_stats_header_t, lines_offset, 28);
AT(mca_rcache_stats_header_t, pid, 40);
AT(mca_rcache_stats_header_t, caches_used, 56);
AT(mca_rcache_stats_header_t, library, 72);
AT(mca_rcache_stats_header_t, cause_names, 104);
SIZE(mca_rcache_stats_header_t, 488);
AT(mca_rcache_stats_page_t, cache, 4096);
SIZE(mca_rcache_stats_page_t, 4096 + 1024 * 2048 + 65536 * 64);
VALUE(MCA_RCACHE_FLAGS_CACHE_BYPASS, 0x1);
VALUE(MCA_RCACHE_FLAGS_PERSIST, 0x2);
VALUE(MCA_RCACHE_FLAGS_SO_MEM, 0x4);
VALUE(MCA_RCACHE_FLAGS_INVALID, 0x80);
VALUE(MCA_RCACHE_RESOURCES_HOOK_SAFE, 1);
VALUE(MCA_RCACHE_RESOURCES_MEMLOCK_USER, 2);
VALUE(MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS, 4);

/* What the inline functions of the headers, compiled into users, rely on, besides the words above. */
_Static_assert(OPAL_MEM_HOOKS_CAUSE_COUNT <= MCA_RCACHE_STATS_CAUSES, "figures have no room for all causes");

int main(void)
{
    puts("the compiler has checked it");
    return 0;
}

#else

int main(void)
{
    puts("SKIP: the structures are checked on 64 bits only");
    return 77;
}

#endif
