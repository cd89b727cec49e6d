/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_POOL_CALLS_H
#define BENCH_POOL_CALLS_H

#include <headroom/pool.h>

extern void *(*const bench_pool_get)(hr_object_pool *pool);
extern void (*const bench_pool_put)(hr_object_pool *pool, void *object);

/* As those of a heap, and do nothing: what the calls alone take. */
void *bench_empty_allocate(size_t size);
void bench_empty_release(void *block);

#endif
