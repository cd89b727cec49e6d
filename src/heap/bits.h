/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of bits. The heap keeps two kinds of maps as arrays of bits: pages of a segment, and granules of a span. Both
 * are searched for a run of clear bits, first fit, so that what is in use gathers at low addresses.
 */
#ifndef HRI_HEAP_BITS_H
#define HRI_HEAP_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define HRI_BITS_WORD 64u

/* A bit counts as set if it is set in `set`, or clear in `clear` (NULL: there is none). */
typedef struct hri_bits_view {
    const uint64_t *set;
    const uint64_t *clear;
} hri_bits_view;

static inline uint64_t hri_bits_word(const hri_bits_view *view, unsigned at)
{
    return view->set[at] | (view->clear ? ~view->clear[at] : 0);
}

/* The first bit from `from` on, below `to`, that is set; or clear with `flip` of all ones. Gives `to` if there is
 * none. */
static inline unsigned hri_bits_next(const hri_bits_view *view, unsigned from, unsigned to, uint64_t flip)
{
    while (from < to) {
        uint64_t word = (hri_bits_word(view, from / HRI_BITS_WORD) ^ flip) >> from % HRI_BITS_WORD;
        if (word) {
            unsigned found = from + (unsigned)__builtin_ctzll(word);
            return found < to ? found : to;
        }
        from = (from / HRI_BITS_WORD + 1) * HRI_BITS_WORD;
    }
    return to;
}

/* The first bit of the clear ones in a row that end before `to`; `to`: the one before it is set. */
static inline unsigned hri_bits_begin(const uint64_t *words, unsigned to)
{
    while (to > 0) {
        unsigned at = (to - 1) / HRI_BITS_WORD, unused = (at + 1) * HRI_BITS_WORD - to;
        uint64_t word = words[at] << unused;
        if (word)
            return to - (unsigned)__builtin_clzll(word);
        to = at * HRI_BITS_WORD;
    }
    return 0;
}

/* Finds `run` clear bits in a row that begin at a multiple of `align`, within [from, to). Gives `to` if there are
 * none. */
static inline unsigned hri_bits_find(const hri_bits_view *view, unsigned from, unsigned to, unsigned run,
                                     unsigned align)
{
    while (from < to) {
        unsigned at = hri_bits_next(view, from, to, UINT64_MAX);
        at = (at + align - 1) / align * align;
        if (at >= to || to - at < run)
            return to;
        from = hri_bits_next(view, at, at + run, 0);
        if (from == at + run)
            return at;
    }
    return to;
}

/* The bits of one word that lie in [from, to). */
static inline uint64_t hri_bits_mask(unsigned word, unsigned from, unsigned to)
{
    unsigned first = word * HRI_BITS_WORD;
    uint64_t mask = from > first ? UINT64_MAX << (from - first) : UINT64_MAX;
    return to < first + HRI_BITS_WORD ? mask & ~(UINT64_MAX << (to - first)) : mask;
}

static inline void hri_bits_set(uint64_t *words, unsigned from, unsigned to)
{
    for (unsigned word = from / HRI_BITS_WORD; word * HRI_BITS_WORD < to; word++)
        words[word] |= hri_bits_mask(word, from, to);
}

static inline void hri_bits_clear(uint64_t *words, unsigned from, unsigned to)
{
    for (unsigned word = from / HRI_BITS_WORD; word * HRI_BITS_WORD < to; word++)
        words[word] &= ~hri_bits_mask(word, from, to);
}

/* How many of [from, to) are set. */
static inline unsigned hri_bits_count(const uint64_t *words, unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned word = from / HRI_BITS_WORD; word * HRI_BITS_WORD < to; word++)
        count += (unsigned)__builtin_popcountll(words[word] & hri_bits_mask(word, from, to));
    return count;
}

static inline bool hri_bits_has(const uint64_t *words, unsigned at)
{
    return words[at / HRI_BITS_WORD] >> at % HRI_BITS_WORD & 1;
}

#endif
