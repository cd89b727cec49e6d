/* SPDX-License-Identifier: Apache-2.0 */
/* malloc() and its family over the heap (heap/heap.h).
 *
 * The fast paths are here: a block of up to 16 KiB comes from and goes to a magazine of its thread, in a restartable
 * sequence. All else is slow, and minds three things that the heap does not:
 *
 *  - A thread that is inside the heap already (a signal handler, or libc that the heap asked for something) must not
 *    come in again. It gets an early block (early.h). A block that it frees is put on a list, which the next slow call
 *    of any thread takes in.
 *  - A pointer that is no block of the heap is recognised, left alone and counted: a block that was made before this
 *    library was there. The word in front of a block has the library's own owner number, which 44 bits compare.
 *  - errno is changed by a refusal only.
 */
#include "base/checked.h"
#include "heap/heap.h"
#include "heap/segment.h"
#include "malloc/account.h"
#include "malloc/early.h"
#include "malloc/within.h"
#include "os/pages.h"

#include <errno.h>
#include <malloc.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* All blocks have this owner: a number that no length or pointer in front of a foreign block looks like. */
#define OWNER ((hri_heap_owner)0xb5e1d2c4a37)
_Static_assert(OWNER <= HRI_HEAP_OWNER_MAX, "an owner has 44 bits");

/* ── blocks that a thread freed inside of the heap ──────────────────────────────────────────────────────────────── */

static _Atomic(void *) deferred;

static void defer(void *block)
{
    void *next = atomic_load_explicit(&deferred, memory_order_relaxed);
    do
        *(void **)block = next;
    while (!atomic_compare_exchange_weak_explicit(&deferred, &next, block, memory_order_release, memory_order_relaxed));
}

static void put(void *block)
{
    hri_heap_block what;
    hri_heap_put(block, &what);
}

/* A slow path begins and ends with these. The first does what was left to be done. */
static int begin(void)
{
    int saved = errno;
    hri_within_begin();
    if (UNLIKELY(atomic_load_explicit(&deferred, memory_order_relaxed) != NULL)) {
        void *block = atomic_exchange_explicit(&deferred, NULL, memory_order_acquire), *next;
        for (; block; block = next) {
            next = *(void **)block;
            put(block);
        }
    }
    hri_account_yield();
    return saved;
}

static void end(int saved)
{
    hri_within_end();
    errno = saved;
}

/* The end of a call that gives a block: where there is none, errno says so. */
static void *end_with(void *block, int saved)
{
    hri_within_end();
    errno = block ? saved : ENOMEM;
    return block;
}

/* ── getting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *refuse(void)
{
    errno = ENOMEM;
    return NULL;
}

static __attribute__((noinline)) void *get_early(size_t align, size_t size)
{
    void *block = hri_early_get(align, size);
    return block ? block : refuse();
}

static __attribute__((noinline)) void *get_slowly(size_t size)
{
    if (hri_within())
        return get_early(HRI_HEAP_GRANULE, size);
    int saved = begin();
    return end_with(hri_heap_get_slowly(size, OWNER), saved);
}

/* A block of a magazine, or NULL. */
static inline void *get_fast(size_t size)
{
#ifndef HRI_DEBUG
    if (LIKELY(size <= HRI_HEAP_GENERAL_MAX - HRI_HEAP_WORD)) {
        unsigned class = hri_heap_general_class(size + HRI_HEAP_WORD);
        void *block = hri_heap_pop(class);
        if (LIKELY(block != NULL)) {
            *hri_heap_front(block) = hri_heap_word(block, OWNER, class);
            return block;
        }
    }
#endif
    (void)size;
    return NULL;
}

static inline void *get(size_t size)
{
    void *block = get_fast(size);
    return LIKELY(block != NULL) ? block : get_slowly(size);
}

EXPORT void *malloc(size_t size)
{
    return get(size);
}

static __attribute__((noinline)) void *get_zeroed_slowly(size_t size)
{
    if (hri_within())
        return get_early(HRI_HEAP_GRANULE, size);
    int saved = begin();
    return end_with(hri_heap_get_zeroed(size, OWNER), saved);
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes)))
        return refuse();
    void *block = get_fast(bytes);
    if (LIKELY(block != NULL))
        return memset(block, 0, bytes);
    return get_zeroed_slowly(bytes);
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Is this one of the heap's? Others may not be looked at: what is in front of them may mean anything. */
static bool is_ours(const void *block)
{
    return hri_heap_segment_find(block) != NULL;
}

static __attribute__((noinline)) void put_slowly(void *block)
{
    if (hri_early_has(block))
        return;
    if (!is_ours(block)) {
        hri_account_foreign();
        return;
    }
    if (hri_within()) {
        defer(block);
        return;
    }
    int saved = begin();
    put(block);
    end(saved);
}

#ifndef HRI_DEBUG
/* The class of a general block of ours, by the word in front of it; HRI_HEAP_CLASSES: it is something else. */
static inline unsigned class_by_word(const void *block)
{
    if (UNLIKELY((uintptr_t)block % HRI_HEAP_PAGE == 0)) /* it may have no word in front */
        return HRI_HEAP_CLASSES;
    uint64_t word = *hri_heap_front(block);
    unsigned class = hri_heap_word_class(word);
    bool ours = word == hri_heap_word(block, OWNER, class) && hri_heap_class_is_general(class);
    return LIKELY(ours) ? class : HRI_HEAP_CLASSES;
}
#endif

EXPORT void free(void *block)
{
#ifndef HRI_DEBUG
    unsigned class = class_by_word(block);
    if (LIKELY(class != HRI_HEAP_CLASSES)) {
        uint64_t word = hri_heap_word(block, OWNER, class);
        *hri_heap_front(block) = hri_heap_word_idle(word);
        if (LIKELY(hri_heap_push(class, block)))
            return;
        *hri_heap_front(block) = word; /* the magazine is full */
    }
#endif
    if (block)
        put_slowly(block);
}

EXPORT void free_sized(void *block, size_t size);
EXPORT void free_sized(void *block, size_t size)
{
    (void)size;
    free(block);
}

EXPORT void free_aligned_sized(void *block, size_t align, size_t size);
EXPORT void free_aligned_sized(void *block, size_t align, size_t size)
{
    (void)align, (void)size;
    free(block);
}

/* ── sizes ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static size_t usable(const void *block)
{
    size_t size = 0;
    hri_heap_block what;
#ifndef HRI_DEBUG
    unsigned class = class_by_word(block);
    if (LIKELY(class != HRI_HEAP_CLASSES))
        return hri_heap_class_bytes[class] - HRI_HEAP_WORD;
#endif
    if (hri_early_has(block))
        return hri_early_size(block);
    if (!is_ours(block) || hri_heap_is_inside()) /* 0: nothing beyond what was asked for may be used */
        return 0;
    return hri_heap_look(block, &what, &size) ? size : 0;
}

EXPORT size_t malloc_usable_size(void *block)
{
    return block ? usable(block) : 0;
}

static void *move(void *block, size_t old_size, size_t size)
{
    void *other = get(size);
    if (!other)
        return NULL;
    memcpy(other, block, hri_min(old_size, size));
    free(block);
    return other;
}

/* Changes what is not a small block that keeps its class. */
static __attribute__((noinline)) void *resize(void *block, size_t size)
{
    size_t old_size = usable(block);
    if (hri_early_has(block) || hri_within())
        return size <= old_size ? block : move(block, old_size, size);
    if (!is_ours(block)) { /* nobody knows its size, so it cannot move */
        hri_account_foreign();
        return refuse();
    }
    int saved = begin();
    void *same = hri_heap_resize_or_move(block, size, alignof(max_align_t));
    end(saved);
    return same ? same : move(block, old_size, size);
}

EXPORT void *realloc(void *block, size_t size)
{
    if (!block)
        return get(size);
    if (size == 0) { /* as glibc does */
        free(block);
        return NULL;
    }
#ifndef HRI_DEBUG
    unsigned class = class_by_word(block);
    if (LIKELY(class != HRI_HEAP_CLASSES)) {
        size_t old_size = hri_heap_class_bytes[class] - HRI_HEAP_WORD;
        if (size <= old_size && size >= old_size / 2)
            return block;
        return move(block, old_size, size);
    }
#endif
    return resize(block, size);
}

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return refuse();
    return realloc(block, bytes);
}

/* ── alignment ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_power(size_t align)
{
    return align > 0 && (align & (align - 1)) == 0;
}

static void *get_aligned(size_t align, size_t size)
{
    if (align <= HRI_HEAP_GRANULE)
        return get(size);
    if (size > (size_t)PTRDIFF_MAX - align)
        return refuse();
    if (hri_within())
        return get_early(align, size);
    int saved = begin();
    return end_with(hri_heap_get_aligned(align, size, OWNER), saved);
}

/* glibc takes any alignment up to half of the address space, and makes it the next power of two. */
EXPORT void *memalign(size_t align, size_t size)
{
    size_t power = HRI_HEAP_GRANULE;
    if (align > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    while (power < align)
        power *= 2;
    return get_aligned(power, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    if (is_power(align)) /* as C23 has it, and glibc since 2.38 */
        return memalign(align, size);
    errno = EINVAL;
    return NULL;
}

EXPORT int posix_memalign(void **ret_block, size_t align, size_t size)
{
    if (!is_power(align) || align % sizeof(void *))
        return EINVAL;
    void *block = get_aligned(align, size); /* errno says it too, as with glibc: programs print it */
    if (!block)
        return ENOMEM;
    *ret_block = block;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return get_aligned(hri_page_size(), size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = hri_page_size();
    return size > (size_t)PTRDIFF_MAX - page ? refuse() : get_aligned(page, (size + page - 1) / page * page);
}

/* ── all of it ──────────────────────────────────────────────────────────────────────────────────────────────────── */

EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    if (hri_within())
        return 0;
    int saved = begin();
    bool gone = hri_heap_trim(UINT64_MAX) > 0;
    end(saved);
    return gone;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    hri_heap_figures figures = {0};
    if (!hri_within())
        hri_heap_read(&figures);
    uint64_t large = hri_min(figures.large_bytes, figures.in_use_bytes);
    return (struct mallinfo2){
        .arena = figures.committed_bytes - large,
        .hblkhd = large,
        .uordblks = figures.in_use_bytes - large,
        .fordblks = figures.committed_bytes - figures.in_use_bytes,
        .keepcost = figures.idle_bytes,
    };
}

static int as_int(size_t bytes)
{
    return (int)hri_min(bytes, INT32_MAX);
}

/* The old form, which stops at 2 GiB. */
EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 all = mallinfo2();
    return (struct mallinfo){
        .arena = as_int(all.arena),
        .hblkhd = as_int(all.hblkhd),
        .uordblks = as_int(all.uordblks),
        .fordblks = as_int(all.fordblks),
        .keepcost = as_int(all.keepcost),
    };
}
