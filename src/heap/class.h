/* SPDX-License-Identifier: Apache-2.0 */
/* Size classes, and the word that the heap keeps of each block.
 *
 * Blocks are of three kinds:
 *
 *     general   below 16 KiB: a multiple of 16 bytes, of which the first 8 are the block's word
 *     pages     16 KiB to 128 KiB: whole pages; the word is in the page map
 *     large     128 KiB and more: whole pages too, each with its own number of them
 *
 * The classes of general blocks are eight in each doubling up to 512 bytes, where most blocks of most programs are,
 * and four above. They lie 16 bytes above round numbers, since programs ask for those, and the word comes on top.
 * Blocks of pages have a class for each page up to 64 KiB, and for four pages above. With four in each doubling a
 * fifth of such a block was lost. All 61 classes that a word and a thread's record have room for exist.
 *
 *     bits 63..58   the class
 *     bits 57..14   the owner: an opaque number below 2^44
 *     bits 13..0    the seal: 0; all ones while the block is idle
 *
 * All of it is XORed with the granule's number, the block's address / 16, which has less than 58 bits. So one
 * operation makes a word and one opens it, and the class can be read without it.
 *
 * So a block that is freed twice shows, and of 16,384 foreign pointers about one passes for a block in a release
 * build. Debug builds ask the page map first, and nothing passes there.
 */
#ifndef HRI_HEAP_CLASS_H
#define HRI_HEAP_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HRI_HEAP_PAGE ((size_t)4096)
#define HRI_HEAP_GRANULE ((size_t)16)
#define HRI_HEAP_WORD sizeof(uint64_t)

/* Debug builds put this much behind each block: at least 8 bytes that nobody may write to, and the size that was
 * asked for. See debug.h. */
#ifdef HRI_DEBUG
#define HRI_HEAP_TRAILER 16
#else
#define HRI_HEAP_TRAILER 0
#endif

#define HRI_HEAP_GENERAL_CLASSES 44u
#define HRI_HEAP_CLASSES 61u
#define HRI_HEAP_POOLED 61u  /* in a word: a pool's, see pooled.h */
#define HRI_HEAP_LARGE 62u   /* in a word: the span has the number of pages */
#define HRI_HEAP_ALIGNED 63u /* in a word: the block begins before it, see hri_heap_get_aligned() */

#define HRI_HEAP_GENERAL_MAX ((size_t)16368)
#define HRI_HEAP_LARGE_MIN ((size_t)128 << 10)

typedef uint64_t hri_heap_owner;
#define HRI_HEAP_OWNER_BITS 44u
#define HRI_HEAP_OWNER_MAX ((UINT64_C(1) << HRI_HEAP_OWNER_BITS) - 1)

#define HRI_HEAP_SMALL_MAX ((size_t)1 << 10) /* inline paths take no more */

extern __attribute__((visibility("hidden"))) const uint32_t hri_heap_class_bytes[64]; /* of no class: 0 */
extern __attribute__((visibility("hidden")))
const uint8_t hri_heap_general_classes[HRI_HEAP_GENERAL_MAX / HRI_HEAP_GRANULE + 1];

/* The class of a general block of `bytes`, its word included; at most HRI_HEAP_GENERAL_MAX. */
static inline unsigned hri_heap_general_class(size_t bytes)
{
    return hri_heap_general_classes[(bytes + HRI_HEAP_GRANULE - 1) / HRI_HEAP_GRANULE];
}

/* The class of a block of `bytes` in whole pages; below HRI_HEAP_LARGE_MIN. */
static inline unsigned hri_heap_page_class(size_t bytes)
{
    unsigned pages = (unsigned)((bytes + HRI_HEAP_PAGE - 1) / HRI_HEAP_PAGE);
    if (pages <= 16)
        return HRI_HEAP_GENERAL_CLASSES + (pages > 4 ? pages - 4 : 0);
    return HRI_HEAP_GENERAL_CLASSES + 12 + (pages - 13) / 4;
}

/* The class of a block for `size` bytes; HRI_HEAP_LARGE: it has none. */
static inline unsigned hri_heap_class_of(size_t size)
{
    if (size <= HRI_HEAP_GENERAL_MAX - HRI_HEAP_WORD - HRI_HEAP_TRAILER)
        return hri_heap_general_class(size + HRI_HEAP_WORD + HRI_HEAP_TRAILER);
    if (size < HRI_HEAP_LARGE_MIN - HRI_HEAP_TRAILER)
        return hri_heap_page_class(size + HRI_HEAP_TRAILER);
    return HRI_HEAP_LARGE;
}

static inline bool hri_heap_class_is_general(unsigned class)
{
    return class < HRI_HEAP_GENERAL_CLASSES;
}

/* The whole pages of a block for `size` bytes; UINT64_MAX: there can be none. */
static inline uint64_t hri_heap_large_cost(size_t size)
{
    if (size > (size_t)PTRDIFF_MAX)
        return UINT64_MAX;
    uint64_t bytes = size + HRI_HEAP_TRAILER + (size == 0);
    return (bytes + HRI_HEAP_PAGE - 1) / HRI_HEAP_PAGE * HRI_HEAP_PAGE;
}

/* The bytes that a block for `size` bytes takes of the heap; UINT64_MAX: there can be none. */
static inline uint64_t hri_heap_cost(size_t size)
{
    unsigned class = hri_heap_class_of(size);
    return class == HRI_HEAP_LARGE ? hri_heap_large_cost(size) : hri_heap_class_bytes[class];
}

/* ── words
 * ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

#define HRI_HEAP_SEAL_BITS 14u
#define HRI_HEAP_SEAL_MASK ((UINT64_C(1) << HRI_HEAP_SEAL_BITS) - 1)
#define HRI_HEAP_CLASS_SHIFT 58u

static inline uint64_t hri_heap_granule(const void *block)
{
    return (uint64_t)(uintptr_t)block / HRI_HEAP_GRANULE;
}

static inline uint64_t hri_heap_word(const void *block, hri_heap_owner owner, unsigned class)
{
    return (owner << HRI_HEAP_SEAL_BITS | (uint64_t) class << HRI_HEAP_CLASS_SHIFT) ^ hri_heap_granule(block);
}

/* The part of the word that names an owner, for those that have it ready. */
static inline uint64_t hri_heap_word_of_part(const void *block, uint64_t owner_part, unsigned class)
{
    return (owner_part | (uint64_t) class << HRI_HEAP_CLASS_SHIFT) ^ hri_heap_granule(block);
}

/* The word of a block that comes back. It keeps its last owner. */
static inline uint64_t hri_heap_word_idle(uint64_t word)
{
    return word ^ HRI_HEAP_SEAL_MASK;
}

static inline bool hri_heap_word_is_used(uint64_t word, const void *block)
{
    return ((word ^ hri_heap_granule(block)) & HRI_HEAP_SEAL_MASK) == 0;
}

static inline bool hri_heap_word_is_idle(uint64_t word, const void *block)
{
    return ((~word ^ hri_heap_granule(block)) & HRI_HEAP_SEAL_MASK) == 0;
}

static inline unsigned hri_heap_word_class(uint64_t word)
{
    return (unsigned)(word >> HRI_HEAP_CLASS_SHIFT);
}

static inline hri_heap_owner hri_heap_word_owner(uint64_t word, const void *block)
{
    return (word ^ hri_heap_granule(block)) << (64 - HRI_HEAP_CLASS_SHIFT) >> (64 - HRI_HEAP_OWNER_BITS);
}

/* The word in front of a general block. */
static inline uint64_t *hri_heap_front(const void *block)
{
    return (uint64_t *)((uintptr_t)block - HRI_HEAP_WORD);
}

#endif
