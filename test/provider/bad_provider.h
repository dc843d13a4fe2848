/* SPDX-License-Identifier: BSD-3-Clause */
/* A provider on a make-believe device, with one fault at a time: the twin of the
 * conformance suite, which must find each of them. Without a fault it is good. */
#ifndef TEST_PROVIDER_BAD_PROVIDER_H
#define TEST_PROVIDER_BAD_PROVIDER_H

#include "provider_suite.h"

typedef enum fault_t {
    FAULT_NONE,
    FAULT_UNKNOWN_FLAG,     /* resources.flags has a bit that means nothing. */
    FAULT_LEAKS,            /* Each 50th deregistration is forgotten. */
    FAULT_SMALL,            /* More than 16 pages are refused. */
    FAULT_STATIC_REFUSED,   /* Memory of the program itself is refused. */
    FAULT_LEAKS_REFUSED,    /* Memory that is not there is refused, and stays counted. */
    FAULT_RIGHTS_REFUSED,   /* Only what may be written locally. */
    FAULT_FINDS_BY_BASE,    /* One registration for each address: the second is the first. */
    FAULT_ENDS_OVERLAPPING, /* Deregistration ends whatever overlaps. */
    FAULT_FULL_AT_500,      /* Full too early. */
    FAULT_WRONG_CODE_WHEN_FULL,
    FAULT_MANY_FORGETS_LAST, /* deregister_many ends all but the last. */
    FAULT_TOUCHES_MEMORY,    /* Deregistration reads the memory. */
    FAULT_LEAKS_DESCRIPTOR,  /* At each open. */
    FAULT_ONE_DEVICE,        /* Closing one ends the registrations of all. */
    FAULT_UNCHECKED_IN_OPEN, /* Allocations are taken to succeed. */
    FAULT_UNCHECKED_IN_REGISTER,
    FAULT_RACES,              /* Two threads lose counts. */
    FAULT_SAME_THREAD,        /* Only the thread that registered may end it. */
    FAULT_CHILD_ENDS_PARENTS, /* after_fork cleans up what is not the child's. */
    FAULT_CLOSE_ENDS_PARENTS, /* Close does. */
    FAULT_ALLOCATES,          /* In deregistration, which is said to be HOOK_SAFE. */
    FAULT_MUTEX,              /* Likewise: a mutex. */
    FAULT_LOSES_ERRNO,
    FAULT_SPINS, /* A lock that nobody else sees. */
    FAULT_PRINTS,
    FAULT_WRITES_BEHIND,     /* Behind sizeof_reg. */
    FAULT_WRITES_BASE,       /* Into the cache's part. */
    FAULT_NEEDS_ZEROES,      /* Its part of the registration is taken to be zero. */
    FAULT_POSITIVE_CODE,     /* A refusal is a positive number. */
    FAULT_KEEPS_ONE,         /* Ended only when the next one is: a cache must hear at once. */
    FAULT_LEAKS_ONE_IN_1000, /* Seen only by who makes thousands. */
    FAULT_ENDS_TOO_MANY,     /* A failed registration ends another one. */
    FAULT_LIES_WHEN_ENDED,   /* Deregistration tells of an error, and has left it registered. */
    FAULT_LOSS_IS_NOT_TOLD,  /* The device is lost, and no cache hears of it. */
    FAULT_LOST_IS_FULL,      /* A lost device is said to be full. */
    FAULT_LOST_ENDS_NOTHING, /* Deregistration from a lost device is an error. */
    FAULT_COUNT
} fault_t;

/** The suite's description of the provider with that fault. */
provider_suite_t bad_provider(fault_t fault);

#endif
