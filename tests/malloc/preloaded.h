/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that run on libheadroom-malloc by LD_PRELOAD share this. */
#ifndef HRT_MALLOC_PRELOADED_H
#define HRT_MALLOC_PRELOADED_H

#include <malloc.h>
#include <stddef.h>

/* The compiler must not reason about what malloc() gives. */
static void *volatile hidden;

static inline void *hide(void *block)
{
    hidden = block;
    return hidden;
}

static inline size_t held(void)
{
    struct mallinfo2 all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

#endif
