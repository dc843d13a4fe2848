/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sanitizer is compiled in? ThreadSanitizer follows C11's atomic operations, not what a few places do on x86-64
 * instead; none knows that an address may be relative to a segment. */
#ifndef FRAMEWORK_UTIL_SANITIZERS_H
#define FRAMEWORK_UTIL_SANITIZERS_H

#if defined(__SANITIZE_THREAD__)
#define IS_THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_THREAD_SANITIZED 1
#endif
#endif
#ifndef IS_THREAD_SANITIZED
#define IS_THREAD_SANITIZED 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED IS_THREAD_SANITIZED
#endif

#endif
