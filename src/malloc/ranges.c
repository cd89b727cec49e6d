/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: ranges are disjoint, sorted by address, not empty, and two that touch have different states. */
#include "malloc/ranges.h"

#include "base/assert.h"
#include "base/checked.h"
#include "malloc/raw.h"

#include <string.h>
#include <sys/mman.h>

#define CAPACITY_FIRST (4096 / sizeof(hri_range))

/* The first range that ends behind `at`. */
static size_t find(const hri_ranges *ranges, uintptr_t at)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges->all[middle].to <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool make_room(hri_ranges *ranges, size_t count)
{
    if (count <= ranges->capacity)
        return true;
    size_t capacity = ranges->capacity ? 2 * ranges->capacity : CAPACITY_FIRST;
    void *pages = ranges->all ? hri_raw_mremap(ranges->all, ranges->capacity * sizeof(hri_range),
                                               capacity * sizeof(hri_range), MREMAP_MAYMOVE, NULL)
                              : hri_raw_mmap(NULL, capacity * sizeof(hri_range), PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    ranges->all = pages;
    ranges->capacity = capacity;
    return true;
}

uint64_t hri_ranges_sum(const hri_ranges *ranges, uintptr_t from, uintptr_t to, hri_range_state state)
{
    uint64_t sum = 0;
    for (size_t i = find(ranges, from); i < ranges->count && ranges->all[i].from < to; i++) {
        const hri_range *range = &ranges->all[i];
        if (range->state == state)
            sum += hri_min(range->to, to) - hri_max(range->from, from);
    }
    return sum;
}

hri_range_state hri_ranges_at(const hri_ranges *ranges, uintptr_t at)
{
    size_t i = find(ranges, at);
    return i < ranges->count && ranges->all[i].from <= at ? ranges->all[i].state : HRI_RANGE_NONE;
}

/* Appends a range to a few, as part of the last where it touches one of the same state. */
static size_t append(hri_range *few, size_t count, hri_range range)
{
    if (range.state == HRI_RANGE_NONE || range.from >= range.to)
        return count;
    if (count > 0 && few[count - 1].to == range.from && few[count - 1].state == range.state) {
        few[count - 1].to = range.to;
        return count;
    }
    few[count] = range;
    return count + 1;
}

bool hri_ranges_set(hri_ranges *ranges, uintptr_t from, uintptr_t to, hri_range_state state, uint64_t *ret_counted)
{
    /* The range before takes part, since it may touch; so does the one behind. */
    size_t first = find(ranges, from), last = first, count = 0;
    first -= first > 0;
    while (last < ranges->count && ranges->all[last].from < to)
        last++;
    last += last < ranges->count;
    hri_range few[5];
    for (size_t i = first; i < last && ranges->all[i].from < from; i++) {
        const hri_range *range = &ranges->all[i];
        count = append(few, count, (hri_range){range->from, hri_min(range->to, from), range->state});
    }
    count = append(few, count, (hri_range){from, to, state});
    for (size_t i = last > first + 2 ? last - 2 : first; i < last; i++) {
        const hri_range *range = &ranges->all[i];
        if (range->to > to)
            count = append(few, count, (hri_range){hri_max(range->from, to), range->to, range->state});
    }
    HRI_ASSERT(count <= sizeof few / sizeof *few);
    if (!make_room(ranges, ranges->count - (last - first) + count))
        return false;
    *ret_counted =
        hri_ranges_sum(ranges, from, to, HRI_RANGE_COUNTED) + hri_ranges_sum(ranges, from, to, HRI_RANGE_CLOSED);
    memmove(ranges->all + first + count, ranges->all + last, (ranges->count - last) * sizeof *few);
    memcpy(ranges->all + first, few, count * sizeof *few);
    ranges->count += count;
    ranges->count -= last - first;
    return true;
}

bool hri_ranges_turn(hri_ranges *ranges, uintptr_t from, uintptr_t to, hri_range_state before, hri_range_state after)
{
    uint64_t counted;
    while (from < to) {
        size_t i = find(ranges, from);
        if (i == ranges->count || ranges->all[i].from >= to)
            return true;
        hri_range range = ranges->all[i];
        range.from = hri_max(range.from, from);
        range.to = hri_min(range.to, to);
        if (range.state == before && !hri_ranges_set(ranges, range.from, range.to, after, &counted))
            return false;
        from = range.to;
    }
    return true;
}
