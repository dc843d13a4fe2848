#ifndef PF_H
#define PF_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
typedef struct page_filter_t { _Atomic uint32_t n; } page_filter_t;
static inline bool page_filter_init(page_filter_t *f) { atomic_store(&f->n, 0); return true; }
static inline void page_filter_destroy(page_filter_t *f) { (void) f; }
static inline void page_filter_reset(page_filter_t *f) { atomic_store(&f->n, 0); }
static inline void page_filter_add(page_filter_t *f, uint64_t a, uint64_t b) { (void) a, (void) b; atomic_fetch_add(&f->n, 1); }
static inline void page_filter_remove(page_filter_t *f, uint64_t a, uint64_t b) { (void) a, (void) b; atomic_fetch_sub(&f->n, 1); }
static inline bool page_filter_may_hold(const page_filter_t *f, uint64_t a, uint64_t b) { (void) a, (void) b; return atomic_load(&f->n) != 0; }
#endif
