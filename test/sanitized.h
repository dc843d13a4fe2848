/* SPDX-License-Identifier: BSD-3-Clause */
/* Is this test compiled with a sanitizer? Its runtime has an allocator and mappings of its own, and refuses some of what
 * programs may do otherwise. */
#ifndef TEST_SANITIZED_H
#define TEST_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ADDRESS_SANITIZED 1
#endif
#if __has_feature(thread_sanitizer)
#define TEST_THREAD_SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define TEST_ADDRESS_SANITIZED 1
#endif
#ifdef __SANITIZE_THREAD__
#define TEST_THREAD_SANITIZED 1
#endif

#ifdef TEST_THREAD_SANITIZED
#define TEST_IS_THREAD_SANITIZED true
#else
#define TEST_IS_THREAD_SANITIZED false
#endif

#if defined(TEST_ADDRESS_SANITIZED) || defined(TEST_THREAD_SANITIZED)
#define TEST_SANITIZED true
#else
#define TEST_SANITIZED false
#endif

#endif
