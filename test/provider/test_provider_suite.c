/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite itself: a good provider passes, and each fault of
 * bad_provider.h is found by the scene that is there for it. */
#include <stdio.h>
#include <string.h>

#include "bad_provider.h"
#include "provider_suite_internal.h"

typedef struct twin_t {
    const char *scene;
    fault_t fault;
} twin_t;

static const twin_t twins[] = {
    { "resources_are_complete", FAULT_UNKNOWN_FLAG },
    { "each_end_leaves_nothing", FAULT_LEAKS },
    { "each_end_leaves_nothing", FAULT_WRITES_BEHIND },
    { "each_end_leaves_nothing", FAULT_WRITES_BASE },
    { "each_end_leaves_nothing", FAULT_NEEDS_ZEROES },
    { "each_end_leaves_nothing", FAULT_LIES_WHEN_ENDED },
    { "sizes_from_one_page_to_the_largest", FAULT_SMALL },
    { "memory_that_programs_send_from", FAULT_STATIC_REFUSED },
    { "memory_that_is_not_there", FAULT_LEAKS_REFUSED },
    { "memory_that_is_not_there", FAULT_POSITIVE_CODE },
    { "memory_that_is_not_there", FAULT_ENDS_TOO_MANY },
    { "every_combination_of_rights", FAULT_RIGHTS_REFUSED },
    { "same_range_twice", FAULT_FINDS_BY_BASE },
    { "overlapping_ranges", FAULT_ENDS_OVERLAPPING },
    { "many_ended_in_another_order", FAULT_FULL_AT_500 },
    { "limit_is_out_of_resource", FAULT_WRONG_CODE_WHEN_FULL },
    { "ended_together", FAULT_MANY_FORGETS_LAST },
    { "ended_after_the_memory_went", FAULT_TOUCHES_MEMORY },
    { "ended_after_other_memory_came", FAULT_FINDS_BY_BASE },
    { "closed_and_opened_again", FAULT_LEAKS_DESCRIPTOR },
    { "two_open_at_once", FAULT_ONE_DEVICE },
    { "allocation_fails_in_open", FAULT_UNCHECKED_IN_OPEN },
    { "allocation_fails_in_register", FAULT_UNCHECKED_IN_REGISTER },
    { "several_threads_at_once", FAULT_RACES },
    { "ended_after_its_thread_has_gone", FAULT_SAME_THREAD },
    { "fork_child_leaves_its_parents_registrations", FAULT_CHILD_ENDS_PARENTS },
    { "fork_child_closes_what_it_inherited", FAULT_CLOSE_ENDS_PARENTS },
    { "in_hooks_it_allocates_nothing_and_takes_no_lock", FAULT_ALLOCATES },
    { "in_hooks_it_allocates_nothing_and_takes_no_lock", FAULT_MUTEX },
    { "in_hooks_it_leaves_errno_alone", FAULT_LOSES_ERRNO },
    { "it_may_be_interrupted_by_itself", FAULT_SPINS },
    { "it_may_be_interrupted_by_itself", FAULT_MUTEX },
    { "it_waits_for_no_other_thread", FAULT_SPINS },
    { "it_waits_for_no_other_thread", FAULT_PRINTS },
    { "cached_until_it_is_released", FAULT_KEEPS_ONE },
    { "really_released", FAULT_LEAKS },
    { "evicted_for_a_limit", FAULT_LEAKS },
    { "registration_fails_for_want_of_room", FAULT_LEAKS },
    { "registration_fails_otherwise", FAULT_LEAKS },
    { "deregistration_fails", FAULT_LEAKS },
    { "device_is_lost", FAULT_LOSS_IS_NOT_TOLD },
    { "device_is_lost", FAULT_LOST_IS_FULL },
    { "device_is_lost", FAULT_LOST_ENDS_NOTHING },
    { "thousands_of_caches", FAULT_LEAKS_ONE_IN_1000 },
    { "fork_child_lives_on_with_the_cache", FAULT_CHILD_ENDS_PARENTS },
};
#define TWINS (sizeof(twins) / sizeof(twins[0]))

/* What the scene needs, and this build or machine lacks. */
static bool can_be_seen(const twin_t *twin)
{
    if (!suite_trap_works() && (strstr(twin->scene, "allocat") != NULL)) {
        printf("# left out: %s, the trap does not work in this build\n", twin->scene);
        return false;
    }
    return true;
}

static int every_scene_has_a_twin(void)
{
    int missing = 0;
    for (size_t i = 0; i < provider_suite_scenes(); i++) {
        bool found = false;
        for (size_t k = 0; k < TWINS; k++) {
            found = found || strcmp(twins[k].scene, provider_suite_scene(i)) == 0;
        }
        if (!found) {
            printf("FAULT: no fault shows that scene %s can fail\n", provider_suite_scene(i));
            missing++;
        }
    }
    return missing;
}

/* Updates that are lost may cancel each other out: a race is no good reason to be found at the first look. */
static bool is_found(const twin_t *twin)
{
    bool found = false;
    for (int i = 0; i < (twin->fault == FAULT_RACES ? 10 : 1) && !found; i++) {
        provider_suite_t suite = bad_provider(twin->fault);
        found = provider_suite_run(&suite, twin->scene) == 1;
    }
    return found;
}

static int every_fault_is_found(void)
{
    int missed = 0;
    for (size_t k = 0; k < TWINS; k++) {
        if (can_be_seen(&twins[k]) && !is_found(&twins[k])) {
            printf("FAULT: scene %s does not find fault %d\n", twins[k].scene, (int) twins[k].fault);
            missed++;
        }
    }
    return missed;
}

int main(void)
{
    provider_suite_t good = bad_provider(FAULT_NONE);
    int failed = provider_suite_run(&good, NULL);
    failed += every_scene_has_a_twin() + every_fault_is_found();
    printf("%d wrong\n", failed);
    return failed == 0 ? 0 : 1;
}
