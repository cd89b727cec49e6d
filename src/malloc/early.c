/* SPDX-License-Identifier: Apache-2.0 */
/* One array, of which `taken` bytes are handed out. Its pages are not there until they are used. In front of each
 * block stands its size. */
#include "malloc/early.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

static _Alignas(4096) char bytes[HRI_EARLY_BYTES];
static _Atomic size_t taken;

void *hri_early_get(size_t align, size_t size)
{
    size_t from = atomic_load_explicit(&taken, memory_order_relaxed), at;
    if (align < 16)
        align = 16;
    if (size > HRI_EARLY_BYTES || align > HRI_EARLY_BYTES)
        return NULL;
    do {
        at = (from + sizeof size + align - 1) & ~(align - 1);
        if (at + size > HRI_EARLY_BYTES)
            return NULL;
    } while (
        !atomic_compare_exchange_weak_explicit(&taken, &from, at + size, memory_order_relaxed, memory_order_relaxed));
    memcpy(bytes + at - sizeof size, &size, sizeof size);
    return bytes + at;
}

bool hri_early_has(const void *block)
{
    return (uintptr_t)block - (uintptr_t)bytes < HRI_EARLY_BYTES;
}

size_t hri_early_size(const void *block)
{
    size_t size;
    memcpy(&size, (const char *)block - sizeof size, sizeof size);
    return size;
}
