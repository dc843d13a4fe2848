/* SPDX-License-Identifier: BSD-3-Clause */
/* Is ThreadSanitizer compiled in? It follows C11's atomic operations, not what a few places do on x86-64 instead. */
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

#endif
