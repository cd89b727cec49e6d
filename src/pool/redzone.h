/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that debug builds put behind each block of a pool: nobody may write to them, and they say who put the block
 * last.
 *
 *     block ─► [ usable bytes ][ 0xFD … ][ caller of the last put, 8 bytes; NULL while it is out ]
 *
 * While a block whose contents nobody relies on waits in the pool it is filled with 0xDD, and must come out so.
 */
#ifndef HRI_STORE_REDZONE_H
#define HRI_STORE_REDZONE_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifdef HRI_DEBUG

#define HRI_REDZONE_BYTES 32
#define HRI_REDZONE_FILL 0xFD
#define HRI_IDLE_FILL 0xDD

static inline void *hri_redzone_caller(void *block, size_t block_bytes)
{
    return (char *)block + block_bytes - sizeof(void *);
}

static inline bool hri_redzone_is_filled(const void *from, size_t size, unsigned char fill)
{
    const unsigned char *bytes = from;
    while (size > 0 && *bytes == fill)
        bytes++, size--;
    return size == 0;
}

/* For a block that goes out; `filled`: it was filled when it came. */
static inline void hri_redzone_out(void *block, size_t usable_bytes, size_t block_bytes, bool filled)
{
    const void *put_by, *nobody = NULL;
    memcpy(&put_by, hri_redzone_caller(block, block_bytes), sizeof put_by);
    if (put_by && filled && !hri_redzone_is_filled(block, usable_bytes, HRI_IDLE_FILL))
        hri_fault("%p was written to while it was in its pool; it was put at %s", block,
                  hri_code_place_of(put_by).text);
    memset((char *)block + usable_bytes, HRI_REDZONE_FILL, block_bytes - usable_bytes - sizeof put_by);
    memcpy(hri_redzone_caller(block, block_bytes), &nobody, sizeof nobody);
}

/* For a block that is put, but is not out. */
static inline void hri_redzone_tell(void *block, size_t block_bytes)
{
    const void *put_by;
    memcpy(&put_by, hri_redzone_caller(block, block_bytes), sizeof put_by);
    if (put_by)
        hri_fault("%p is put twice; the first time at %s", block, hri_code_place_of(put_by).text);
}

/* For a block that comes back. */
static inline void hri_redzone_in(void *block, size_t usable_bytes, size_t block_bytes, bool fill)
{
    hri_redzone_tell(block, block_bytes);
    if (!hri_redzone_is_filled((char *)block + usable_bytes, block_bytes - usable_bytes - sizeof hri_caller,
                               HRI_REDZONE_FILL))
        hri_fault("%p was written to beyond its end at %zu bytes", block, usable_bytes);
    memcpy(hri_redzone_caller(block, block_bytes), &hri_caller, sizeof hri_caller);
    if (fill)
        memset(block, HRI_IDLE_FILL, usable_bytes);
}

#else

#define HRI_REDZONE_BYTES 0

static inline void hri_redzone_out(void *block, size_t usable_bytes, size_t block_bytes, bool filled)
{
    (void)block, (void)usable_bytes, (void)block_bytes, (void)filled;
}

static inline void hri_redzone_tell(void *block, size_t block_bytes)
{
    (void)block, (void)block_bytes;
}

static inline void hri_redzone_in(void *block, size_t usable_bytes, size_t block_bytes, bool fill)
{
    (void)block, (void)usable_bytes, (void)block_bytes, (void)fill;
}

#endif

#endif
