/* SPDX-License-Identifier: Apache-2.0 */
/* The trailer that debug builds put behind the bytes that were asked for:
 *
 *     block ─► [ size bytes ][ 0xFD …, at least 8 ][ size, 8 bytes ]
 *
 * A write beyond the end shows when the block comes back. A block that came back is filled with 0xDD.
 */
#ifndef HRI_HEAP_DEBUG_H
#define HRI_HEAP_DEBUG_H

#include "base/assert.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef HRI_DEBUG

#define HRI_HEAP_END_FILL 0xFD
#define HRI_HEAP_IDLE_FILL 0xDD

static inline void hri_heap_debug_out(void *block, size_t size, size_t usable)
{
    memset((char *)block + size, HRI_HEAP_END_FILL, usable - size - sizeof size);
    memcpy((char *)block + usable - sizeof size, &size, sizeof size);
}

/* The size that was asked for; `usable`: it was written over. */
static inline size_t hri_heap_debug_size(const void *block, size_t usable)
{
    size_t size;
    memcpy(&size, (const char *)block + usable - sizeof size, sizeof size);
    return size <= usable - 2 * sizeof size ? size : usable;
}

static inline void hri_heap_debug_in(const void *block, size_t usable)
{
    size_t size = hri_heap_debug_size(block, usable);
    const unsigned char *at = (const unsigned char *)block + size, *end = (const unsigned char *)block + usable;
    while (size < usable && at < end - sizeof size && *at == HRI_HEAP_END_FILL)
        at++;
    if (size == usable || at < end - sizeof size)
        hri_fault("%p was written to beyond its end", block);
}

static inline void hri_heap_debug_idle(void *block, size_t usable)
{
    memset(block, HRI_HEAP_IDLE_FILL, usable);
}

#else

static inline void hri_heap_debug_out(void *block, size_t size, size_t usable)
{
    (void)block, (void)size, (void)usable;
}

static inline size_t hri_heap_debug_size(const void *block, size_t usable)
{
    (void)block;
    return usable;
}

static inline void hri_heap_debug_in(const void *block, size_t usable)
{
    (void)block, (void)usable;
}

static inline void hri_heap_debug_idle(void *block, size_t usable)
{
    (void)block, (void)usable;
}

#endif

#endif
